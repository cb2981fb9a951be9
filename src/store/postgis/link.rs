//! One borrowed connection: statements with bound values, each within its time, in a transaction
//! or not. Whoever gives up in the middle — a client that left, a timeout — has the statement
//! cancelled on the server, and the connection goes back to the pool only once it is quiet.
//!
//! Behind a pooler the protocol's own cancel request is not used: it names a connection, which by
//! the time it arrives may be lent to somebody else, and PgBouncer before 1.21 may die of it
//! (pgbouncer#822; Debian 12 has 1.18). There every statement begins with a mark of its loan, and
//! is cancelled by it, in SQL.

use super::{connect::Connections, fault};
use crate::error::{Error, Result};
use deadpool_postgres::Object;
use futures_util::TryStreamExt;
use std::{borrow::Cow, future::Future, pin::pin, time::Duration};
use tokio_postgres::{
    Error as Database, Row,
    types::{FromSql, ToSql, Type},
};

/// A bound value with the type it is sent as: statements need no preparation to know it.
pub(super) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// What running a statement may come to: the database's error is kept, for those who look at it.
pub(super) type Ran<T> = std::result::Result<T, Failed>;

/// A statement that did not work.
#[derive(Debug)]
pub(super) enum Failed {
    /// The database's answer.
    Database(Database),
    /// It took too long.
    Late,
    /// The server fell silent meanwhile.
    Silent,
    /// What came of it is of no use, for a reason that is already known.
    Known(Error),
}

impl From<Error> for Failed {
    fn from(e: Error) -> Self {
        Self::Known(e)
    }
}

/// A cell of a row.
pub(super) fn cell<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T> {
    row.try_get(index).map_err(|e| Error::fault("an answer of the database", e))
}

impl Failed {
    /// Its meaning to the domain.
    pub(super) fn meaning(self, what: &str) -> Error {
        match self {
            Self::Database(e) => fault::of(what, e),
            Self::Late => fault::too_slow(),
            Self::Silent => fault::unreachable(),
            Self::Known(e) => e,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Database(e) if fault::is_gone(e))
    }

    pub(super) fn is_read_only(&self) -> bool {
        matches!(self, Self::Database(e) if fault::is_read_only(e))
    }

    /// Whether a geometry could not be brought where it was wanted: PostGIS says so in no
    /// narrower words than "internal error" or "invalid parameter".
    pub(super) fn is_of_geometry(&self) -> bool {
        self.is(&tokio_postgres::error::SqlState::INTERNAL_ERROR)
            || self.is(&tokio_postgres::error::SqlState::INVALID_PARAMETER_VALUE)
    }

    /// Whether a value was none of the type it was to be of.
    pub(super) fn is_of_data(&self) -> bool {
        matches!(self, Self::Database(e) if e.code().is_some_and(|c| c.code().starts_with("22")))
    }

    pub(super) fn is_lost(&self) -> bool {
        match self {
            Self::Database(e) => fault::is_lost(e),
            other => matches!(other, Self::Silent),
        }
    }

    /// Whether a replica cancelled it to go on following the primary.
    pub(super) fn is_overtaken(&self) -> bool {
        self.is(&tokio_postgres::error::SqlState::T_R_SERIALIZATION_FAILURE)
    }

    /// Whether it is the given SQLSTATE.
    pub(super) fn is(&self, state: &tokio_postgres::error::SqlState) -> bool {
        matches!(self, Self::Database(e) if e.code() == Some(state))
    }
}

/// How long the server may take to act on a cancellation, of which it says nothing.
const LATE_CANCEL: Duration = Duration::from_millis(200);

/// A borrowed connection.
pub(super) struct Link {
    /// Gone only while dropping.
    object: Option<Object>,
    connections: Connections,
    /// A statement is under way.
    running: bool,
    /// A transaction is open.
    open: bool,
    /// The comment its statements begin with behind a pooler.
    mark: Option<String>,
}

impl Connections {
    /// Borrows a connection.
    pub(super) async fn link(&self) -> Result<Link> {
        let object = self.get().await?;
        let mark = self.pooled.then(|| format!("/*{}*/", super::random_name()));
        let connections = self.clone();
        Ok(Link { object: Some(object), connections, running: false, open: false, mark })
    }
}

