//! What became of each commune: movements as files give them, or as the difference between two
//! lists of communes shows them, and the codes that are no commune's any more.

use super::{Book, By, Former, Step};
use crate::territory::vintages::new_year;
use std::collections::{BTreeMap, BTreeSet};

/// INSEE's MOD of a commune nouvelle, a split, a change of code, a creation.
const MERGED: u8 = 32;
const SPLIT: u8 = 21;
const RECODED: u8 = 41;
const CREATED: u8 = 20;

/// Movements by the commune before.
pub(super) struct Ways<'a> {
    by_from: BTreeMap<&'a str, BTreeMap<u32, BTreeSet<&'a str>>>,
}

impl<'a> Ways<'a> {
    pub(super) fn new(moves: &'a BTreeSet<Step>) -> Self {
        let mut by_from: BTreeMap<&str, BTreeMap<u32, BTreeSet<&str>>> = BTreeMap::new();
        for step in moves.iter().filter(|step| !step.from.is_empty()) {
            let days = by_from.entry(&step.from).or_default();
            days.entry(step.date).or_default().insert(&step.to);
        }
        Self { by_from }
    }

    /// Where the territory of a commune that ended is: from the last day on which it did.
    pub(super) fn end_of(&self, code: &str, is_commune: &dyn Fn(&str) -> bool) -> BTreeSet<String> {
        let Some(days) = self.by_from.get(code) else { return BTreeSet::new() };
        let Some((date, to)) = days.iter().rfind(|(_, to)| !to.contains(code)) else {
            return BTreeSet::new();
        };
        to.iter().flat_map(|to| self.after(to, *date, is_commune)).collect()
    }

    /// Where what is `code` after a day is today.
    fn after(&self, code: &str, date: u32, is_commune: &dyn Fn(&str) -> bool) -> BTreeSet<String> {
        let ends = self
            .by_from
            .get(code)
            .and_then(|days| days.range(date + 1..).find(|(_, to)| !to.contains(code)));
        match ends {
            Some((date, to)) => {
                to.iter().flat_map(|to| self.after(to, *date, is_commune)).collect()
            }
            None if is_commune(code) => BTreeSet::from([code.to_owned()]),
            None => BTreeSet::new(),
        }
    }
}

/// Movements without the codes that were born and died on one day: INSEE tells a commune that
/// changes its département and merges at once by way of a code that nobody ever bore. `existed` tells
/// whether a code was a commune's on a day.
pub(super) fn direct(moves: BTreeSet<Step>, existed: &dyn Fn(&str, u32) -> bool) -> BTreeSet<Step> {
    let passing: BTreeSet<(u32, String)> = moves
        .iter()
        .filter(|step| step.from != step.to && !existed(&step.to, step.date - 1))
        .filter(|step| {
            let onward = |m: &&Step| m.date == step.date && m.from == step.to && m.to != step.to;
            moves.iter().any(|m| onward(&m))
        })
        .map(|step| (step.date, step.to.clone()))
        .collect();
    let through = |date: u32, code: &String| passing.contains(&(date, code.clone()));
    let mut direct = BTreeSet::new();
    for step in &moves {
        if through(step.date, &step.from) {
            continue;
        }
        if !through(step.date, &step.to) {
            direct.insert(step.clone());
            continue;
        }
        let onward =
            moves.iter().filter(|m| m.date == step.date && m.from == step.to && m.to != step.to);
        direct.extend(onward.map(|m| Step { from: step.from.clone(), ..m.clone() }));
    }
    direct
}

