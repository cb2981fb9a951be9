//! Reads the source on one thread while the other checks what was read.

use super::{
    Job,
    check::{self, Checked},
    meter::Meter,
    place::{self, Placing},
};
use crate::{
    error::{Error, Result},
    formats::{self, Next},
    model::{Record, Refusal, Report, Schema, SourceLimits, Text},
    store::{
        Spool,
        spool::{self, Spill, Spooling},
    },
    text,
};
use rayon::prelude::*;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Rows handed over at once.
const BATCH: usize = 256;
/// Bytes of them, by estimate, from which on fewer are.
const BATCH_BYTES: usize = 1 << 20;
/// Batches waiting between the two threads.
const WAITING: usize = 16;

/// Rows that passed the checks, in source order, with the fields they have.
pub(super) struct Rows {
    checked: Spool<Checked>,
    pub(super) schema: Schema,
    /// Whether values are as they were read: what their fields hold was known at the end only.
    raw: bool,
}

impl Rows {
    /// Rows whose values are of their fields.
    pub(super) fn new(checked: Spool<Checked>, schema: Schema) -> Self {
        Self { checked, schema, raw: false }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.checked.len()
    }

    /// Where rows made of them go.
    pub(super) fn spill(&self, spill: &Spill) -> Spill {
        spill.like(&self.checked)
    }

    /// Gives all of them away in order, in batches.
    pub(super) fn drain(self, mut take: impl FnMut(Vec<Checked>) -> Result<()>) -> Result<()> {
        let Self { checked, schema, raw } = self;
        checked.drain(|mut batch| {
            if raw {
                batch.par_iter_mut().with_min_len(64).for_each(|row| settle(row, &schema));
            }
            take(batch)
        })
    }
}

/// Makes a row one of a schema.
fn settle(row: &mut Checked, schema: &Schema) {
    row.values.resize_with(schema.fields.len(), Default::default);
    for (value, field) in row.values.iter_mut().zip(&schema.fields) {
        let taken = std::mem::take(value);
        *value = check::normal(formats::cast(taken, field.kind));
    }
}

/// What the reading thread sends.
struct Batch {
    records: Vec<Record>,
    refusals: Vec<Refusal>,
    /// The CRS the file names, once it is known.
    crs: Option<String>,
    /// Whether positions are in the order of axes of its authority.
    authority: bool,
    position: u64,
}

/// What the reading thread found at the end.
struct Finished {
    fields: Vec<crate::model::Field>,
    notes: Vec<Text>,
    crs: Option<String>,
}

pub(super) fn read(
    job: &Job<'_>,
    limits: &SourceLimits,
    spill: &Spill,
    report: &mut Report,
) -> Result<Rows> {
    let def = job.def;
    let mut source = def.source.clone();
    // Columns of codes are text whatever their values look like: `59350,59009` is no decimal.
    source.csv.text.extend(def.territory.columns.iter().map(|column| column.column.clone()));
    let mut reader =
        formats::open_within(&job.source.path, &job.source.name, &source, job.workdir, limits)?;
    let declared = def.source.crs.as_deref().map(place::known).transpose()?;
    let mut placing = Placing::new(declared);
    job.progress.stage(text!("Lecture", "Reading"), Some(job.source.bytes));
    let (sender, receiver) = sync_channel(WAITING);
    let (finished, checked) = std::thread::scope(|scope| {
        let reading = scope.spawn(move || pump(reader.as_mut(), Meter::new(limits), &sender));
        let checked = receive(job, receiver, &mut placing, Spooling::new(spill), report);
        let finished = reading.join().unwrap_or_else(|_| Err(Error::broken("the reader stopped")));
        (finished, checked)
    });
    // A broken file explains itself better than the rows that came before it.
    let finished = finished?;
    let checked = checked?;
    if let Some(doubt) = placing.doubt.take() {
        if checked.is_empty() {
            let Text { fr, en } = super::nothing(report);
            return Err(Error::Refused(Text::new(
                format!("{fr} {}", doubt.fr),
                format!("{en} {}", doubt.en),
            )));
        }
        placing.notes.push(doubt);
    }
    report.notes.extend(finished.notes);
    placing.contradicted(finished.crs.as_deref());
    report.notes.extend(placing.notes);
    let schema = Schema { fields: finished.fields, ..Schema::default() };
    Ok(Rows { checked, schema, raw: true })
}

/// Reads to the end, in batches.
fn pump(
    reader: &mut dyn formats::Reader,
    mut meter: Meter,
    out: &SyncSender<Batch>,
) -> Result<Finished> {
    meter.columns(reader.fields().len())?;
    loop {
        let mut records = Vec::with_capacity(BATCH);
        let mut refusals = Vec::new();
        let (mut bytes, mut end) = (0, false);
        while records.len() < BATCH && refusals.len() < BATCH && bytes < BATCH_BYTES {
            match reader.next()? {
                Next::Record(record) => match meter.row(&record, reader.fields())? {
                    None => {
                        bytes += spool::weight(&record.values, record.geometry.as_ref());
                        records.push(record);
                    }
                    Some(refusal) => refusals.push(refusal),
                },
                Next::Refused(refusal) => {
                    meter.refused()?;
                    refusals.push(refusal);
                }
                Next::End => {
                    end = true;
                    break;
                }
            }
        }
        let crs = reader.crs().map(str::to_owned);
        let (authority, position) = (reader.authority_axes(), reader.position());
        let batch = Batch { records, refusals, crs: crs.clone(), authority, position };
        // The other side hangs up only when it failed; its error is the one to show.
        if out.send(batch).is_err() || end {
            return Ok(Finished { fields: reader.fields().to_vec(), notes: reader.notes(), crs });
        }
    }
}

fn receive(
    job: &Job<'_>,
    batches: Receiver<Batch>,
    placing: &mut Placing,
    mut all: Spooling<Checked>,
    report: &mut Report,
) -> Result<Spool<Checked>> {
    for batch in batches {
        let crs = placing.of(batch.crs.as_deref(), batch.authority, &batch.records)?;
        let turned = batch.authority && crs.authority_is_lat_lon();
        report.read += (batch.records.len() + batch.refusals.len()) as u64;
        let results: Vec<_> = batch
            .records
            .into_par_iter()
            .map(|record| check::check(record, &crs, turned))
            .collect();
        let mut refusals = batch.refusals;
        let mut kept = Vec::with_capacity(results.len());
        for result in results {
            match result {
                Ok(row) => {
                    report.repaired += u64::from(row.repaired);
                    kept.push(row);
                }
                Err(refusal) => refusals.push(refusal),
            }
        }
        all.extend(kept)?;
        refusals.sort_by_key(|r| r.line);
        for refusal in refusals {
            report.refuse(refusal);
        }
        job.progress.advance(batch.position);
    }
    all.finish()
}
