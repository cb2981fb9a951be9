//! What files mean for the table in force: another vintage of it, checked.

use super::{
    Book, By, Com, Dissolved, Group, Part, Step,
    given::{self, CogFile, Commune, Faults, Given, Spot},
    movements,
};
use crate::{
    error::{Error, Result},
    model::{Code, Level, Text},
    territory::{Reference, table::pack, vintages::new_year},
    text,
};
use std::collections::{BTreeMap, BTreeSet};

/// A delivery with fewer communes, or fewer of them in an EPCI, than this share of those in force
/// is refused.
const FEWEST: f64 = 0.95;
/// The same of communes déléguées and associées, which do go.
const FEWEST_PARTS: f64 = 0.5;
/// The kinds of EPCI.
const KINDS: [&str; 5] = ["CC", "CA", "CU", "METRO", "MET69"];

/// Another vintage of the table, ready to be read.
#[derive(Debug)]
pub struct Update {
    /// The table, in the form that [`Reference::from_bytes`] reads.
    pub bytes: Vec<u8>,
    /// What was assumed, left out or settled.
    pub notes: Vec<Text>,
}

/// Brings the reference in force to what files say. `vintage` where no file names its year.
///
/// # Errors
/// [`Error::Refused`], with the lines at fault, when a file is broken or they do not hold together;
/// [`Error::Invalid`] when nothing tells the vintage.
pub fn update(base: &Reference, files: &[CogFile], vintage: Option<u16>) -> Result<Update> {
    let mut given = Given::read(files)?;
    let existed = |code: &str, date: u32| {
        pack(code).is_some_and(|code| base.lives().on(&base.table, &code, date))
    };
    let laid = &Book::of(base);
    let only_moves = given.communes.is_none() && given.epcis.is_none();
    if let (Some(asked), Some(found)) = (vintage, given.vintage)
        && asked != found
    {
        return Err(Error::Invalid(text!(
            "--vintage {asked}, mais ces fichiers sont de {found}.",
            "--vintage {asked}, but these files are of {found}."
        )));
    }
    let told = vintage.or(given.vintage).or(only_moves.then_some(laid.vintage));
    let mut book = Book { vintage: told.ok_or_else(no_vintage)?, ..laid.clone() };
    book.source = given.package.clone().unwrap_or_else(|| given.source.join(", "));
    let mut faults = std::mem::take(&mut given.faults);
    sound(&given, &mut faults);
    book.take_groups(&given, laid);
    let claimed = match &given.communes {
        Some(communes) => book.take_communes(communes, laid, &mut faults),
        None => By::new(),
    };
    faults.check()?;
    let names = book.take_moves(&given, laid, &claimed, &existed);
    let lost = book.settle(laid, &claimed, &names);
    book.inherit(laid, given.communes.is_some());
    book.take_members(&given, laid, &mut faults);
    book.check(laid, &mut faults);
    faults.check()?;
    let mut notes = given.notes;
    if !lost.is_empty() {
        let (count, list) =
            (lost.len(), lost.iter().take(12).cloned().collect::<Vec<_>>().join(", "));
        notes.push(text!(
            "{count} anciens codes dont rien ne dit où est leur territoire, laissés de côté : {list}.",
            "{count} old codes of which nothing tells where their territory is, left out: {list}."
        ));
    }
    for [code, claimed, parent] in &book.settled {
        notes.push(text!(
            "{code} mène à {claimed}, mais sa commune est {parent} : elle l'emporte.",
            "{code} leads to {claimed}, but its commune is {parent}: it wins."
        ));
    }
    let bytes = book.bytes()?;
    // What could not be read never gets to be in force.
    Reference::from_bytes(&bytes)?;
    Ok(Update { bytes, notes })
}

fn no_vintage() -> Error {
    Error::Invalid(text!(
        "Rien ne dit de quelle année sont ces fichiers : donnez --vintage.",
        "Nothing tells of which year these files are: give --vintage."
    ))
}

impl Book {
    /// Régions, départements, arrondissements: those given, and the overseas ones that INSEE lists
    /// elsewhere.
    fn take_groups(&mut self, given: &Given, base: &Self) {
        let zone = |code: &str, of: &str| match base.regs.get(code) {
            _ if !of.is_empty() => of.to_owned(),
            Some(reg) => reg.of.clone(),
            None if code.starts_with('0') => "drom".to_owned(),
            None => "metro".to_owned(),
        };
        if let Some(list) = &given.regs {
            let overseas = base.regs.iter().filter(|(_, reg)| reg.of == "com");
            self.regs = overseas.map(|(code, reg)| (code.clone(), reg.clone())).collect();
            let made = list.iter().map(|g| {
                (g.code.clone(), Group { name: g.name.clone(), of: zone(&g.code, &g.of) })
            });
            self.regs.extend(made);
        }
        let group =
            |g: &given::Group| (g.code.clone(), Group { name: g.name.clone(), of: g.of.clone() });
        if let Some(list) = &given.deps {
            let overseas = base.deps.iter().filter(|(code, _)| base.zone(code) == "com");
            self.deps = overseas.map(|(code, dep)| (code.clone(), dep.clone())).collect();
            self.deps.extend(list.iter().map(group));
        }
        if let Some(list) = &given.arrs {
            self.arrs = list.iter().map(group).collect();
        }
    }

