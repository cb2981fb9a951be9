//! The database made ready: is it new enough, is PostGIS there, are our schemas there and ours to
//! read. Numbered migrations run once, one program at a time. A database that a newer program
//! migrated is refused.

use super::{
    fault,
    link::{Failed, Link, Param},
    names::{Names, quoted},
};
use crate::{
    config::PostgisSettings,
    error::{Error, Result},
    text,
};
use tokio_postgres::{error::SqlState, types::Type};

/// The migrations, oldest first; their place is their number.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_store.sql"),
    include_str!("migrations/0002_tables.sql"),
    include_str!("migrations/0003_places.sql"),
    include_str!("migrations/0004_changes.sql"),
    include_str!("migrations/0005_touched.sql"),
    include_str!("migrations/0006_reference.sql"),
    include_str!("migrations/0007_trusted.sql"),
    include_str!("migrations/0008_held.sql"),
    include_str!("migrations/0009_runs.sql"),
    include_str!("migrations/0010_told.sql"),
];

/// PostgreSQL's `server_version_num` of the oldest served.
const POSTGRESQL: i32 = 130_000;
/// PostGIS, the same.
const POSTGIS: (u32, u32) = (3, 1);

/// Names one lock among all that use the database: "socle" in ASCII.
const LOCK: i64 = 0x0073_6f63_6c65;

/// Checks the database and brings it up to date. Gives the names that statements use.
pub(super) async fn prepare(link: &mut Link, settings: &PostgisSettings) -> Result<Names> {
    let failed = |e: Failed| e.meaning("preparing the database");
    server(link).await?;
    let mut names = Names::new(&settings.schema);
    let done = applied(link, &names).await?;
    if done < MIGRATIONS.len() || postgis(link).await?.is_none() {
        migrate(link, &names, settings).await?;
    }
    let (schema, version) = postgis(link).await?.ok_or_else(fault::unreachable)?;
    if version < POSTGIS {
        let (major, minor) = version;
        return Err(Error::Refused(text!(
            "PostGIS {major}.{minor} est trop ancien : il faut 3.1 ou plus récent.",
            "PostGIS {major}.{minor} is too old: 3.1 or newer is needed."
        )));
    }
    names.gis = quoted(&schema) + ".";
    link.rows("SELECT 1", &[]).await.map_err(failed)?;
    Ok(names)
}

async fn server(link: &mut Link) -> Result<()> {
    let sql = "SELECT current_setting('server_version_num')::int4";
    let row = link.row(sql, &[]).await.map_err(|e| e.meaning("asking for the server's version"))?;
    let number: i32 = row.and_then(|r| r.try_get(0).ok()).unwrap_or_default();
    if number < POSTGRESQL {
        let major = number / 10_000;
        return Err(Error::Refused(text!(
            "PostgreSQL {major} est trop ancien : il faut 13 ou plus récent.",
            "PostgreSQL {major} is too old: 13 or newer is needed."
        )));
    }
    Ok(())
}

/// Where PostGIS is, and which; `None` when it is not in the database.
async fn postgis(link: &mut Link) -> Result<Option<(String, (u32, u32))>> {
    let sql = "SELECT n.nspname::text, e.extversion FROM pg_catalog.pg_extension e
               JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'postgis'";
    let row = link.row(sql, &[]).await.map_err(|e| e.meaning("looking for PostGIS"))?;
    Ok(row.and_then(|row| {
        let version: String = row.try_get(1).ok()?;
        let mut numbers = version.split('.').map_while(|n| n.parse().ok());
        let version = (numbers.next()?, numbers.next().unwrap_or(0));
        Some((row.try_get(0).ok()?, version))
    }))
}

/// How many migrations were run here; refuses a database from the future.
async fn applied(link: &mut Link, names: &Names) -> Result<usize> {
    let sql = names.sql("SELECT coalesce(max(number), 0)::int4 FROM {s}migrations");
    let done = match link.row(&sql, &[]).await {
        Ok(row) => row.and_then(|r| r.try_get::<_, i32>(0).ok()).unwrap_or_default(),
        Err(e) if e.is_gone() || e.is(&SqlState::INVALID_SCHEMA_NAME) => 0,
        Err(e) => return Err(e.meaning("reading the database's version")),
    };
    let done = usize::try_from(done).unwrap_or_default();
    if done > MIGRATIONS.len() {
        let ours = MIGRATIONS.len();
        return Err(Error::Refused(text!(
            "La base est à la version {done} ; ce programme s'arrête à la {ours}. Mettez Socle à jour, ou restaurez une sauvegarde d'avant.",
            "The database is at version {done}; this program stops at {ours}. Update Socle, or restore an older backup."
        )));
    }
    Ok(done)
}

