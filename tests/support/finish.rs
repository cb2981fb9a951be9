//! Programs that tests run: to their end, within a limit, or as long as the test lasts.

use std::{
    io::Read,
    net::TcpStream,
    os::unix::process::CommandExt,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// How long a program that a test runs may take.
const PATIENCE: Duration = Duration::from_secs(900);

/// Runs a program to its end and gives what it wrote; ends it with all it started, and fails the
/// test, when it takes more than [`PATIENCE`]: one that hangs must not hold the whole run.
pub fn finish(command: &mut Command) -> Output {
    finish_within(command, PATIENCE)
        .unwrap_or_else(|| panic!("{command:?} did not end within {PATIENCE:?}"))
}

/// The same with a limit of its own; `None` when it did not end in time.
pub fn finish_within(command: &mut Command, patience: Duration) -> Option<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let mut pipes = (child.stdout.take(), child.stderr.take());
    fn read<T: Read + Send + 'static>(pipe: Option<T>) -> std::thread::JoinHandle<Vec<u8>> {
        std::thread::spawn(move || {
            let mut all = Vec::new();
            if let Some(mut pipe) = pipe {
                let _ = pipe.read_to_end(&mut all);
            }
            all
        })
    }
    let (out, err) = (read(pipes.0.take()), read(pipes.1.take()));
    let started = Instant::now();
    let status = loop {
        match child.try_wait().expect("a status") {
            Some(status) => break Some(status),
            None if started.elapsed() > patience => break None,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    if status.is_none() {
        let group = format!("-{}", child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = child.wait();
    }
    let (stdout, stderr) = (out.join().expect("its output"), err.join().expect("its errors"));
    Some(Output { status: status?, stdout, stderr })
}

/// Standard output and error of a run, together.
pub fn said(output: &Output) -> String {
    let mut all = String::from_utf8_lossy(&output.stdout).into_owned();
    all.push_str(&String::from_utf8_lossy(&output.stderr));
    all
}

/// A server in another language, stopped with its test.
pub struct Running(Child);

impl Running {
    /// Starts one, and waits until it listens on a port of this machine.
    pub fn on(port: u16, command: &mut Command) -> Self {
        let program = command.get_program().display().to_string();
        let silent = command.stdout(Stdio::null()).stderr(Stdio::null());
        let running = Self(silent.spawn().expect("a program that starts"));
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(60), "{program} does not listen");
            std::thread::sleep(Duration::from_millis(100));
        }
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