impl Link {
    fn client(&self) -> Result<&Object> {
        self.object.as_ref().ok_or_else(|| Error::broken("a connection is used after its end"))
    }

    /// The client itself, for COPY. Errors leave the transaction to be rolled back.
    pub(super) fn raw(&self) -> Result<&tokio_postgres::Client> {
        Ok(self.client()?)
    }

    /// The statement as it is sent.
    fn marked<'s>(&self, sql: &'s str) -> Cow<'s, str> {
        match &self.mark {
            Some(mark) => Cow::Owned(format!("{mark}{sql}")),
            None => Cow::Borrowed(sql),
        }
    }

    /// Runs `work` on the connection within `limit`.
    async fn within<T>(
        &mut self,
        limit: Option<Duration>,
        work: impl AsyncFnOnce(&Object) -> std::result::Result<T, Database>,
    ) -> Ran<T> {
        self.running = true;
        let Some(object) = self.object.as_ref() else { return Err(Failed::Late) };
        let work = pin!(work(object));
        // Late or silent: still running, so that dropping cancels it.
        let done = match limit {
            Some(limit) => self.patiently(limit, work).await?,
            None => work.await,
        };
        self.running = false;
        done.map_err(Failed::Database)
    }

    /// Waits for an answer within `limit`, and as long as the server answers at all.
    async fn patiently<F: Future>(
        &self,
        limit: Duration,
        work: std::pin::Pin<&mut F>,
    ) -> Ran<F::Output> {
        tokio::select! {
            biased;
            done = tokio::time::timeout(limit, work) => done.map_err(|_| Failed::Late),
            () = self.connections.health.falls_silent() => Err(Failed::Silent),
        }
    }

    fn limit(&self) -> Option<Duration> {
        // Inside a transaction it is a job's: its statements take the time they take.
        (!self.open).then_some(self.connections.statement)
    }

    /// Rows of a statement that is run once in a while.
    pub(super) async fn rows(&mut self, sql: &str, params: &[Param<'_>]) -> Ran<Vec<Row>> {
        let (limit, sql) = (self.limit(), self.marked(sql));
        self.within(limit, async |client| client.query_typed(&sql, params).await).await
    }

    /// The first row of a statement.
    pub(super) async fn row(&mut self, sql: &str, params: &[Param<'_>]) -> Ran<Option<Row>> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// Rows of a statement that is run all the time: prepared once per connection, where the
    /// connection is ours alone.
    pub(super) async fn hot(&mut self, sql: &str, params: &[Param<'_>]) -> Ran<Vec<Row>> {
        if self.connections.pooled {
            return self.rows(sql, params).await;
        }
        let limit = self.limit();
        self.within(limit, async |client| {
            let types: Vec<Type> = params.iter().map(|p| p.1.clone()).collect();
            let values: Vec<&(dyn ToSql + Sync)> = params.iter().map(|p| p.0).collect();
            let statement = client.prepare_typed_cached(sql, &types).await?;
            client.query(&statement, &values).await
        })
        .await
    }

    /// Shows the rows of a statement as they come, at most `limit` between two of them.
    pub(super) async fn each(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        mut show: impl FnMut(&Row) -> Result<std::ops::ControlFlow<()>>,
    ) -> Ran<()> {
        self.running = true;
        let (limit, sql) = (self.connections.statement, self.marked(sql));
        let Some(client) = self.object.as_ref() else { return Err(Failed::Late) };
        let owned = params.iter().map(|(v, t)| (*v, t.clone()));
        let stream = client.query_typed_raw(&sql, owned);
        let stream = self.patiently(limit, pin!(stream)).await?;
        let mut stream = pin!(stream.map_err(|e| {
            self.running = false;
            Failed::Database(e)
        })?);
        loop {
            let next = self.patiently(limit, pin!(stream.try_next())).await?;
            let row = match next {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(e) => {
                    self.running = false;
                    return Err(Failed::Database(e));
                }
            };
            match show(&row) {
                Ok(std::ops::ControlFlow::Continue(())) => {}
                // What is left of the answer is not waited for: `running` has it cancelled.
                Ok(std::ops::ControlFlow::Break(())) => return Ok(()),
                Err(e) => return Err(e.into()),
            }
        }
        self.running = false;
        Ok(())
    }

    /// The rows of a job's statement, taken when there is use for them. Whoever comes to their end
    /// says so by [`Link::set_running`].
    pub(super) async fn stream(&mut self, sql: &str) -> Ran<tokio_postgres::RowStream> {
        self.running = true;
        let none: [Param<'_>; 0] = [];
        let rows = self.client()?.query_typed_raw(&self.marked(sql), none).await;
        rows.map_err(Failed::Database)
    }

    /// Runs a statement, gives the number of rows it touched.
    pub(super) async fn run(&mut self, sql: &str, params: &[Param<'_>]) -> Ran<u64> {
        let (limit, sql) = (self.limit(), self.marked(sql));
        self.within(limit, async |client| client.execute_typed(&sql, params).await).await
    }

    /// Runs statements without values.
    pub(super) async fn batch(&mut self, sql: &str) -> Ran<()> {
        let (limit, sql) = (self.limit(), self.marked(sql));
        self.within(limit, async |client| client.batch_execute(&sql).await).await
    }

    /// Opens a transaction, as the loading role where one is named.
    pub(super) async fn begin(&mut self, role: Option<&str>) -> Ran<()> {
        self.batch("BEGIN").await?;
        self.open = true;
        // Jobs are not requests: theirs is the time they need.
        self.batch("SET LOCAL statement_timeout = 0").await?;
        if let Some(role) = role {
            let role: Param<'_> = (&role, Type::TEXT);
            self.rows("SELECT set_config('role', $1, true)", &[role]).await?;
        }
        Ok(())
    }

    /// Ends a transaction well.
    pub(super) async fn commit(&mut self) -> Ran<()> {
        self.batch("COMMIT").await?;
        self.open = false;
        Ok(())
    }

    /// Ends a transaction as if it had not been.
    pub(super) async fn rollback(&mut self) -> Ran<()> {
        self.batch("ROLLBACK").await?;
        self.open = false;
        Ok(())
    }

    /// Notes that work done through [`Link::raw`] begins or ended.
    pub(super) fn set_running(&mut self, running: bool) {
        self.running = running;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else { return };
        if !self.running && !self.open {
            return; // quiet: back to the pool
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            drop(Object::take(object));
            return;
        };
        let (running, connections) = (self.running, self.connections.clone());
        let mark = self.mark.take();
        runtime.spawn(async move {
            let quiet = tokio::time::timeout(connections.wait(), async {
                if running {
                    match mark {
                        Some(mark) => cancel_marked(&connections, &mark).await.ok()?,
                        None => {
                            let cancel = object.cancel_token();
                            cancel.cancel_query(connections.address.tls.clone()).await.ok()?;
                        }
                    }
                }
                // Behind the cancelled statement: once this is answered, all is quiet.
                object.batch_execute("ROLLBACK").await.ok()?;
                if running {
                    // A cancellation that found its statement ended comes late, and would hit the
                    // next one, of somebody else. A connection that idles ignores it.
                    tokio::time::sleep(LATE_CANCEL).await;
                }
                Some(())
            });
            if quiet.await.ok().flatten().is_none() {
                drop(Object::take(object)); // not to be trusted any more
            }
        });
    }
}

/// Cancels the statement that bears a mark, over a connection of its own: those of the pool may all
/// be at work on what nobody waits for any more. Only what is ours can bear it, for it is drawn at
/// random; what ended meanwhile bears it no more.
async fn cancel_marked(connections: &Connections, mark: &str) -> std::result::Result<(), Database> {
    let address = &connections.address;
    let (client, connection) = address.config.connect(address.tls.clone()).await?;
    let driven = tokio::spawn(connection);
    // The mark holds nothing but letters, digits and the signs of a comment.
    let cancelled = client
        .batch_execute(&format!(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
             WHERE usename = session_user AND state = 'active' AND starts_with(query, '{mark}')"
        ))
        .await;
    driven.abort();
    cancelled
}