async fn migrate(link: &mut Link, names: &Names, settings: &PostgisSettings) -> Result<()> {
    let failed = |e: Failed| match e.is_read_only() {
        true => Error::Unavailable(text!(
            "La base n'est pas encore préparée et ce rôle n'en a pas le droit : lancez d'abord « socle check » ou « socle harvest » avec le rôle qui charge.",
            "The database is not prepared yet and this role may not do it: first run \"socle check\" or \"socle harvest\" with the role that loads."
        )),
        false => e.meaning("migrating the database"),
    };
    link.begin(None).await.map_err(failed)?;
    // One program at a time; the lock ends with the transaction, also behind a pooler.
    let lock: Param<'_> = (&LOCK, Type::INT8);
    link.rows("SELECT pg_advisory_xact_lock($1)", &[lock]).await.map_err(failed)?;
    link.batch("SET LOCAL client_min_messages = warning").await.map_err(failed)?;
    if postgis(link).await?.is_none() {
        create_postgis(link).await?;
    }
    if let Some(role) = &settings.load_role {
        let role: Param<'_> = (role, Type::TEXT);
        link.rows("SELECT set_config('role', $1, true)", &[role]).await.map_err(failed)?;
    }
    let (store, views) = (quoted(&names.store), quoted(&names.views));
    let done = {
        let sql = "SELECT to_regclass($1) IS NOT NULL";
        let table = format!("{store}.migrations");
        let table: Param<'_> = (&table, Type::TEXT);
        let there = link.row(sql, &[table]).await.map_err(failed)?;
        match there.and_then(|r| r.try_get(0).ok()).unwrap_or(false) {
            true => applied(link, names).await?,
            false => 0,
        }
    };
    if done == 0 {
        for schema in [&views, &store] {
            let sql = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1";
            let plain = schema.trim_matches('"').to_owned();
            let name: Param<'_> = (&plain, Type::TEXT);
            // IF NOT EXISTS would ask for the right to create even where there is nothing to do.
            if link.row(sql, &[name]).await.map_err(failed)?.is_none() {
                link.batch(&format!("CREATE SCHEMA {schema}")).await.map_err(failed)?;
            }
        }
        let table = format!(
            "CREATE TABLE {store}.migrations (number integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        );
        link.batch(&table).await.map_err(failed)?;
    }
    link.batch(&format!("SET LOCAL search_path = {store}")).await.map_err(failed)?;
    for (number, text) in (1i32..).zip(MIGRATIONS).skip(done) {
        link.batch(text).await.map_err(failed)?;
        let number: Param<'_> = (&number, Type::INT4);
        link.run("INSERT INTO migrations (number) VALUES ($1)", &[number]).await.map_err(failed)?;
    }
    link.commit().await.map_err(failed)
}

async fn create_postgis(link: &mut Link) -> Result<()> {
    match link.batch("CREATE EXTENSION postgis").await {
        Ok(()) => Ok(()),
        Err(e) if e.is_lost() => Err(e.meaning("creating PostGIS")),
        Err(e) => {
            tracing::error!(cause = e.meaning("creating PostGIS").chain(), "PostGIS is missing");
            Err(Error::Refused(text!(
                "PostGIS n'est pas installé dans cette base. Un administrateur doit y lancer : CREATE EXTENSION postgis;",
                "PostGIS is not installed in this database. An administrator has to run there: CREATE EXTENSION postgis;"
            )))
        }
    }
}

/// Lets a role read everything there is and will be, and note what it reads.
pub(super) async fn grant(link: &mut Link, names: &Names, role: &str) -> Result<()> {
    let failed = |e: Failed| e.meaning("granting the reading role its rights");
    let known: Param<'_> = (&role, Type::TEXT);
    let sql = "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1";
    if link.row(sql, &[known]).await.map_err(failed)?.is_none() {
        return Err(Error::Invalid(text!(
            "Le rôle « {role} » (read_role) n'existe pas dans la base.",
            "The role \"{role}\" (read_role) does not exist in the database."
        )));
    }
    let (store, views, role) = (quoted(&names.store), quoted(&names.views), quoted(role));
    let sql = format!(
        "GRANT USAGE ON SCHEMA {store}, {views} TO {role};
         GRANT SELECT ON ALL TABLES IN SCHEMA {store}, {views} TO {role};
         GRANT INSERT, UPDATE, DELETE ON {store}.holds, {store}.live, {store}.live_cells, {store}.live_edits, {store}.live_touched TO {role};
         ALTER DEFAULT PRIVILEGES IN SCHEMA {store}, {views} GRANT SELECT ON TABLES TO {role};"
    );
    link.batch(&sql).await.map_err(failed)
}
