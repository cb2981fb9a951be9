//! Rows of old communes that meet on one of today, with values that differ: nothing is merged or
//! picked, and the report says where.

use super::attach::{Attacher, Attachment};
use crate::{
    error::Result,
    model::{
        Feature, Value,
        report::{Conflict, MAX_LISTED},
    },
    store::Spool,
};
use rayon::prelude::*;
use rustc_hash::FxHashSet;
use std::collections::{BTreeMap, BTreeSet};

/// Communes on which rows of several codes may meet, in a table that has one row for each code.
pub(super) struct Meetings {
    field: usize,
    codes: BTreeSet<String>,
    /// By commune, the codes that name it and the rows.
    met: BTreeMap<u32, Vec<(String, u32)>>,
    moved: BTreeSet<u32>,
}

impl Meetings {
    pub(super) fn of(field: usize) -> Self {
        let (codes, met, moved) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
        Self { field, codes, met, moved }
    }

    /// Adds a feature and what it was attached to. `false`: its code came before.
    pub(super) fn add(&mut self, a: &Attachment, feature: &Feature, ordinal: usize) -> bool {
        let code = feature.values.get(self.field).and_then(Value::as_code);
        let (Some(code), [rank]) = (code, a.communes.as_slice()) else { return true };
        if !self.codes.insert(code.clone().into_owned()) {
            return false;
        }
        self.moved.extend(a.carried.iter().map(|(_, rank)| *rank));
        self.met.entry(*rank).or_default().push((code.into_owned(), ordinal as u32));
        true
    }

    /// Those that have different values.
    pub(super) fn conflicts(
        mut self,
        attacher: &Attacher<'_>,
        features: &Spool<Feature>,
    ) -> Result<Vec<Conflict>> {
        let moved = &self.moved;
        self.met.retain(|rank, rows| rows.len() > 1 && moved.contains(rank));
        let mut conflicts = Vec::new();
        if self.met.is_empty() {
            return Ok(conflicts);
        }
        let naming = naming(features)?;
        for (rank, rows) in self.met {
            let ordinals: Vec<u32> = rows.iter().map(|(_, ordinal)| *ordinal).collect();
            let values = features.pick(&ordinals, |f| f.values.clone())?;
            let Some(first) = values.first() else { continue };
            let same = |other: &Vec<Value>| {
                let pairs = first.iter().zip(other).enumerate();
                let mut pairs = pairs.filter(|(i, _)| *i != self.field && !naming.contains(i));
                pairs.all(|(_, (a, b))| a == b)
            };
            let commune = attacher.reference.commune(rank);
            if let (false, Some(commune)) = (values.iter().all(same), commune) {
                let codes = rows.into_iter().map(|(code, _)| code).collect();
                conflicts.push(Conflict { commune: commune.code.to_string(), codes });
                if conflicts.len() == MAX_LISTED {
                    break;
                }
            }
        }
        Ok(conflicts)
    }
}

/// The columns that name places: texts of which nearly each row has its own.
fn naming(features: &Spool<Feature>) -> Result<BTreeSet<usize>> {
    const OWN: f64 = 0.8;
    let mut columns: Vec<FxHashSet<String>> = Vec::new();
    features.each(|first, batch| {
        if let (0, Some(feature)) = (first, batch.first()) {
            columns = vec![FxHashSet::default(); feature.values.len()];
        }
        columns.par_iter_mut().enumerate().for_each(|(i, texts)| {
            for feature in batch {
                if let Some(Value::Text(text)) = feature.values.get(i)
                    && !texts.contains(text)
                {
                    texts.insert(text.clone());
                }
            }
        });
        Ok(())
    })?;
    let own = |(i, texts): (usize, &FxHashSet<String>)| {
        (texts.len() as f64 >= OWN * features.len() as f64).then_some(i)
    };
    Ok(columns.iter().enumerate().filter_map(own).collect())
}
