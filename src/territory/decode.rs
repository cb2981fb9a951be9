//! Reads the table's file (described in `cog/README.md`) into columns. It trusts nothing: a table
//! may come from a file that an operator loads.

use super::{
    EpciKind, Settled,
    table::{Gone, LISTED, NONE, Packed, Place, Table, Zone, pack},
    vintages::Move,
};
use crate::{
    error::{Error, Result},
    model::{Level, TerritoryCode},
    text,
};
use flate2::read::DeflateDecoder;
use sha2::{Digest, Sha256};
use std::{io::Read, ops::Range};

/// Most bytes of plain text: ten times what a vintage takes.
const MOST: u64 = 20 << 20;

/// Decodes a table.
pub(super) fn decode(bytes: &[u8]) -> Result<Table> {
    let mut plain = String::new();
    let read = DeflateDecoder::new(bytes).take(MOST + 1).read_to_string(&mut plain);
    if read.is_err() || plain.len() as u64 > MOST {
        return Err(Error::Refused(text!(
            "Ce fichier n'est pas une table du COG : contenu compressé illisible ou trop gros.",
            "This file is not a COG table: its compressed content is unreadable or too large."
        )));
    }
    let digest = Sha256::digest(plain.as_bytes());
    let mut lines = Lines { text: &plain, number: 0 };
    let mut table = Table::default();
    read_table(&mut lines, &mut table).ok_or_else(|| {
        let line = lines.number;
        Error::Refused(text!(
            "Table du COG illisible à la ligne {line}.",
            "Unreadable COG table at line {line}."
        ))
    })?;
    let sum: String = digest.iter().take(4).map(|b| format!("{b:02x}")).collect();
    table.id = format!("cog-{}-{sum}", table.vintage);
    Ok(table)
}

/// The lines of the file; whatever stops reading, `number` is where.
struct Lines<'a> {
    text: &'a str,
    number: u32,
}

impl<'a> Lines<'a> {
    /// The next line's fields, which must be `N`.
    fn fields<const N: usize>(&mut self) -> Option<[&'a str; N]> {
        self.number += 1;
        let (line, rest) = self.text.split_once('\n')?;
        self.text = rest;
        let mut parts = line.split('\t');
        let mut fields = [""; N];
        for field in &mut fields {
            *field = parts.next()?;
        }
        parts.next().is_none().then_some(fields)
    }

    /// The head of the section `name`: how many lines it has.
    fn section(&mut self, name: &str) -> Option<u32> {
        let [head, count] = self.fields()?;
        let count = count.parse().ok()?;
        // A line has two bytes at least: no count makes us reserve more than the text.
        (head.strip_prefix('@') == Some(name) && count as usize <= self.text.len()).then_some(count)
    }
}

/// One level while it is read: codes and names, and the last column's codes, not yet looked up.
struct Part<'a> {
    level: Level,
    rows: Vec<Row<'a>>,
}

struct Row<'a> {
    code: &'a str,
    name: &'a str,
    population: u32,
    parent: &'a str,
    postal: &'a str,
    /// Communes only: arrondissement, EPCI, EPT.
    groups: [&'a str; 3],
}

fn read_table(lines: &mut Lines<'_>, table: &mut Table) -> Option<()> {
    let ["socle-cog", "2", vintage, source] = lines.fields()? else { return None };
    table.vintage = vintage.parse().ok()?;
    table.source = source.to_owned();
    let parts = read_parts(lines, table)?;
    lay_out(&parts, table)?;
    read_old(lines, table)?;
    read_moves(lines, table)?;
    read_gone(lines, table)?;
    lines.number += 1;
    if !lines.text.is_empty() {
        return None;
    }
    link(&parts, table)?;
    gather(table);
    add_up(table);
    table.shrink();
    Some(())
}

fn read_parts<'a>(lines: &mut Lines<'a>, table: &mut Table) -> Option<Vec<Part<'a>>> {
    let file_order = [
        Level::Reg,
        Level::Dep,
        Level::Arr,
        Level::Epci,
        Level::Ept,
        Level::Com,
        Level::Arm,
        Level::Comd,
        Level::Coma,
    ];
    let mut parts = Vec::with_capacity(file_order.len());
    for level in file_order {
        let count = lines.section(level.id())?;
        let mut rows: Vec<Row<'a>> = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let row = read_row(lines, level, table)?;
            TerritoryCode::new(level, row.code).ok()?;
            // Look-ups search by halves. Communes have an index of their own.
            if level != Level::Com && rows.last().is_some_and(|last| last.code >= row.code) {
                return None;
            }
            rows.push(row);
        }
        parts.push(Part { level, rows });
    }
    Some(parts)
}

