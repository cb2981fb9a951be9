//! The analyst's table: one row per territory of a level, one column per layer.

use super::{
    Stats,
    figures::FiguresQuery,
    groups::{self, Groups},
    sheet::{Cell, Sheet},
};
use crate::{
    catalog::Layer,
    error::Result,
    model::{Level, RankSet, Selection, TerritoryCode, ValueRef},
    query::{Filter, Scan, Start, cql2::Expression},
    store::{Row as StoredRow, border::Outline},
    territory::{Reference, Units},
};
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;
use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

/// Most layers side by side.
pub const MAX_COLUMNS: usize = 20;
/// Values listed of a cell whose features disagree.
const LISTED: usize = 20;

/// What a column shows of its layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Show {
    /// Whether it has any feature.
    Presence,
    /// How many.
    Count,
    /// The value of a field, if its features agree.
    Field(usize),
}

/// A column asked for.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The layer.
    pub layer: Arc<Layer>,
    /// What it shows.
    pub show: Show,
    /// Which of its features: those of which this is true; all without.
    pub expression: Option<Arc<Expression>>,
}

/// A territory and a layer.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Found {
    /// The layer does not reach there.
    NotCovered,
    /// It has nothing there.
    #[default]
    Nothing,
    /// It has so many features there; their common value, when one is asked for and they have one.
    Some(u64, Option<String>),
    /// Its features there have different values.
    Divergent(Vec<String>),
}

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The territory.
    pub code: TerritoryCode,
    /// Its name.
    pub name: String,
    /// Codes and names of what it belongs to, by [`Table::parents`]; several where it spans them.
    pub parents: Vec<Vec<(String, String)>>,
    /// One per column.
    pub found: Vec<Found>,
}

/// The table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// Levels of the parents shown.
    pub parents: Vec<Level>,
    /// The rows, in the order of codes.
    pub lines: Vec<Line>,
}

/// The levels above one, as the table shows them.
fn above(level: Level) -> Vec<Level> {
    match level {
        Level::Com => {
            let own = |level: &Level| matches!(level, Level::Own(_)) && level.is_communal();
            let own = Level::every().into_iter().filter(own);
            [Level::Epci, Level::Arr, Level::Dep, Level::Reg].into_iter().chain(own).collect()
        }
        Level::Own(own) if own.words().communal => vec![Level::Dep, Level::Reg],
        Level::Arm | Level::Comd | Level::Coma => {
            vec![Level::Com, Level::Epci, Level::Dep, Level::Reg]
        }
        Level::Epci | Level::Ept | Level::Arr => vec![Level::Dep, Level::Reg],
        Level::Dep => vec![Level::Reg],
        _ => Vec::new(),
    }
}

/// One column's findings by territory.
struct Filled {
    groups: Groups,
    /// Value of a feature, where a field is shown.
    values: Option<FxHashMap<u32, String>>,
    /// Where the layer reaches.
    coverage: RankSet,
}

impl Stats {
    /// The territories of a level that a selection touches (all without one), with what each layer
    /// has there; where features are cut, with what is left of them.
    pub async fn table(
        &self,
        reference: &Arc<Reference>,
        level: Level,
        columns: &[Column],
        selection: Option<&Arc<Selection>>,
        outline: Option<&Outline>,
    ) -> Result<Table> {
        let units = self.units(reference, level).await?;
        let mut filled = Vec::with_capacity(columns.len());
        for column in columns {
            filled.push(self.fill(reference, level, &units, column, (selection, outline)).await?);
        }
        let (reference, columns) = (reference.clone(), columns.to_vec());
        super::aside(move || Ok(lay_out(&reference, level, &units, &columns, &filled))).await
    }

