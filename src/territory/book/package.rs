//! The JSON files of the npm package `@etalab/decoupage-administratif`, known by their members. Its
//! major version is its vintage: 6 is 2026.

use super::given::{CogFile, Commune, Given, Group, Spot, broken};
use crate::{error::Result, model::Level, text};
use serde::Deserialize;

/// The vintage of version 0.
const FIRST: u16 = 2020;
/// The last vintage that makes sense.
const LAST: u16 = 2100;

/// A member of one of the files.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Row {
    code: String,
    nom: String,
    #[serde(rename = "type")]
    kind: String,
    zone: String,
    region: String,
    departement: String,
    arrondissement: String,
    #[serde(rename = "chefLieu")]
    chief: String,
    commune: String,
    #[serde(rename = "anciensCodes")]
    former: Vec<String>,
    #[serde(rename = "codesPostaux")]
    postal: Vec<String>,
    population: Option<u64>,
    membres: Option<Vec<Member>>,
}

#[derive(Debug, Deserialize)]
struct Member {
    code: String,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
}

/// Reads one file into what is given.
pub(super) fn read(file: &CogFile, given: &mut Given) -> Result<()> {
    let unreadable = |e: serde_json::Error| {
        let (line, column) = (e.line(), e.column());
        broken(
            &file.name,
            &text!(
                "JSON illisible, ligne {line}, colonne {column} : {e}",
                "unreadable JSON, line {line}, column {column}: {e}"
            ),
        )
    };
    let bytes = file.bytes.trim_ascii_start();
    if bytes.starts_with(b"{") {
        let package: Package = serde_json::from_slice(bytes).map_err(unreadable)?;
        return itself(&file.name, &package, given);
    }
    let rows: Vec<Row> = serde_json::from_slice(bytes).map_err(unreadable)?;
    let spot = |at: usize| Spot { file: file.name.clone(), line: at as u64 + 1 };
    let Some(first) = rows.first() else {
        return Err(broken(&file.name, &text!("liste vide", "empty list")));
    };
    let group = |(at, row): (usize, Row), of: fn(&Row) -> &String| Group {
        spot: spot(at),
        of: of(&row).clone(),
        members: row.membres.into_iter().flatten().map(|m| m.code).collect(),
        code: row.code,
        name: row.nom,
    };
    let kinds =
        ["commune-actuelle", "arrondissement-municipal", "commune-deleguee", "commune-associee"];
    if kinds.contains(&first.kind.as_str()) {
        given.list("communes", &file.name)?;
        given.communes = Some(communes(rows, &spot, given));
    } else if first.membres.is_some() {
        let ept = file.name.to_ascii_lowercase().contains("ept");
        given.list(if ept { "ept" } else { "epci" }, &file.name)?;
        let groups = rows.into_iter().enumerate().map(|row| group(row, |row| &row.kind)).collect();
        *(if ept { &mut given.epts } else { &mut given.epcis }) = Some(groups);
    } else if !first.departement.is_empty() {
        given.list("arrondissements", &file.name)?;
        given.arrs =
            Some(rows.into_iter().enumerate().map(|r| group(r, |row| &row.departement)).collect());
    } else if !first.region.is_empty() {
        given.list("départements", &file.name)?;
        given.deps =
            Some(rows.into_iter().enumerate().map(|r| group(r, |row| &row.region)).collect());
    } else if !first.zone.is_empty() {
        given.list("régions", &file.name)?;
        given.regs =
            Some(rows.into_iter().enumerate().map(|r| group(r, |row| &row.zone)).collect());
    } else {
        return Err(broken(
            &file.name,
            &text!(
                "ce n'est pas un fichier du paquet : communes, epci, ept, arrondissements, departements, regions",
                "this is no file of the package: communes, epci, ept, arrondissements, departements, regions"
            ),
        ));
    }
    Ok(())
}

/// The package's own file: its version tells the vintage.
fn itself(file: &str, package: &Package, given: &mut Given) -> Result<()> {
    given.list("package.json", file)?;
    let major = package.version.split('.').next().and_then(|major| major.parse::<u16>().ok());
    let year = major.and_then(|major| FIRST.checked_add(major)).filter(|year| *year <= LAST);
    let year = year.ok_or_else(|| {
        let version: String = package.version.chars().take(40).collect();
        broken(
            file,
            &text!(
                "version « {version} » : un numéro comme 6.0.0 (2026) est attendu",
                "version \"{version}\": a number like 6.0.0 (2026) is expected"
            ),
        )
    })?;
    given.dated(Some(year), file)?;
    given.package = Some(format!("{}@{}", package.name, package.version));
    Ok(())
}

fn communes(rows: Vec<Row>, spot: &dyn Fn(usize) -> Spot, given: &mut Given) -> Vec<Commune> {
    let mut communes = Vec::with_capacity(rows.len());
    for (at, row) in rows.into_iter().enumerate() {
        let spot = spot(at);
        let level = match row.kind.as_str() {
            "commune-actuelle" => Level::Com,
            "arrondissement-municipal" => Level::Arm,
            "commune-deleguee" => Level::Comd,
            "commune-associee" => Level::Coma,
            kind => {
                given
                    .faults
                    .add(&spot, text!("type « {kind} » inconnu", "unknown type \"{kind}\""));
                continue;
            }
        };
        communes.push(Commune {
            spot,
            level: Some(level),
            code: row.code,
            name: row.nom,
            dep: row.departement,
            reg: row.region,
            arr: row.arrondissement,
            parent: if level == Level::Arm { row.commune } else { row.chief },
            population: row.population,
            postal: row.postal,
            former: row.former,
        });
    }
    communes
}
