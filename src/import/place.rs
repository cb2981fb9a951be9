//! Which system the coordinates of a source are in, and whether that can be: a file may name none,
//! or a wrong one, and then shows it by where its places would lie.

use crate::{
    error::{Error, Result},
    geometry::crs::{Crs, candidates, in_france},
    model::{Record, Text},
    text,
};
use geo::CoordsIter;
use geo_types::Coord;

/// Places looked at, and the share of them that has to agree.
const SAMPLE: usize = 256;
const MOST: f64 = 0.9;

/// Settles the system of a source.
pub(super) struct Placing {
    declared: Option<Crs>,
    /// The one that the file names.
    named: Option<(String, Crs)>,
    /// The one that the places of a file without one show.
    guessed: Option<Crs>,
    looked: bool,
    pub(super) notes: Vec<Text>,
    /// Why the places seem to be in another system, or turned.
    pub(super) doubt: Option<Text>,
}

impl Placing {
    pub(super) fn new(declared: Option<Crs>) -> Self {
        Self { declared, named: None, guessed: None, looked: false, notes: Vec::new(), doubt: None }
    }

    /// The system of some rows; `named`: what the file says, `authority`: whether it follows the
    /// order of axes of the system's authority.
    pub(super) fn of(
        &mut self,
        named: Option<&str>,
        authority: bool,
        records: &[Record],
    ) -> Result<Crs> {
        let mut sample = if self.looked { Vec::new() } else { positions(records) };
        let first = !sample.is_empty();
        self.looked |= first;
        let crs = match (&self.declared, named) {
            (Some(declared), _) => declared.clone(),
            (None, Some(name)) => match &self.named {
                Some((known, crs)) if known == name => crs.clone(),
                _ => self.named.insert((name.to_owned(), known(name)?)).1.clone(),
            },
            (None, None) => {
                if first {
                    self.guess(&sample)?;
                }
                self.guessed.clone().unwrap_or_else(Crs::crs84)
            }
        };
        if first {
            if authority && crs.authority_is_lat_lon() {
                sample.iter_mut().for_each(|c| std::mem::swap(&mut c.x, &mut c.y));
            }
            self.judge(&crs, &sample);
        }
        Ok(crs)
    }

    /// Without a word of the file's: degrees where they can be, else the only system that fits.
    fn guess(&mut self, sample: &[Coord<f64>]) -> Result<()> {
        let degrees = |c: &Coord<f64>| c.x.abs() <= 360.0 && c.y.abs() <= 90.0;
        if share(sample, degrees) > 1.0 - MOST {
            return Ok(());
        }
        let mut found = candidates(sample);
        match (found.pop(), found.is_empty()) {
            (None, _) => Ok(()),
            (Some(crs), true) => {
                let (code, name) = (crs.epsg().unwrap_or_default(), crs.name().to_owned());
                self.notes.push(text!(
                    "Système de coordonnées non indiqué : lues en {name} (EPSG:{code}), le seul où elles tombent en France. Déclarez « crs » s'il est autre.",
                    "No coordinate reference system given: read as {name} (EPSG:{code}), the only one in which they lie in France. Declare \"crs\" if it is another."
                ));
                self.guessed = Some(crs);
                Ok(())
            }
            (Some(last), false) => {
                found.push(last);
                let list = list(&found);
                Err(Error::Refused(text!(
                    "Le fichier ne dit pas son système de coordonnées, et plusieurs conviennent : {list}. Déclarez « crs » pour cette source.",
                    "The file does not say its coordinate reference system, and several fit: {list}. Declare \"crs\" for this source."
                )))
            }
        }
    }

    /// Says where the places of a source are nowhere in France but would be in another system, or
    /// with their axes the other way round.
    fn judge(&mut self, crs: &Crs, sample: &[Coord<f64>]) {
        let placed: Vec<Coord<f64>> =
            sample.iter().filter_map(|c| crs.point_to_crs84(*c).ok()).collect();
        let home = placed.iter().filter(|c| in_france(**c)).count() as f64;
        if home > (1.0 - MOST) * sample.len() as f64 {
            return;
        }
        let name = crs.name().to_owned();
        let turned =
            share(sample, |c| crs.point_to_crs84(Coord { x: c.y, y: c.x }).is_ok_and(in_france));
        if turned >= MOST {
            self.doubt = Some(text!(
                "Aucun lieu n'est en France tel quel, mais presque tous y seraient si x et y étaient échangés : latitude et longitude semblent inversées.",
                "No place lies in France as it is, but nearly all would if x and y were exchanged: latitude and longitude seem to be the wrong way round."
            ));
            return;
        }
        let found: Vec<Crs> = candidates(sample).into_iter().filter(|c| c != crs).collect();
        if !found.is_empty() {
            let list = list(&found);
            self.doubt = Some(text!(
                "Les coordonnées ne tombent pas en France en {name}, mais elles y seraient en {list} : le système annoncé semble faux. Déclarez « crs » pour cette source.",
                "The coordinates do not lie in France in {name}, but they would in {list}: the system named seems wrong. Declare \"crs\" for this source."
            ));
        }
    }

    /// What there is to say where the file names another system than the declared one.
    pub(super) fn contradicted(&mut self, found: Option<&str>) {
        if let (Some(declared), Some(found)) = (&self.declared, found)
            && Crs::parse(found).is_ok_and(|f| f != *declared)
        {
            let declared = declared.name();
            self.notes.push(text!(
                "Le fichier annonce un autre système de coordonnées que celui déclaré ; le déclaré ({declared}) a été suivi.",
                "The file names another CRS than the declared one; the declared one ({declared}) was followed."
            ));
        }
    }
}

/// A CRS by its name, or the delivery is refused saying which are known.
pub(super) fn known(name: &str) -> Result<Crs> {
    Crs::parse(name).map_err(|e| Error::Refused(e.text()))
}

/// A position of each of the first rows that have one.
fn positions(records: &[Record]) -> Vec<Coord<f64>> {
    let shapes = records.iter().filter_map(|record| record.geometry.as_ref());
    shapes.filter_map(|shape| shape.coords_iter().next()).take(SAMPLE).collect()
}

fn share(sample: &[Coord<f64>], what: impl Fn(&Coord<f64>) -> bool) -> f64 {
    sample.iter().filter(|c| what(c)).count() as f64 / sample.len() as f64
}

fn list(found: &[Crs]) -> String {
    let one = |crs: &Crs| format!("EPSG:{}", crs.epsg().unwrap_or_default());
    found.iter().map(one).collect::<Vec<_>>().join(", ")
}