    async fn fill(
        &self,
        reference: &Arc<Reference>,
        level: Level,
        units: &Arc<Units>,
        column: &Column,
        (selection, outline): (Option<&Arc<Selection>>, Option<&Outline>),
    ) -> Result<Filled> {
        let at = column.layer.at()?;
        let reach = self.reach(at).await?;
        let coverage = self.coverage(&column.layer, reference).await?;
        let (selected, expression) = (selection.cloned(), column.expression.clone());
        let filter = Filter { selection: selected, expression, ..Filter::default() };
        let field = match column.show {
            Show::Field(field) => Some(field),
            _ => None,
        };
        let (metrics, outline) = (Vec::new(), outline.cloned());
        let query = FiguresQuery { by: level, metrics, filter, outline, share: None };
        let matched = self.gather(at, &reach, &query).await?.matched;
        let values = match field {
            Some(field) => Some(self.texts(&column.layer, &query.filter, field).await?),
            None => None,
        };
        let (selection, units) = (selection.cloned(), units.clone());
        let matched: RoaringBitmap = matched;
        super::aside(move || {
            let groups = groups::group(&reach, level, &units, selection.as_deref(), &matched)?;
            Ok(Filled { groups, values, coverage })
        })
        .await
    }

    /// The values of a field as text, by ordinal; what is null has none.
    async fn texts(
        &self,
        layer: &Layer,
        filter: &Filter,
        field: usize,
    ) -> Result<FxHashMap<u32, String>> {
        let at = layer.at()?;
        let reach = self.reach(at).await?;
        let ids: Option<FxHashMap<String, u32>> =
            at.version.live.as_ref().map(|_| reach.ids.iter().cloned().zip(0u32..).collect());
        let texts: Arc<Mutex<FxHashMap<u32, String>>> = Arc::default();
        let out = texts.clone();
        let sink = Box::new(move |row: &StoredRow<'_>| {
            let ordinal = match &ids {
                None => u32::try_from(row.ordinal).ok(),
                Some(ids) => ids.get(row.id).copied(),
            };
            let text = match row.values.get(field) {
                None | Some(ValueRef::Null) => None,
                Some(ValueRef::Bool(b)) => Some(b.to_string()),
                Some(ValueRef::Int(i)) => Some(i.to_string()),
                Some(ValueRef::Float(f)) => Some(f.to_string()),
                Some(ValueRef::Text(t) | ValueRef::Json(t)) => Some((*t).to_owned()),
            };
            if let (Some(ordinal), Some(text)) = (ordinal, text) {
                out.lock().unwrap_or_else(PoisonError::into_inner).insert(ordinal, text);
            }
            ControlFlow::Continue(())
        });
        let scan = Scan { filter: filter.clone(), start: Start::Ordinal(0), limit: None };
        self.store.scan_values(at, scan, sink).await?;
        Ok(std::mem::take(&mut *texts.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Puts the columns side by side.
fn lay_out(
    reference: &Reference,
    level: Level,
    units: &Units,
    columns: &[Column],
    filled: &[Filled],
) -> Table {
    let parents = above(level);
    let mut lines: BTreeMap<TerritoryCode, Line> = BTreeMap::new();
    for one in filled {
        for unit in &one.groups.units {
            lines.entry(unit.code.clone()).or_insert_with(|| Line {
                code: unit.code.clone(),
                name: unit.name.clone(),
                parents: above_of(reference, &unit.code, &parents),
                found: vec![Found::Nothing; columns.len()],
            });
        }
    }
    for (i, one) in filled.iter().enumerate() {
        let covered = covered(level, units, &one.coverage);
        let mut rest = one.groups.pairs.as_slice();
        for (position, unit) in (0u32..).zip(&one.groups.units) {
            let (ours, after) = rest.split_at(rest.partition_point(|(u, _)| *u <= position));
            rest = after;
            let found = match ours {
                [] if covered.as_ref().is_some_and(|c| !c.contains(&unit.code)) => {
                    Found::NotCovered
                }
                [] => Found::Nothing,
                some => valued(some, one.values.as_ref()),
            };
            if let Some(place) = lines.get_mut(&unit.code).and_then(|l| l.found.get_mut(i)) {
                *place = found;
            }
        }
    }
    Table { parents, lines: lines.into_values().collect() }
}

/// The territories that a layer reaches; `None`: not known for this level.
fn covered(
    level: Level,
    units: &Units,
    coverage: &RankSet,
) -> Option<std::collections::HashSet<TerritoryCode>> {
    level.is_communal().then(|| {
        let positions = coverage.iter().filter_map(|rank| units.of(rank));
        let found = positions.filter_map(|p| units.list.get(p as usize));
        found.map(|unit| unit.code.clone()).collect()
    })
}

/// What some features of one territory come to.
fn valued(ours: &[(u32, u32)], values: Option<&FxHashMap<u32, String>>) -> Found {
    let count = ours.len() as u64;
    let Some(values) = values else { return Found::Some(count, None) };
    let mut different: Vec<&String> = Vec::new();
    for (_, ordinal) in ours {
        if let Some(value) = values.get(ordinal)
            && different.len() < LISTED
            && !different.contains(&value)
        {
            different.push(value);
        }
    }
    match different.as_slice() {
        [] => Found::Some(count, None),
        [one] => Found::Some(count, Some((*one).clone())),
        several => Found::Divergent(several.iter().map(|v| (*v).clone()).collect()),
    }
}

/// What a territory belongs to, by level.
fn above_of(
    reference: &Reference,
    code: &TerritoryCode,
    levels: &[Level],
) -> Vec<Vec<(String, String)>> {
    let parents = reference.get(code).map(|t| t.parents).unwrap_or_default();
    let of = |level: &Level| {
        let of_level = parents.iter().filter(|p| p.level == *level);
        of_level.map(|p| (p.code.to_string(), reference.name(p))).collect()
    };
    levels.iter().map(of).collect()
}

/// Words of a table's cells.
#[derive(Debug, Clone, Copy)]
pub struct CellWords {
    /// It has features there.
    pub yes: &'static str,
    /// It has none.
    pub no: &'static str,
    /// It does not reach there.
    pub not_covered: &'static str,
    /// Its features disagree.
    pub divergent: &'static str,
}

impl Table {
    /// The table as a sheet, codes as text. Its last column lists the values that disagree.
    pub fn sheet(&self, columns: &[Column], words: &CellWords) -> Sheet {
        let mut header = vec!["code".to_owned(), "nom".to_owned()];
        for level in &self.parents {
            header.extend([level.id().to_owned(), format!("{}_nom", level.id())]);
        }
        header.extend(columns.iter().map(|c| c.name.clone()));
        let conflicts = self.lines.iter().any(|l| l.conflicts(columns).next().is_some());
        if conflicts {
            header.push(words.divergent.to_owned());
        }
        let joined = |list: &[(String, String)], pick: fn(&(String, String)) -> &str| {
            Cell::text(list.iter().map(pick).collect::<Vec<_>>().join(", "))
        };
        let line = |line: &Line| {
            let mut cells = vec![Cell::text(line.code.code.as_str()), Cell::text(&*line.name)];
            for list in &line.parents {
                cells.push(joined(list, |p| &p.0));
                cells.push(joined(list, |p| &p.1));
            }
            let shown = line.found.iter().zip(columns);
            cells.extend(shown.map(|(found, column)| found.cell(&column.show, words)));
            if conflicts {
                let all: Vec<String> = line
                    .conflicts(columns)
                    .map(|(column, values)| format!("{} : {}", column.name, values.join(" | ")))
                    .collect();
                cells.push(Cell::text(all.join(" ; ")));
            }
            cells
        };
        Sheet { rows: self.lines.iter().map(line).collect(), header }
    }
}

impl Line {
    /// The columns whose features disagree here, with their values.
    pub fn conflicts<'a>(
        &'a self,
        columns: &'a [Column],
    ) -> impl Iterator<Item = (&'a Column, &'a [String])> {
        columns.iter().zip(&self.found).filter_map(|(column, found)| match found {
            Found::Divergent(values) => Some((column, values.as_slice())),
            _ => None,
        })
    }
}

impl Found {
    /// The cell.
    pub fn cell(&self, show: &Show, words: &CellWords) -> Cell {
        use super::metric::Figure;
        match (self, show) {
            (Found::NotCovered, _) => Cell::text(words.not_covered),
            (Found::Divergent(_), _) => Cell::text(words.divergent),
            (Found::Nothing, Show::Presence) => Cell::text(words.no),
            (Found::Some(..), Show::Presence) => Cell::text(words.yes),
            (Found::Nothing, Show::Count) => Cell::Figure(Figure::Int(0)),
            (Found::Some(n, _), Show::Count) => {
                Cell::Figure(i64::try_from(*n).map_or(Figure::Null, Figure::Int))
            }
            (Found::Nothing, Show::Field(_)) => Cell::Empty,
            (Found::Some(_, value), Show::Field(_)) => {
                value.as_ref().map_or(Cell::Empty, |v| Cell::text(v.as_str()))
            }
        }
    }
}