    /// Communes and their parts. Gives the old codes that communes claim.
    fn take_communes(&mut self, list: &[Commune], base: &Self, faults: &mut Faults) -> By<String> {
        let (mut coms, mut claimed) = (By::new(), By::new());
        let mut parts: BTreeMap<Level, By<Part>> = BTreeMap::new();
        let mut spots: Vec<(&Commune, Level)> = Vec::new();
        for row in list {
            let Some(level) = row.level else { continue };
            let code = &row.code;
            if Code::new(level, code).is_err() || row.name.is_empty() {
                faults.add(
                    &row.spot,
                    text!(
                        "code « {code} » mal formé, ou sans nom",
                        "code \"{code}\" is malformed, or has no name"
                    ),
                );
                continue;
            }
            let twice = if level == Level::Com {
                coms.insert(code.clone(), self.commune(row, faults)).is_some()
            } else {
                let part = Part {
                    name: row.name.clone(),
                    parent: row.parent.clone(),
                    population: row.population,
                    postal: postal(row),
                };
                parts.entry(level).or_default().insert(code.clone(), part).is_some()
            };
            if twice {
                faults.add(
                    &row.spot,
                    text!("{level}:{code} est donné deux fois", "{level}:{code} is given twice"),
                );
            }
            spots.push((row, level));
            claimed.extend(row.former.iter().map(|old| (old.clone(), code.clone())));
        }
        if !coms.values().any(|com| self.zone(&com.dep) == "com") {
            let overseas = base.coms.iter().filter(|(_, com)| base.zone(&com.dep) == "com");
            coms.extend(overseas.map(|(code, com)| (code.clone(), com.clone())));
        }
        self.coms = coms;
        let mut take = |level| parts.remove(&level).unwrap_or_default();
        (self.arms, self.comds, self.comas) =
            (take(Level::Arm), take(Level::Comd), take(Level::Coma));
        self.check_parts(&spots, faults);
        claimed.retain(|old, _| !self.coms.contains_key(old));
        claimed
    }

    /// A commune, held against its département.
    fn commune(&self, row: &Commune, faults: &mut Faults) -> Com {
        let (code, dep, reg) = (&row.code, &row.dep, &row.reg);
        match self.deps.get(dep) {
            None => faults.add(
                &row.spot,
                text!(
                    "com:{code} : département « {dep} » inconnu",
                    "com:{code}: unknown département \"{dep}\""
                ),
            ),
            Some(home) if !reg.is_empty() && home.of != *reg => {
                let of = &home.of;
                faults.add(
                    &row.spot,
                    text!(
                        "com:{code} : son département est de la région {of}, non {reg}",
                        "com:{code}: its département is of région {of}, not {reg}"
                    ),
                );
            }
            Some(_) => {}
        }
        // Mayotte's communes name an arrondissement that does not exist.
        let mayotte = dep == "976";
        let arr = if self.arrs.contains_key(&row.arr) || !mayotte {
            row.arr.clone()
        } else {
            String::new()
        };
        let home = self.arrs.get(&arr).map(|arr| arr.of.as_str());
        if !arr.is_empty() && home != Some(dep.as_str()) {
            faults.add(
                &row.spot,
                text!(
                    "com:{code} : arrondissement « {arr} » inconnu, ou d'un autre département",
                    "com:{code}: arrondissement \"{arr}\" is unknown, or of another département"
                ),
            );
        }
        Com {
            name: row.name.clone(),
            population: row.population,
            dep: dep.clone(),
            arr,
            postal: postal(row),
            ..Com::default()
        }
    }

    /// Every part belongs to a commune; those whose commune became a part itself, to its commune.
    fn check_parts(&mut self, rows: &[(&Commune, Level)], faults: &mut Faults) {
        for (row, level) in rows.iter().filter(|(_, level)| *level != Level::Com) {
            let (code, parent) = (&row.code, &row.parent);
            let direct = self.coms.contains_key(parent).then(|| parent.clone());
            let Some(commune) = direct.or_else(|| self.part_of(parent)) else {
                faults.add(
                    &row.spot,
                    text!(
                        "{level}:{code} : sa commune « {parent} » n'existe pas",
                        "{level}:{code}: its commune \"{parent}\" does not exist"
                    ),
                );
                continue;
            };
            let parts = match level {
                Level::Arm => &mut self.arms,
                Level::Comd => &mut self.comds,
                _ => &mut self.comas,
            };
            if let Some(part) = parts.get_mut(code) {
                part.parent = commune;
            }
        }
    }

