//! A private PostgreSQL with PostGIS for the tests of this binary: made in a temporary folder,
//! on a free port, without a word to any server of the machine; gone with the test process,
//! however that ends. PgBouncer in front of it, in transaction mode, where that is installed.

use std::{
    cell::RefCell,
    fs,
    net::{TcpListener, TcpStream},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;

use super::finish::{finish, said};

/// The superuser of the private server.
pub const USER: &str = "socle";
/// The database that others are copied from.
const TEMPLATE: &str = "socle_template";

/// Below this many bytes an unprivileged user's cluster goes where there is more room.
const ROOM: u64 = 4 << 30;

/// Databases that a test made: dropped when its thread ends, so that a whole run fits on a small
/// disk.
#[derive(Default)]
struct Own(Vec<Database>);

/// A database, and how to reach it.
struct Database {
    bin: PathBuf,
    user: Option<(u32, u32)>,
    port: u16,
    name: String,
}

impl Drop for Own {
    fn drop(&mut self) {
        for Database { bin, user, port, name } in self.0.drain(..) {
            let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            // A server of the test's own may be gone, and its databases with it.
            let _ = finish(&mut psql(&bin, user, port, "postgres", &sql));
        }
    }
}

thread_local! {
    static OWN: RefCell<Own> = RefCell::default();
}

/// Keeps the database that this thread made last for the tests to come.
pub fn keep() {
    OWN.with_borrow_mut(|own| own.0.pop());
}

/// A running server.
pub struct Postgres {
    dir: PathBuf,
    bin: PathBuf,
    user: Option<(u32, u32)>,
    pub port: u16,
    child: Mutex<Child>,
}

/// The server all tests share, started by the first that asks; says so and gives `None` where
/// PostgreSQL or PostGIS is not installed.
pub fn shared() -> Option<&'static Postgres> {
    static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
    let server = SERVER.get_or_init(Postgres::start).as_ref();
    if server.is_none() {
        println!("skipped: PostgreSQL with PostGIS is not installed");
    }
    server
}

/// The folder of `initdb` and `postgres`.
fn binaries() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|e| Some(e.ok()?.path().join("bin")))
        .filter(|b| b.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|p| p.join("initdb").exists())
    })
}

/// PostgreSQL refuses to run as root: an unprivileged user stands in.
fn unprivileged() -> Option<(u32, u32)> {
    let id = |args: &[&str]| {
        let output = Command::new("id").args(args).stderr(Stdio::null()).output().ok()?;
        String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().ok()
    };
    if id(&["-u"])? != 0 {
        return None;
    }
    ["postgres", "nobody"].iter().find_map(|u| Some((id(&["-u", u])?, id(&["-g", u])?)))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// A command of that user.
fn as_user(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    // Not root's: libpq gives TLS up when it may not look there for a client's certificate.
    command.env("HOME", "/");
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// `psql` on one statement.
fn psql(bin: &Path, user: Option<(u32, u32)>, port: u16, database: &str, sql: &str) -> Command {
    let mut command = as_user(&bin.join("psql"), user);
    command
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", USER, "-h", "127.0.0.1"])
        .args(["-p", &port.to_string(), "-d", database, "-c", sql])
        .env("PGCONNECT_TIMEOUT", "60");
    command
}

/// A shell that outlives this process by a moment: it ends the given one and removes the folder.
fn watch(child: u32, dir: &Path) {
    let script = format!(
        "while kill -0 {me} 2>/dev/null && kill -0 {child} 2>/dev/null; do sleep 0.3; done
         kill -0 {me} 2>/dev/null && exit
         kill -QUIT {child} 2>/dev/null; sleep 0.5; kill -KILL {child} 2>/dev/null; rm -rf '{dir}'",
        me = std::process::id(),
        dir = dir.display()
    );
    let _ = Command::new("sh")
        .args(["-c", &script])
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
}

/// Bytes that who is not root may still write in a folder.
fn room(dir: &Path) -> Option<u64> {
    let output = Command::new("df").args(["-k", "--output=avail"]).arg(dir).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.lines().last()?.trim().parse::<u64>().ok()? << 10)
}

/// A new folder of that user: of temporary files, or in memory where their disk is nearly full
/// for anyone but root.
fn folder(user: Option<(u32, u32)>) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let plenty = |dir: &Path| room(dir).is_some_and(|bytes| bytes >= ROOM);
    let files = std::env::temp_dir();
    let place = if !plenty(&files) && plenty(memory) { memory } else { &files };
    let dir: TempDir =
        tempfile::Builder::new().prefix("socle-pg-").tempdir_in(place).expect("a folder");
    let dir = dir.keep();
    if let Some((uid, gid)) = user {
        chown(&dir, Some(uid), Some(gid)).expect("the folder changes hands");
    }
    dir
}