fn read_row<'a>(lines: &mut Lines<'a>, level: Level, table: &mut Table) -> Option<Row<'a>> {
    let plain =
        Row { code: "", name: "", population: NONE, parent: "", postal: "", groups: [""; 3] };
    Some(match level {
        Level::Com => {
            let [code, name, population, parent, arr, epci, ept, postal] = lines.fields()?;
            let population = people(population)?;
            Row { code, name, population, parent, postal, groups: [arr, epci, ept] }
        }
        Level::Arm => {
            let [code, name, population, parent, postal] = lines.fields()?;
            Row { code, name, population: people(population)?, parent, postal, ..plain }
        }
        Level::Ept => {
            let [code, name] = lines.fields()?;
            Row { code, name, ..plain }
        }
        Level::Epci => {
            let [code, name, kind] = lines.fields()?;
            table.epci_kinds.push(EpciKind::from_id(kind)?);
            Row { code, name, ..plain }
        }
        Level::Reg => {
            let [code, name, zone] = lines.fields()?;
            table.zones.push(match zone {
                "metro" => Zone::Metro,
                "drom" => Zone::Drom,
                "com" => Zone::Com,
                _ => return None,
            });
            Row { code, name, ..plain }
        }
        _ => {
            let [code, name, parent] = lines.fields()?;
            Row { code, name, parent, ..plain }
        }
    })
}

fn people(text: &str) -> Option<u32> {
    if text.is_empty() { Some(NONE) } else { text.parse().ok().filter(|n| *n < 1 << 30) }
}

/// Gives every row its unit number and its codes, names and postal codes their columns.
fn lay_out(parts: &[Part<'_>], table: &mut Table) -> Option<()> {
    for level in LISTED {
        let part = parts.iter().find(|part| part.level == level)?;
        let first = table.codes.len() as u32;
        for row in &part.rows {
            table.codes.push(pack(row.code)?);
            table.names.push(row.name);
            table.population.push(row.population);
            if matches!(level, Level::Com | Level::Arm) {
                let mut codes = Vec::new();
                for code in row.postal.split(' ').filter(|code| !code.is_empty()) {
                    let five = code.len() == 5 && code.bytes().all(|b| b.is_ascii_digit());
                    codes.push(code.parse().ok().filter(|_| five)?);
                }
                table.postal.push(codes);
            }
        }
        table.set_level(level, first..table.codes.len() as u32);
    }
    let mut by_code: Vec<u32> = table.level(Level::Com).collect();
    let code = |rank: &u32| table.codes.get(*rank as usize).copied().unwrap_or_default();
    by_code.sort_unstable_by_key(code);
    if by_code.windows(2).any(|w| w.first().map(code) == w.last().map(code)) {
        return None;
    }
    table.by_code = by_code;
    Some(())
}

fn read_old(lines: &mut Lines<'_>, table: &mut Table) -> Option<()> {
    let count = lines.section("old")?;
    let mut old: Vec<(Packed, u32)> = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let [code, today, name] = lines.fields()?;
        let packed = pack(TerritoryCode::new(Level::Com, code).ok()?.code.as_str())?;
        let known = table.unit(Level::Com, code).is_some();
        if known || old.last().is_some_and(|(last, _)| *last >= packed) {
            return None;
        }
        let ranks = today.split(' ').map(|code| table.unit(Level::Com, code));
        let ranks: Vec<u32> = ranks.collect::<Option<_>>()?;
        old.push((packed, *ranks.first()?));
        table.old_names.push(name);
        if ranks.len() > 1 {
            table.shared.insert(packed, ranks);
        }
    }
    table.old = old;
    for _ in 0..lines.section("settled")? {
        let [code, claimed, parent] = lines.fields()?;
        let com = |code| TerritoryCode::new(Level::Com, code).ok();
        table.settled.push(Settled {
            code: com(code)?,
            claimed_by: com(claimed)?,
            parent: com(parent)?,
        });
    }
    Some(())
}