    /// The movements: those given, and of the table in force what they do not reach; without any,
    /// what the difference of the communes shows. Gives names of communes of the past.
    fn take_moves(
        &mut self,
        given: &Given,
        base: &Self,
        claimed: &By<String>,
        existed: &dyn Fn(&str, u32) -> bool,
    ) -> By<String> {
        let until = new_year(self.vintage);
        let mut names = By::new();
        let kept: BTreeSet<Step> = match &given.moves {
            Some(list) => {
                let reach = list.iter().map(|m| m.date).max().unwrap_or_default();
                let mut in_order: Vec<_> = list.iter().filter(|m| m.date <= until).collect();
                in_order.sort_by_key(|m| m.date);
                names.extend(in_order.iter().map(|m| (m.from.clone(), m.from_name.clone())));
                let later = base.moves.iter().filter(|step| step.date > reach).cloned();
                let told = in_order.into_iter().map(|m| Step {
                    date: m.date,
                    kind: m.kind,
                    from: m.from.clone(),
                    to: m.to.clone(),
                });
                later.chain(movements::direct(told.collect(), existed)).collect()
            }
            None => base.moves.clone(),
        };
        self.moves = kept.into_iter().filter(|step| step.date <= until).collect();
        let reached = self.moves.iter().next_back().map_or(0, |step| step.date);
        if base.vintage < self.vintage && (given.moves.is_none() || reached < until) {
            self.moves.extend(movements::between(base, self, claimed));
        }
        names
    }

    /// Population, postal codes and EPCI that the files do not give.
    fn inherit(&mut self, base: &Self, communes: bool) {
        if !communes {
            return;
        }
        // Where the communes of the table in force are now.
        let mut people: BTreeMap<&str, u64> = BTreeMap::new();
        for (code, com) in &base.coms {
            let to = match self.coms.contains_key(code) {
                true => Some(code.as_str()),
                false => {
                    self.old.get(code).and_then(|former| former.to.first()).map(String::as_str)
                }
            };
            if let (Some(to), Some(population)) = (to, com.population) {
                *people.entry(to).or_default() += population;
            }
        }
        let people: By<u64> = people.into_iter().map(|(code, n)| (code.to_owned(), n)).collect();
        let before = |code: &str| {
            let was = base.coms.get(code);
            was.or_else(|| base.old.get(code).and_then(|former| base.coms.get(former.to.first()?)))
        };
        for (code, com) in &mut self.coms {
            let was = before(code);
            com.population = com.population.or(people.get(code).copied());
            if let Some(was) = was {
                if com.postal.is_empty() {
                    com.postal.clone_from(&was.postal);
                }
                com.epci.clone_from(&was.epci);
                com.ept.clone_from(&was.ept);
            }
        }
        for (code, arm) in &mut self.arms {
            if let Some(was) = base.arms.get(code) {
                arm.population = arm.population.or(was.population);
                if arm.postal.is_empty() {
                    arm.postal.clone_from(&was.postal);
                }
            }
        }
    }

    /// EPCI and EPT given with their members; those that are no more are remembered.
    fn take_members(&mut self, given: &Given, base: &Self, faults: &mut Faults) {
        if let Some(list) = &given.epcis {
            self.coms.values_mut().for_each(|com| com.epci.clear());
            self.epcis = self.members(list, faults, |com| &mut com.epci);
        }
        if let Some(list) = &given.epts {
            self.coms.values_mut().for_each(|com| com.ept.clear());
            self.epts = self.members(list, faults, |com| &mut com.ept);
        }
        let filled: BTreeSet<&String> = self.coms.values().map(|com| &com.epci).collect();
        let mut epcis = self.epcis.clone();
        epcis.retain(|code, _| filled.contains(code));
        for (code, epci) in base.epcis.iter().filter(|(code, _)| !epcis.contains_key(*code)) {
            let members = base.coms.iter().filter(|(_, com)| com.epci == *code);
            let members = members.map(|(code, _)| code.clone()).collect();
            let gone = Dissolved { name: epci.name.clone(), last: base.vintage, members };
            self.gone.insert(code.clone(), gone);
        }
        self.gone.retain(|code, gone| !epcis.contains_key(code) && !gone.members.is_empty());
        self.epcis = epcis;
    }

