//! Features whose geometry contradicts their codes: those that lie in another commune than the one
//! they name, and those that name something smaller but bear the outline of a whole commune. Nothing
//! is refused or moved: codes go before places, and the report says where the two disagree.

use super::{
    attach::{Attacher, Attachment},
    borders::Loaded,
};
use crate::{
    error::Result,
    geometry::overlap::BorderIndex,
    model::{Feature, Level, Report},
    text,
};
use geo::InteriorPoint;
use geo_types::{Coord, Geometry};
use rayon::prelude::*;
use std::sync::Arc;

/// Features that a note names, so that someone can go and look at them.
const NAMED: usize = 20;
/// How far from its commune a place may be, m: borders are drawn more or less finely, and what lies
/// on one may be on either side.
const NEAR_M: f64 = 250.0;
/// How much two drawings of one outline may differ.
const SLACK: f64 = 0.02;

/// What contradicts what.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Odd {
    /// It lies in this commune (rank), which it does not name.
    Elsewhere(u32),
    /// It has the outline of this commune.
    Whole(u32),
}

/// Which features contradict themselves, as far as they were looked at.
pub(super) struct Contradictions<'t, 'a> {
    attacher: &'t Attacher<'a>,
    /// `None`: nothing to hold them against.
    communes: Option<Arc<Loaded>>,
    elsewhere: Named,
    whole: Named,
}

/// How many features, and the first of them with the rank of a commune.
#[derive(Default)]
struct Named {
    count: usize,
    first: Vec<(String, u32)>,
}

impl<'t, 'a> Contradictions<'t, 'a> {
    pub(super) fn new(attacher: &'t Attacher<'a>) -> Result<Self> {
        let communes = match attacher.borrows || attacher.columns.is_empty() {
            true => None,
            false => attacher.communes()?,
        };
        Ok(Self { attacher, communes, elsewhere: Named::default(), whole: Named::default() })
    }

    /// Looks at features and what they were attached to.
    pub(super) fn add(&mut self, attached: &[Attachment], features: &[Feature]) {
        let Some(communes) = &self.communes else { return };
        let odd: Vec<(&Feature, Odd)> = attached
            .par_iter()
            .zip(features)
            .filter_map(|(a, f)| Some((f, odd(a, f.geometry.as_ref()?, &communes.index)?)))
            .collect();
        for (feature, odd) in odd {
            match odd {
                Odd::Elsewhere(rank) => self.elsewhere.add(feature, rank),
                Odd::Whole(rank) => self.whole.add(feature, rank),
            }
        }
    }

    /// Puts them into the report.
    pub(super) fn tell(&self, report: &mut Report) {
        let (count, list) = (self.elsewhere.count, self.elsewhere.list(self.attacher));
        if count > 0 {
            report.notes.push(text!(
                "{count} lignes sont dans une autre commune que celle de leur code, qui est suivi : {list}.",
                "{count} rows lie in another commune than that of their code, which is followed: {list}."
            ));
        }
        let (count, list) = (self.whole.count, self.whole.list(self.attacher));
        if count > 0 {
            report.notes.push(text!(
                "{count} lignes portent le code d'un territoire plus petit, mais le contour d'une commune entière : {list}. Leur géométrie contredit leur code ; vérifiez la source.",
                "{count} rows bear the code of a smaller territory, but the outline of a whole commune: {list}. Their geometry contradicts their code; check the source."
            ));
        }
    }
}

impl Named {
    fn add(&mut self, feature: &Feature, rank: u32) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push((feature.id.clone(), rank));
        }
    }

    fn list(&self, attacher: &Attacher<'_>) -> String {
        let name = |rank: u32| attacher.reference.commune(rank).map(|c| c.code.to_string());
        let one =
            |(id, rank): &(String, u32)| format!("{id} ({})", name(*rank).unwrap_or_default());
        let list: Vec<String> = self.first.iter().map(one).collect();
        let more = if self.count > NAMED { "…" } else { "" };
        format!("{}{more}", list.join(", "))
    }
}

fn odd(a: &Attachment, geometry: &Geometry<f64>, communes: &BorderIndex) -> Option<Odd> {
    if a.located {
        return None;
    }
    let at: Coord<f64> = geometry.interior_point()?.into();
    let there = communes.locate_all(at.x, at.y);
    let smaller = |level: Level| !level.is_communal() && level != Level::Com;
    let area = matches!(geometry, Geometry::Polygon(_) | Geometry::MultiPolygon(_));
    if area && a.coded.iter().any(|level| smaller(*level)) {
        let whole = there.iter().find(|rank| communes.is_outline(**rank, geometry, SLACK));
        if let Some(rank) = whole {
            return Some(Odd::Whole(*rank));
        }
    }
    let own = |rank: &u32| a.communes.contains(rank);
    let first = there.first().filter(|_| !a.communes.is_empty() && !there.iter().any(own))?;
    let near = a.communes.iter().any(|rank| communes.is_near(*rank, at, NEAR_M));
    (!near).then_some(Odd::Elsewhere(*first))
}
