//! Where the rows of a table are: their coordinates, and what these lie in.

use super::{Wanted, Work, kept::Areas};
use crate::{
    error::{Error, Result},
    formats::sheet::coordinate,
    geometry::{crs::Crs, overlap::BorderIndex},
    import::Loaded,
    model::{Budget, Cell, Level, Sheet, Spent, Text},
    store::Store,
    territory::{By, Located, Plan},
    text,
};
use geo_types::{Coord, Geometry, Point};
use rayon::prelude::*;
use std::{mem::size_of, sync::Arc};

/// What is to be found out about places.
pub(super) struct Asked<'a> {
    pub(super) plan: Plan,
    /// Whether the caller named the columns of places.
    pub(super) by_place: bool,
    pub(super) crs: Option<Crs>,
    pub(super) nearest_m: Option<u32>,
    pub(super) wanted: &'a Wanted,
    pub(super) budget: &'a Arc<Budget>,
}

/// What was found out.
#[derive(Default)]
pub(super) struct Found {
    /// The communes of each row; empty where nobody needs to know.
    pub(super) communes: Vec<Located>,
    /// The columns to add.
    pub(super) columns: Vec<(String, Vec<Cell>)>,
    pub(super) notes: Vec<Text>,
}

/// A row's place, in degrees.
#[derive(Clone, Copy)]
enum Spot {
    Nowhere,
    Unreadable,
    At(Coord<f64>),
}

impl Spot {
    fn at(self) -> Option<Coord<f64>> {
        match self {
            Self::At(at) => Some(at),
            _ => None,
        }
    }
}

impl Work<'_> {
    /// Finds out where rows are, as far as that is needed.
    pub(super) fn places(
        &self,
        sheet: &Sheet,
        place: Option<(usize, usize)>,
        asked: &Asked<'_>,
    ) -> Result<Found> {
        let told_by_place = matches!(asked.plan.by, By::Place { .. });
        if !told_by_place && !asked.by_place && !asked.wanted.needs_places() {
            return Ok(Found::default());
        }
        let Some(place) = place else { return Err(no_place(sheet)) };
        let (Some(store), Some(snapshot)) = (&self.resolver.store, self.snapshot) else {
            return Err(no_layers());
        };
        asked.budget.take(sheet.rows.len() * (size_of::<Spot>() + size_of::<Located>()))?;
        let spots = spots(sheet, place, asked.crs.as_ref())?;
        let mut found = Found::default();
        let borders =
            self.resolver.kept.borders(snapshot, self.reference(), store, asked.budget)?;
        let border = |level: Level| {
            let border = borders.of(level).ok_or_else(|| no_border(level))?;
            border.load(self.reference())
        };
        match border(Level::Com) {
            Ok(communes) => {
                let near = asked.nearest_m.filter(|_| told_by_place);
                let one = |spot| Ok(locate(&communes.index, spot, near));
                found.communes = each(&spots, asked.budget, one)?;
            }
            Err(error) if told_by_place => return Err(error),
            // The code tells the commune: a place would only have confirmed it.
            Err(_) => {}
        }
        for level in &asked.wanted.levels {
            let loaded = border(*level)?;
            let cells = column(&spots, asked.budget, |spot| codes_at(&loaded, spot))?;
            found.columns.push((format!("socle_{level}"), cells));
        }
        self.properties(&spots, asked, store, &mut found)?;
        let lost = spots.iter().filter(|spot| matches!(spot, Spot::Unreadable)).count();
        if lost > 0 {
            found.notes.push(text!(
                "{lost} lignes dont les coordonnées sont illisibles ou hors du domaine du CRS.",
                "{lost} rows whose coordinates are unreadable or outside the CRS's domain."
            ));
        }
        Ok(found)
    }

    fn properties(
        &self,
        spots: &[Spot],
        asked: &Asked<'_>,
        store: &Arc<dyn Store>,
        found: &mut Found,
    ) -> Result<()> {
        let kept = &self.resolver.kept;
        for property in &asked.wanted.properties {
            let areas = kept.areas(&property.layer, property.field, store, asked.budget)?;
            let cells = column(spots, asked.budget, |spot| values_at(&areas, spot))?;
            found.columns.push((property.title.clone(), cells));
        }
        Ok(())
    }
}

fn no_place(sheet: &Sheet) -> Error {
    let known = sheet.names();
    Error::Invalid(text!(
        "Ce qui est demandé se trouve par la position : nommez les colonnes « lon » et « lat », ou « x », « y » et « crs ». Un QPV ou un canton ne se déduit pas de la commune. Colonnes : {known}.",
        "What is asked for is found by location: name the columns \"lon\" and \"lat\", or \"x\", \"y\" and \"crs\". A QPV or a canton does not follow from the commune. Columns: {known}."
    ))
}