    fn members(
        &mut self,
        list: &[given::Group],
        faults: &mut Faults,
        field: fn(&mut Com) -> &mut String,
    ) -> By<Group> {
        let mut groups = By::new();
        for group in list {
            let code = &group.code;
            for member in &group.members {
                match self.coms.get_mut(member).map(field) {
                    None => faults.add(
                        &group.spot,
                        text!(
                            "{code} : son membre {member} n'est pas une commune",
                            "{code}: its member {member} is no commune"
                        ),
                    ),
                    Some(held) if !held.is_empty() => {
                        faults.add(
                            &group.spot,
                            text!(
                                "{member} est membre de {held} et de {code}",
                                "{member} is a member of {held} and of {code}"
                            ),
                        );
                    }
                    Some(held) => held.clone_from(code),
                }
            }
            let made = Group { name: group.name.clone(), of: group.of.clone() };
            groups.insert(code.clone(), made);
        }
        groups
    }

    /// Whether as much is there as before, or nearly.
    fn check_counts(&self, base: &Self, whole: &Spot, faults: &mut Faults) {
        let grouped = |book: &Self| book.coms.values().filter(|com| !com.epci.is_empty()).count();
        let counts = [
            (text!("communes", "communes"), base.coms.len(), self.coms.len(), FEWEST),
            (
                text!("communes dans un EPCI", "communes in an EPCI"),
                grouped(base),
                grouped(self),
                FEWEST,
            ),
            (
                text!("arrondissements municipaux", "municipal arrondissements"),
                base.arms.len(),
                self.arms.len(),
                FEWEST,
            ),
            (
                text!("communes déléguées", "communes déléguées"),
                base.comds.len(),
                self.comds.len(),
                FEWEST_PARTS,
            ),
            (
                text!("communes associées", "communes associées"),
                base.comas.len(),
                self.comas.len(),
                FEWEST_PARTS,
            ),
        ];
        for (Text { fr, en }, before, after, fewest) in counts {
            if (after as f64) < before as f64 * fewest {
                faults.add(
                    whole,
                    text!(
                        "{after} {fr}, au lieu de {before} : livraison incomplète ?",
                        "{after} {en}, instead of {before}: an incomplete delivery?"
                    ),
                );
            }
        }
    }

    /// Whether the whole makes sense.
    fn check(&self, base: &Self, faults: &mut Faults) {
        let whole = Spot { file: self.source.clone(), line: 0 };
        self.check_counts(base, &whole, faults);
        let inhabited: BTreeSet<&str> = self.coms.values().map(|com| com.dep.as_str()).collect();
        for (code, dep) in &self.deps {
            if !inhabited.contains(code.as_str()) {
                faults.add(
                    &whole,
                    text!("dep:{code} n'a aucune commune", "dep:{code} has no commune"),
                );
            }
            let of = &dep.of;
            if !self.regs.contains_key(of) {
                faults.add(
                    &whole,
                    text!(
                        "dep:{code} : région « {of} » inconnue",
                        "dep:{code}: unknown région \"{of}\""
                    ),
                );
            }
        }
        for (code, arr) in &self.arrs {
            let of = &arr.of;
            if !self.deps.contains_key(of) {
                faults.add(
                    &whole,
                    text!(
                        "arr:{code} : département « {of} » inconnu",
                        "arr:{code}: unknown département \"{of}\""
                    ),
                );
            }
        }
    }
}

/// Whether each territory made of others is one, and given once.
fn sound(given: &Given, faults: &mut Faults) {
    let lists = [
        (Level::Reg, &given.regs),
        (Level::Dep, &given.deps),
        (Level::Arr, &given.arrs),
        (Level::Epci, &given.epcis),
        (Level::Ept, &given.epts),
    ];
    for (level, list) in lists {
        let mut seen = BTreeSet::new();
        for group in list.iter().flatten() {
            let (code, kind) = (&group.code, &group.of);
            if Code::new(level, code).is_err() || group.name.trim().is_empty() {
                faults.add(
                    &group.spot,
                    text!(
                        "code « {code} » mal formé, ou sans nom",
                        "code \"{code}\" is malformed, or has no name"
                    ),
                );
            } else if !seen.insert(code) {
                faults.add(
                    &group.spot,
                    text!("{level}:{code} est donné deux fois", "{level}:{code} is given twice"),
                );
            }
            if level == Level::Epci && !KINDS.contains(&kind.as_str()) {
                let known = KINDS.join(", ");
                faults.add(
                    &group.spot,
                    text!(
                        "{code} : nature « {kind} » inconnue ({known})",
                        "{code}: unknown kind \"{kind}\" ({known})"
                    ),
                );
            }
        }
    }
}

/// Postal codes that have the form of one, sorted.
fn postal(row: &Commune) -> Vec<String> {
    let five = |code: &&String| code.len() == 5 && code.bytes().all(|b| b.is_ascii_digit());
    let mut codes: Vec<String> = row.postal.iter().filter(five).cloned().collect();
    codes.sort();
    codes.dedup();
    codes
}
