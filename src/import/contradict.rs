//! Features whose geometry contradicts their codes: those that lie in another commune than the one
//! they name, and those that name something smaller but bear the outline of a whole commune. Nothing
//! is refused or moved: codes go before places, and the report says where the two disagree.

use super::attach::{Attacher, Attachment};
use crate::{
    error::Result,
    geometry::overlap::BorderIndex,
    model::{Feature, Level, Report},
    text,
};
use geo::InteriorPoint;
use geo_types::{Coord, Geometry};
use rayon::prelude::*;

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

impl Attacher<'_> {
    /// Puts into the report which features contradict themselves.
    pub(super) fn contradictions(
        &self,
        all: &[Attachment],
        features: &[Feature],
        report: &mut Report,
    ) -> Result<()> {
        if self.borrows || self.columns.is_empty() {
            return Ok(());
        }
        let Some(communes) = self.communes()? else { return Ok(()) };
        let pairs: Vec<(&Attachment, &Feature)> = all.iter().zip(features).collect();
        let odd: Vec<(&Feature, Odd)> = pairs
            .into_par_iter()
            .filter_map(|(a, f)| Some((f, odd(a, f.geometry.as_ref()?, &communes.index)?)))
            .collect();
        let name = |rank: u32| self.reference.commune(rank).map(|c| c.code.to_string());
        let named = |wanted: fn(Odd) -> Option<u32>| {
            let found: Vec<(&str, u32)> =
                odd.iter().filter_map(|(f, odd)| Some((f.id.as_str(), wanted(*odd)?))).collect();
            let (count, more) = (found.len(), if found.len() > NAMED { "…" } else { "" });
            let first = found.into_iter().take(NAMED);
            let first: Vec<String> = first
                .map(|(id, rank)| format!("{id} ({})", name(rank).unwrap_or_default()))
                .collect();
            (count, format!("{}{more}", first.join(", ")))
        };
        let (count, list) = named(|odd| match odd {
            Odd::Elsewhere(rank) => Some(rank),
            Odd::Whole(_) => None,
        });
        if count > 0 {
            report.notes.push(text!(
                "{count} lignes sont dans une autre commune que celle de leur code, qui est suivi : {list}.",
                "{count} rows lie in another commune than that of their code, which is followed: {list}."
            ));
        }
        let (count, list) = named(|odd| match odd {
            Odd::Whole(rank) => Some(rank),
            Odd::Elsewhere(_) => None,
        });
        if count > 0 {
            report.notes.push(text!(
                "{count} lignes portent le code d'un territoire plus petit, mais le contour d'une commune entière : {list}. Leur géométrie contredit leur code ; vérifiez la source.",
                "{count} rows bear the code of a smaller territory, but the outline of a whole commune: {list}. Their geometry contradicts their code; check the source."
            ));
        }
        Ok(())
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