fn no_layers() -> Error {
    Error::Invalid(text!(
        "Trouver par la position demande les couches d'une configuration : donnez-la avec --config.",
        "Finding by location needs the layers of a configuration: give it with --config."
    ))
}

fn no_border(level: Level) -> Error {
    let id = level.id();
    Error::Conflict(text!(
        "Aucune couche moissonnée ne donne les limites du niveau « {id} » : déclarez-en une avec « borders = \"{id}\" » sous [territory], et moissonnez-la.",
        "No harvested layer gives the borders of level \"{id}\": declare one with \"borders = \"{id}\"\" under [territory], and harvest it."
    ))
}

/// The places of all rows, in degrees.
fn spots(sheet: &Sheet, (x, y): (usize, usize), crs: Option<&Crs>) -> Result<Vec<Spot>> {
    let read = |row: usize| {
        let cell = |column| sheet.cell(row, column).text();
        let (x, y) = (cell(x), cell(y));
        if x.trim().is_empty() && y.trim().is_empty() {
            return Spot::Nowhere;
        }
        match (coordinate(&x), coordinate(&y)) {
            (Some(x), Some(y)) => Spot::At(Coord { x, y }),
            _ => Spot::Unreadable,
        }
    };
    let mut spots: Vec<Spot> = (0..sheet.rows.len()).map(read).collect();
    let degrees = |at: Coord<f64>| at.x.abs() <= 360.0 && at.y.abs() <= 90.0;
    let first = spots.iter().filter_map(|spot| spot.at()).find(|at| !degrees(*at));
    if let (None, Some(at)) = (crs, first) {
        let Coord { x, y } = at;
        return Err(Error::Invalid(text!(
            "Les coordonnées ({x} ; {y}) ne sont pas des degrés : donnez leur CRS, par exemple « crs=EPSG:2154 ».",
            "The coordinates ({x}; {y}) are no degrees: give their CRS, e.g. \"crs=EPSG:2154\"."
        )));
    }
    let crs = crs.cloned().unwrap_or_else(Crs::crs84);
    for spot in &mut spots {
        if let Spot::At(at) = *spot {
            *spot = crs.point_to_crs84(at).map_or(Spot::Unreadable, Spot::At);
        }
    }
    Ok(spots)
}

/// One answer for each place, on all cores, as far as the budget goes.
fn each<T: Send>(
    spots: &[Spot],
    budget: &Budget,
    answer: impl Fn(Spot) -> Result<T, Spent> + Sync,
) -> Result<Vec<T>> {
    let answers = spots.par_iter().map(|spot| {
        budget.step()?;
        answer(*spot)
    });
    Ok(answers.collect::<Result<Vec<T>, Spent>>()?)
}

/// The cells of a column, which are held here and then in the table.
fn column(
    spots: &[Spot],
    budget: &Budget,
    answer: impl Fn(Spot) -> Cell + Sync,
) -> Result<Vec<Cell>> {
    each(spots, budget, |spot| {
        let cell = answer(spot);
        budget.cells(2, cell.held())?;
        Ok(cell)
    })
}

fn locate(communes: &BorderIndex, spot: Spot, near: Option<u32>) -> Located {
    let at = match spot {
        Spot::Nowhere => return Located::Nowhere,
        Spot::Unreadable => return Located::Unreadable,
        Spot::At(at) => at,
    };
    match communes.locate_point(at.x, at.y) {
        Some(rank) => Located::In(vec![rank]),
        None => {
            let point = Geometry::Point(Point(at));
            let nearest = near.and_then(|most| communes.nearest(&point, f64::from(most)));
            nearest.map_or(Located::In(Vec::new()), Located::Near)
        }
    }
}

fn codes_at(loaded: &Loaded, spot: Spot) -> Cell {
    let found = spot.at().and_then(|at| loaded.index.locate_point(at.x, at.y));
    let code = found.and_then(|payload| loaded.codes.get(payload as usize));
    code.map_or(Cell::Empty, |code| Cell::Text(code.code.to_string()))
}

/// The values of the areas a place lies in, each once.
fn values_at(areas: &Areas, spot: Spot) -> Cell {
    let Some(at) = spot.at() else { return Cell::Empty };
    let mut values: Vec<&str> = areas
        .index
        .locate_all(at.x, at.y)
        .into_iter()
        .filter_map(|payload| areas.values.get(payload as usize))
        .map(String::as_str)
        .filter(|value| !value.is_empty())
        .collect();
    values.dedup();
    values.join(" | ").into()
}