fn commune_code(code: &str) -> Option<Packed> {
    pack(TerritoryCode::new(Level::Com, code).ok()?.code.as_str())
}

fn read_moves(lines: &mut Lines<'_>, table: &mut Table) -> Option<()> {
    let count = lines.section("moves")?;
    table.moves = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let [date, kind, from, to] = lines.fields()?;
        let from = if from.is_empty() { None } else { Some(commune_code(from)?) };
        let day = date.parse::<jiff::civil::Date>().ok()?;
        let year = u32::try_from(day.year()).ok()?;
        let date = year * 10_000
            + day.month().unsigned_abs() as u32 * 100
            + day.day().unsigned_abs() as u32;
        let next = Move { date, kind: kind.parse().ok()?, from, to: commune_code(to)? };
        if table.moves.last().is_some_and(|last| last.date > next.date) {
            return None;
        }
        table.moves.push(next);
    }
    Some(())
}

fn read_gone(lines: &mut Lines<'_>, table: &mut Table) -> Option<()> {
    for _ in 0..lines.section("gone")? {
        let [code, name, last, members] = lines.fields()?;
        TerritoryCode::new(Level::Epci, code).ok()?;
        let members = members.split(' ').map(commune_code).collect::<Option<_>>()?;
        let sorted = table.gone.last().is_none_or(|before| before.code.as_str() < code);
        if !sorted || table.unit(Level::Epci, code).is_some() {
            return None;
        }
        let (code, name) = (code.to_owned(), name.to_owned());
        table.gone.push(Gone { code, name, last: last.parse().ok()?, members });
    }
    Some(())
}

/// Looks up the codes by which rows name each other.
fn link(parts: &[Part<'_>], table: &mut Table) -> Option<()> {
    let optional = |level: Level, code: &str, table: &Table| match code {
        "" => Some(NONE),
        code => table.unit(level, code),
    };
    for level in LISTED {
        let part = parts.iter().find(|part| part.level == level)?;
        let above = match level {
            Level::Com | Level::Arr => Level::Dep,
            Level::Dep => Level::Reg,
            _ => Level::Com,
        };
        for row in &part.rows {
            if level == Level::Com {
                let [arr, epci, ept] = row.groups;
                table.places.push(Place {
                    arr: optional(Level::Arr, arr, table)?,
                    epci: optional(Level::Epci, epci, table)?,
                    ept: optional(Level::Ept, ept, table)?,
                    dep: table.unit(above, row.parent)?,
                });
                continue;
            }
            let free = matches!(level, Level::Epci | Level::Ept | Level::Reg);
            let parent = optional(above, row.parent, table)?;
            if !free && parent == NONE {
                return None;
            }
            table.parents.push(parent);
        }
    }
    Some(())
}

/// Gathers the communes of each territory made of several, as ranges of ranks.
fn gather(table: &mut Table) {
    let first = table.level(Level::Epci).start;
    let last = table.level(Level::Reg).end;
    let mut ranges: Vec<Vec<Range<u32>>> = vec![Vec::new(); last.saturating_sub(first) as usize];
    for (rank, place) in (0..).zip(&table.places) {
        let reg = table.parent(place.dep).unwrap_or(NONE);
        for unit in [place.epci, place.ept, place.arr, place.dep, reg] {
            let held = unit.checked_sub(first).and_then(|at| ranges.get_mut(at as usize));
            let Some(held) = held else { continue };
            match held.last_mut() {
                Some(range) if range.end == rank => range.end += 1,
                _ => held.push(rank..rank + 1),
            }
        }
    }
    for list in ranges {
        table.communes.push(list);
    }
}

/// Sums the communes' populations for what is made of communes: one source of figures, so that
/// they add up at every level.
fn add_up(table: &mut Table) {
    for unit in table.level(Level::Epci).start..table.level(Level::Reg).end {
        let ranks = table.communes_of(unit).iter().flat_map(Clone::clone);
        let known: Vec<u64> = ranks.filter_map(|rank| table.population(rank)).collect();
        let sum: u64 = known.iter().sum();
        let population = if known.is_empty() { NONE } else { u32::try_from(sum).unwrap_or(NONE) };
        if let Some(held) = table.population.get_mut(unit as usize) {
            *held = population;
        }
    }
}
