//! Reads the source on one thread while the other checks what was read.

use super::{
    Job,
    check::{self, Checked},
};
use crate::{
    error::{Error, Result},
    formats::{self, Next, OpenLimits},
    geometry::crs::Crs,
    model::{Record, Refusal, Report, Schema, Text},
    text,
};
use rayon::prelude::*;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Rows handed over at once.
const BATCH: usize = 256;
/// Batches waiting between the two threads.
const WAITING: usize = 16;

/// Rows that passed the checks, in source order, with the fields they have.
pub(super) struct Rows {
    /// In the batches they were read in: whoever consumes them lets go of each in turn.
    pub(super) checked: Vec<Vec<Checked>>,
    pub(super) schema: Schema,
}

/// What the reading thread sends.
struct Batch {
    records: Vec<Record>,
    refusals: Vec<Refusal>,
    /// The CRS the file names, once it is known.
    crs: Option<String>,
    position: u64,
}

/// What the reading thread found at the end.
struct Finished {
    fields: Vec<crate::model::Field>,
    notes: Vec<Text>,
    crs: Option<String>,
}

pub(super) fn read(job: &Job<'_>, limits: &OpenLimits, report: &mut Report) -> Result<Rows> {
    let def = job.def;
    let mut reader =
        formats::open_within(&job.source.path, &job.source.name, &def.source, job.workdir, limits)?;
    let declared = def.source.crs.as_deref().map(known).transpose()?;
    job.progress.stage(text!("Lecture", "Reading"), Some(job.source.bytes));
    let (sender, receiver) = sync_channel(WAITING);
    let (finished, checked) = std::thread::scope(|scope| {
        let reading = scope.spawn(move || pump(reader.as_mut(), &sender));
        let checked = receive(job, receiver, declared.as_ref(), report);
        let finished = reading.join().unwrap_or_else(|_| Err(Error::broken("the reader stopped")));
        (finished, checked)
    });
    // A broken file explains itself better than the rows that came before it.
    let finished = finished?;
    let mut checked = checked?;
    report.notes.extend(finished.notes);
    if let (Some(declared), Some(found)) = (&declared, &finished.crs)
        && Crs::parse(found).is_ok_and(|f| f != *declared)
    {
        let declared = declared.name();
        report.notes.push(text!(
            "Le fichier annonce un autre système de coordonnées que celui déclaré ; le déclaré ({declared}) a été suivi.",
            "The file names another CRS than the declared one; the declared one ({declared}) was followed."
        ));
    }
    checked.par_iter_mut().flatten().for_each(|row| {
        row.values.resize_with(finished.fields.len(), Default::default);
        for (value, field) in row.values.iter_mut().zip(&finished.fields) {
            let taken = std::mem::take(value);
            *value = check::normal(formats::cast(taken, field.kind));
        }
    });
    let schema = Schema { fields: finished.fields, ..Schema::default() };
    Ok(Rows { checked, schema })
}

/// A CRS by its name, or the delivery is refused saying which are known.
fn known(name: &str) -> Result<Crs> {
    Crs::parse(name).map_err(|e| Error::Refused(e.text()))
}

/// Reads to the end, in batches.
fn pump(reader: &mut dyn formats::Reader, out: &SyncSender<Batch>) -> Result<Finished> {
    loop {
        let mut records = Vec::with_capacity(BATCH);
        let mut refusals = Vec::new();
        let mut end = false;
        while records.len() < BATCH && refusals.len() < BATCH {
            match reader.next()? {
                Next::Record(record) => records.push(record),
                Next::Refused(refusal) => refusals.push(refusal),
                Next::End => {
                    end = true;
                    break;
                }
            }
        }
        let crs = reader.crs().map(str::to_owned);
        let batch = Batch { records, refusals, crs: crs.clone(), position: reader.position() };
        // The other side hangs up only when it failed; its error is the one to show.
        if out.send(batch).is_err() || end {
            return Ok(Finished { fields: reader.fields().to_vec(), notes: reader.notes(), crs });
        }
    }
}

fn receive(
    job: &Job<'_>,
    batches: Receiver<Batch>,
    declared: Option<&Crs>,
    report: &mut Report,
) -> Result<Vec<Vec<Checked>>> {
    let mut all = Vec::new();
    let mut named: Option<(String, Crs)> = None;
    for batch in batches {
        let crs = match (declared, &batch.crs) {
            (Some(declared), _) => declared.clone(),
            (None, Some(name)) => match &named {
                Some((known, crs)) if known == name => Crs::clone(crs),
                _ => named.insert((name.clone(), self::known(name)?)).1.clone(),
            },
            (None, None) => Crs::crs84(),
        };
        report.read += (batch.records.len() + batch.refusals.len()) as u64;
        let results: Vec<_> =
            batch.records.into_par_iter().map(|record| check::check(record, &crs)).collect();
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
        all.push(kept);
        refusals.sort_by_key(|r| r.line);
        for refusal in refusals {
            report.refuse(refusal);
        }
        job.progress.advance(batch.position);
    }
    Ok(all)
}
