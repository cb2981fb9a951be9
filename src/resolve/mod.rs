//! Puts a table on today's territories in one go: reads it, finds the commune of each row by its
//! code, its name or its place, adds what was asked for, and writes it in the form it came in.
//! `POST /territories/resolve` and `socle carry` are two doors to this room. Nothing of a table is
//! kept, and nothing of it is logged.
//!
//! What codes and names mean is `territory`'s to say; places are asked of the border layers, as an
//! import asks them. What can be answered without layers needs no store.

mod add;
mod kept;
mod places;
mod summary;

pub use crate::formats::sheet::Kind;
pub use add::Wanted;
pub use summary::{conflicts, summary};

use crate::{
    catalog::Snapshot,
    error::{Error, Result},
    formats::{
        encoding::Charset,
        sheet::{self, Form},
    },
    geometry::crs::Crs,
    model::{Budget, Lang, Sheet},
    store::Store,
    territory::{self, CarriedSheet, Carrier, Reference},
};
use kept::Kept;
use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// Tables worked on at once: each takes a core and several times its own size.
const AT_ONCE: usize = 2;
/// How long a table waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// A table as it was sent.
pub struct Sent {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What they are; told by them when not given.
    pub kind: Option<Kind>,
    /// The encoding of a CSV, when the sender says it: a label that means nothing is passed over.
    pub charset: Option<String>,
    /// What was taken up with it (a share of an allowance): let go of when the work is over, which
    /// may be after the sender has gone.
    pub held: Option<Box<dyn Any + Send>>,
}

/// What is asked of a table. Columns by name; recognised where none is named.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// The column of commune codes.
    pub code: Option<String>,
    /// The column of commune names.
    pub name: Option<String>,
    /// The column of départements that goes with the names.
    pub department: Option<String>,
    /// The column of eastings or longitudes.
    pub x: Option<String>,
    /// The column of northings or latitudes.
    pub y: Option<String>,
    /// The CRS of these; degrees when not given.
    pub crs: Option<String>,
    /// How far the nearest commune may be from a place outside all of them, m.
    pub nearest_m: Option<u32>,
    /// The vintage of the codes, when it is known; held against the codes.
    pub vintage: Option<u16>,
    /// What to add: levels, `level:nom`, `layer:property`.
    pub add: Vec<String>,
    /// The form of the result; the form the table came in when not given.
    pub kind: Option<Kind>,
    /// Whether the table as it came is wanted too.
    pub original: bool,
    /// The language of notes.
    pub lang: Lang,
    /// How long it may take.
    pub within: Option<Duration>,
    /// How much memory it may take, bytes: the table as it is read, completed and written.
    pub memory: Option<usize>,
}

/// A table that was resolved.
pub struct Resolved {
    /// The table with its columns, what became of its rows, and the account of it.
    pub done: CarriedSheet,
    /// How it was written.
    pub came: Form,
    /// How it is written now.
    pub form: Form,
    /// Its bytes in that form; of JSON the rows alone.
    pub bytes: Vec<u8>,
    /// The table as it came, as CSV; where [`Ask::original`] asks for it.
    pub original: Vec<u8>,
}

/// Resolves tables.
pub struct Resolver {
    store: Option<Arc<dyn Store>>,
    kept: Kept,
    turns: Arc<Semaphore>,
}