/// The movements that the difference between two lists of communes shows, dated the first of
/// January of the newer. `parent` tells the commune that a part belongs to, in either list;
/// `claimed` the commune that lists a code as an old one.
pub(super) fn between(before: &Book, after: &Book, claimed: &By<String>) -> BTreeSet<Step> {
    let date = new_year(after.vintage);
    let step = |kind, from: &str, to: &str| Step { date, kind, from: from.into(), to: to.into() };
    let overseas = |code: &str| {
        code.starts_with("98") || ["975", "977", "978"].iter().any(|p| code.starts_with(p))
    };
    let mut moves = BTreeSet::new();
    let mut reached = BTreeSet::new();
    for code in before.coms.keys().filter(|code| !after.coms.contains_key(*code) && !overseas(code))
    {
        let to = after.part_of(code).or_else(|| claimed.get(code).cloned());
        let Some(to) = to.filter(|to| after.coms.contains_key(to)) else { continue };
        let goes_on = before.coms.contains_key(&to);
        moves.insert(step(if goes_on { MERGED } else { RECODED }, code, &to));
        if goes_on {
            moves.insert(step(MERGED, &to, &to));
        }
        reached.insert(to);
    }
    for code in after.coms.keys().filter(|code| !before.coms.contains_key(*code)) {
        if overseas(code) || reached.contains(code) {
            continue;
        }
        let from = before
            .part_of(code)
            .or_else(|| before.old.get(code).and_then(|former| former.to.first().cloned()));
        match from.filter(|from| before.coms.contains_key(from)) {
            None => drop(moves.insert(step(CREATED, "", code))),
            Some(from) => {
                moves.insert(step(SPLIT, &from, code));
                if after.coms.contains_key(&from) {
                    moves.insert(step(SPLIT, &from, &from));
                }
            }
        }
    }
    moves
}

impl Book {
    /// The commune that a code is a commune déléguée's or associée's of.
    pub(super) fn part_of(&self, code: &str) -> Option<String> {
        let mut at = code.to_owned();
        // A part's parent may itself have become a part.
        for _ in 0..8 {
            let part = self.comds.get(&at).or_else(|| self.comas.get(&at))?;
            if self.coms.contains_key(&part.parent) {
                return Some(part.parent.clone());
            }
            at = part.parent.clone();
        }
        None
    }

    /// Makes the list of codes that are no commune's any more: where the code is today that of a
    /// part of a commune, that commune wins; else where movements lead; else the commune that
    /// claims it; else where `base` said, carried on. Gives back the codes that lead nowhere.
    pub(super) fn settle(
        &mut self,
        base: &Self,
        claimed: &By<String>,
        names: &By<String>,
    ) -> Vec<String> {
        let ways = Ways::new(&self.moves);
        let coms = &self.coms;
        let is_commune = |code: &str| coms.contains_key(code);
        let mut codes: BTreeSet<&str> =
            base.old.keys().chain(base.coms.keys()).map(String::as_str).collect();
        codes.extend(self.moves.iter().flat_map(|m| [m.from.as_str(), m.to.as_str()]));
        codes.extend(self.comds.keys().chain(self.comas.keys()).map(String::as_str));
        codes.extend(claimed.keys().map(String::as_str));
        let forward = base.vintage <= self.vintage;
        let (mut old, mut settled, mut lost) = (By::new(), Vec::new(), Vec::new());
        for code in codes.into_iter().filter(|code| !code.is_empty() && !is_commune(code)) {
            let known = base.old.get(code);
            let carried = || -> BTreeSet<String> {
                let to = known.into_iter().flat_map(|former| &former.to);
                to.flat_map(|to| match is_commune(to) {
                    true => BTreeSet::from([to.clone()]),
                    false => ways.end_of(to, &is_commune),
                })
                .collect()
            };
            let claims =
                || claimed.get(code).into_iter().filter(|to| is_commune(to)).cloned().collect();
            let mut to = ways.end_of(code, &is_commune);
            // What was settled before stays so; shared out, and not only as movements tell.
            let shared = forward && known.is_some_and(|former| former.to.len() > 1);
            if shared || to.is_empty() {
                to = Some(carried()).filter(|to| !to.is_empty()).unwrap_or_else(claims);
            }
            if let Some(parent) = self.part_of(code) {
                let other =
                    claimed.get(code).or_else(|| to.first()).filter(|other| **other != parent);
                if let Some(other) = other.filter(|other| is_commune(other)) {
                    settled.push([code.to_owned(), other.clone(), parent.clone()]);
                }
                to = BTreeSet::from([parent]);
            }
            if to.is_empty() {
                lost.push(code.to_owned());
                continue;
            }
            let name = names.get(code).cloned();
            let name = name.or_else(|| base.old.get(code).map(|former| former.name.clone()));
            let name = name.or_else(|| base.coms.get(code).map(|com| com.name.clone()));
            old.insert(code.to_owned(), Former { name: name.unwrap_or_default(), to });
        }
        self.old = old;
        self.settled = settled;
        lost
    }
}