impl Postgres {
    /// Makes and starts a server; `None` where it is not installed.
    pub fn start() -> Option<Self> {
        let bin = binaries()?;
        let user = unprivileged();
        let dir = folder(user);
        let mut initdb = as_user(&bin.join("initdb"), user);
        initdb.arg("-D").arg(dir.join("data"));
        initdb.args(["-U", USER, "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
        let made = finish(&mut initdb);
        assert!(made.status.success(), "initdb in {}: {}", dir.display(), said(&made));
        let port = free_port();
        let child = Self::spawn(&bin, &dir, user, port);
        let server = Self { dir, bin, user, port, child: Mutex::new(child) };
        server.wait();
        server.sql("postgres", &format!("CREATE DATABASE {TEMPLATE}"));
        let made = server.try_sql(TEMPLATE, "CREATE EXTENSION postgis");
        made.then_some(server)
    }

    /// A streaming replica of this server, which answers reads (hot standby).
    pub fn standby(&self) -> Self {
        let dir = folder(self.user);
        let mut copy = as_user(&self.bin.join("pg_basebackup"), self.user);
        copy.arg("-D").arg(dir.join("data"));
        copy.args(["-R", "-X", "stream", "-c", "fast", "--no-sync", "-U", USER]);
        copy.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        let made = finish(&mut copy);
        assert!(made.status.success(), "pg_basebackup: {}", said(&made));
        let port = free_port();
        let child = Self::spawn(&self.bin, &dir, self.user, port);
        let server =
            Self { dir, bin: self.bin.clone(), user: self.user, port, child: Mutex::new(child) };
        server.wait();
        assert_eq!(server.sql("postgres", "SELECT pg_is_in_recovery()"), "t");
        server
    }

    /// Has the server offer TLS with a certificate and its key, PEM files.
    pub fn offer_tls(&self, certificate: &Path, key: &Path) {
        for (from, name) in [(certificate, "server.crt"), (key, "server.key")] {
            let to = self.dir.join("data").join(name);
            fs::copy(from, &to).expect("a copy");
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).expect("its mode");
            if let Some((uid, gid)) = self.user {
                chown(&to, Some(uid), Some(gid)).expect("the file changes hands");
            }
        }
        self.sql("postgres", "ALTER SYSTEM SET ssl = on");
        self.sql("postgres", "SELECT pg_reload_conf()");
        let started = Instant::now();
        while self.sql("postgres", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            != "t"
        {
            assert!(started.elapsed() < Duration::from_secs(20), "no TLS");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn spawn(bin: &Path, dir: &Path, user: Option<(u32, u32)>, port: u16) -> Child {
        let mut command = as_user(&bin.join("postgres"), user);
        command.arg("-D").arg(dir.join("data")).arg("-k").arg(dir).args([
            "-h",
            "127.0.0.1",
            "-p",
            &port.to_string(),
        ]);
        for setting in [
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
            "max_connections=200",
            "shared_buffers=128MB",
            "max_wal_size=512MB",
            "autovacuum_naptime=1h",
        ] {
            command.args(["-c", setting]);
        }
        let log = fs::File::options().create(true).append(true).open(dir.join("log"));
        command.stderr(log.expect("a log"));
        let child = command.process_group(0).spawn().expect("postgres starts");
        watch(child.id(), dir);
        child
    }

    fn wait(&self) {
        let started = Instant::now();
        while !self.try_sql("postgres", "SELECT 1") {
            let late = started.elapsed() > Duration::from_secs(60);
            assert!(!late, "PostgreSQL does not answer: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The end of what the server wrote.
    fn log(&self) -> String {
        let text = fs::read(self.dir.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(2_000)..]).into_owned()
    }

    fn psql(&self, database: &str, sql: &str) -> std::process::Output {
        finish(&mut psql(&self.bin, self.user, self.port, database, sql))
    }

    fn try_sql(&self, database: &str, sql: &str) -> bool {
        self.psql(database, sql).status.success()
    }

    /// Runs SQL and gives what it answers, unaligned.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let output = self.psql(database, sql);
        assert!(output.status.success(), "{sql}: {}\n{}", said(&output), self.log());
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A new database with PostGIS, by its name. It is gone with the calling thread.
    pub fn database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Copying a database wants it to itself.
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(|e| e.into_inner());
        let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"));
        let (bin, user, port) = (self.bin.clone(), self.user, self.port);
        let own = Database { bin, user, port, name: name.clone() };
        OWN.with_borrow_mut(|all| all.0.push(own));
        name
    }

    /// The address of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Ends the server as a crash does.
    pub fn kill(&self) {
        // One that was stopped hears nothing.
        self.freeze(false);
        let mut child = self.child.lock().unwrap_or_else(|e| e.into_inner());
        // Immediate shutdown: connections are cut at once, recovery follows at the next start.
        let _ = Command::new("kill").args(["-QUIT", &child.id().to_string()]).status();
        let _ = child.wait();
    }

    /// Stops the server and all its backends where they are, as a machine that hangs does, or
    /// lets them go on.
    pub fn freeze(&self, still: bool) {
        let pid = self.child.lock().unwrap_or_else(|e| e.into_inner()).id();
        let signal = if still { "STOP" } else { "CONT" };
        let script = format!("kill -{signal} {pid} $(pgrep -P {pid})");
        let sent = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status();
        assert!(sent.is_ok(), "{script}");
    }

    /// Starts it again on the same port and data.
    pub fn restart(&self) {
        let mut child = self.child.lock().unwrap_or_else(|e| e.into_inner());
        *child = Self::spawn(&self.bin, &self.dir, self.user, self.port);
        drop(child);
        self.wait();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A pooler in front of a server.
pub struct PgBouncer {
    pub port: u16,
    child: Child,
    dir: PathBuf,
}

impl PgBouncer {
    /// In transaction mode in front of the shared server; `None`, and a word, where it is not
    /// installed.
    pub fn start(server: &Postgres) -> Option<Self> {
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"];
        let Some(program) = program.iter().map(Path::new).find(|p| p.exists()) else {
            println!("skipped: pgbouncer is not installed");
            return None;
        };
        let user = unprivileged();
        let dir = folder(user);
        let port = free_port();
        let ini = format!(
            "[databases]\n* = host=127.0.0.1 port={} user={USER}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
             max_client_conn = 500\ndefault_pool_size = 6\nlogfile = {}/log\n",
            server.port,
            dir.display()
        );
        fs::write(dir.join("pgbouncer.ini"), ini).expect("pgbouncer.ini");
        let child = as_user(program, user)
            .arg(dir.join("pgbouncer.ini"))
            .process_group(0)
            .spawn()
            .expect("pgbouncer starts");
        watch(child.id(), &dir);
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "pgbouncer does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(Self { port, child, dir })
    }

    /// The address of a database through it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).expect("PgBouncer's log")
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