impl Resolver {
    /// A resolver. Without a store, places and layers cannot be asked about.
    pub fn new(store: Option<Arc<dyn Store>>) -> Self {
        Self { store, kept: Kept::default(), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Resolves a table to the communes of a reference, over the layers as they stand. When nobody
    /// waits for it any more the work ends early, and gives back its turn when it has ended.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is wrong with the table or the wish; [`Error::Conflict`] when no
    /// layer gives the borders that are needed; [`Error::Busy`] when others wait already;
    /// [`Error::Unavailable`] when the time is up.
    pub async fn resolve(
        self: &Arc<Self>,
        sent: Sent,
        ask: Ask,
        reference: &Arc<Reference>,
        snapshot: Option<Arc<Snapshot>>,
    ) -> Result<Resolved> {
        let turn = tokio::time::timeout(PATIENCE, self.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(Error::Busy { retry_after: PATIENCE }) };
        let until = ask.within.map(|within| Instant::now() + within);
        let budget = Arc::new(Budget::new(ask.memory, until));
        let waiting = Waiting(budget.clone());
        let (resolver, reference) = (self.clone(), reference.clone());
        let done = tokio::task::spawn_blocking(move || {
            let carrier = Carrier::new(reference);
            let (snapshot, budget) = (snapshot.as_deref(), &budget);
            let work = Work { resolver: &resolver, carrier: &carrier, snapshot, budget };
            let held = sent.held;
            let done = work.run(sent.bytes, sent.kind, sent.charset.as_deref(), &ask);
            resolver.kept.forget_later(&resolver);
            drop((turn, held));
            done
        });
        let done = done.await;
        drop(waiting);
        done.map_err(|e| Error::fault("resolving a table", e))?
    }
}

/// Someone who waits for a table.
struct Waiting(Arc<Budget>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

/// One table at work.
struct Work<'a> {
    resolver: &'a Resolver,
    carrier: &'a Carrier,
    snapshot: Option<&'a Snapshot>,
    budget: &'a Arc<Budget>,
}

impl Work<'_> {
    fn run(
        &self,
        bytes: Vec<u8>,
        kind: Option<Kind>,
        charset: Option<&str>,
        ask: &Ask,
    ) -> Result<Resolved> {
        let budget = self.budget;
        let table = sheet::read(bytes, kind, charset.and_then(Charset::from_label), budget)?;
        let wanted = Wanted::read(&ask.add, self.snapshot)?;
        let place = self.place(&table.sheet, ask)?;
        let by_place = ask.x.is_some() || ask.y.is_some();
        let carry = territory::Ask {
            code: ask.code.clone(),
            name: ask.name.clone(),
            department: ask.department.clone(),
            place,
            by_place,
            vintage: ask.vintage,
            add: wanted.communal.clone(),
            lang: ask.lang,
            budget: budget.clone(),
        };
        let plan = self.carrier.plan(&table.sheet, &carry)?;
        let crs = ask.crs.as_deref().map(Crs::parse).transpose();
        let crs = crs.map_err(|e| Error::Invalid(e.text()))?;
        let nearest_m = ask.nearest_m;
        let asked = places::Asked { plan, by_place, crs, nearest_m, wanted: &wanted, budget };
        let found = self.places(&table.sheet, place, &asked)?;
        let original = match ask.original {
            true => {
                let form = Form { bom: false, ..Form::usual(Kind::Csv) };
                sheet::write(&table.sheet, form, &[], budget)?
            }
            false => Vec::new(),
        };
        let mut done = self.carrier.carry(table.sheet, &plan, &carry, &found.communes)?;
        done.notes.extend(table.notes);
        done.notes.extend(found.notes);
        self.carrier.widen(&mut done, &carry, found.columns)?;
        let form = match ask.kind {
            Some(kind) if kind != table.form.kind => Form::usual(kind),
            _ => table.form,
        };
        let extra = match form.kind {
            Kind::Xlsx => self.account(&done, ask.lang),
            _ => Vec::new(),
        };
        let bytes = sheet::write(&done.sheet, form, &extra, budget)?;
        Ok(Resolved { done, came: table.form, form, bytes, original })
    }

    /// The sheets of a workbook that say what was done.
    fn account(&self, done: &CarriedSheet, lang: Lang) -> Vec<(&'static str, Sheet)> {
        let [sum, list] = match lang {
            Lang::Fr => ["Résumé", "Conflits"],
            Lang::En => ["Summary", "Conflicts"],
        };
        let reference = self.reference();
        vec![(sum, summary(done, reference, lang)), (list, conflicts(done, reference, lang))]
    }

    /// The reference that tables are put on.
    fn reference(&self) -> &Arc<Reference> {
        self.carrier.reference()
    }

    /// The columns of a row's place: those named, else those with usual names.
    fn place(&self, sheet: &Sheet, ask: &Ask) -> Result<Option<(usize, usize)>> {
        match (&ask.x, &ask.y) {
            (Some(x), Some(y)) => {
                Ok(Some((self.carrier.column(sheet, x)?, self.carrier.column(sheet, y)?)))
            }
            // Places that nobody could be asked about tell nothing.
            (None, None) => {
                Ok(self.resolver.store.as_ref().and_then(|_| sheet::axes(&sheet.header)))
            }
            _ => Err(Error::Invalid(crate::text!(
                "Une position demande deux colonnes : « lon » et « lat », ou « x » et « y ».",
                "A place takes two columns: \"lon\" and \"lat\", or \"x\" and \"y\"."
            ))),
        }
    }
}

#[cfg(test)]
mod tests;
