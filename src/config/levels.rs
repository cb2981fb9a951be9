//! `[territories]`: which levels are drawn from communes, each as a layer.

use super::{
    document::{clip, hint},
    table::Table,
};
use crate::{
    model::{
        CsvOptions, DerivedSource, FieldDef, LayerDef, Level, LevelDef, SourceDef, SourceLocation,
        Symbols, TerritoryBinding, Text, Unit, UnitLang, layer::CodeColumn,
    },
    text,
};
use std::{collections::BTreeMap, time::Duration};

pub(super) const KEYS: &[&str] = &["derived"];

/// The levels made of communes, but communes themselves and the whole. Default: all.
const DERIVED: [Level; 5] = [Level::Epci, Level::Ept, Level::Arr, Level::Dep, Level::Reg];

/// Who draws up the codes and names.
const COG: &str = "INSEE, Code officiel géographique";

/// Reads the table; without it all levels, those of the configuration that are made of communes
/// among them.
pub(super) fn read(table: Option<&Table<'_>>, own: &[LevelDef]) -> Vec<Level> {
    let own = own.iter().map(|def| def.level).filter(|level| level.is_communal());
    let all: Vec<Level> = DERIVED.into_iter().chain(own).collect();
    let Some(table) = table.filter(|t| t.has("derived")) else { return all };
    let mut levels = Vec::new();
    for words in table.strings("derived").unwrap_or_default() {
        match all.iter().find(|level| level.id() == words) {
            Some(level) => levels.push(*level),
            None => {
                let known: Vec<&str> = all.iter().map(|level| level.id()).collect();
                let words = clip(&words);
                let Text { fr, en } = hint(&words, &known);
                let list = known.join(", ");
                table.report(
                    "derived",
                    text!(
                        "« {words} » n'est pas un niveau qui se dérive des communes ; {fr} ({list})",
                        "\"{words}\" is not a level that is derived from communes; {en} ({list})"
                    ),
                );
            }
        }
    }
    levels
}

/// Adds the layers of the levels that no layer draws, when one draws the communes.
pub(super) fn derive(layers: &mut Vec<LayerDef>, levels: &[Level]) {
    let coded = |def: &&LayerDef| def.territory.columns.iter().any(|c| c.level == Level::Com);
    let drawn = |def: &&LayerDef| def.territory.borders == Some(Level::Com) && !def.is_live();
    let Some(communes) = layers.iter().filter(drawn).find(coded).cloned() else { return };
    for level in levels {
        let made = layer(&communes, *level);
        let taken = |def: &LayerDef| {
            def.territory.borders == Some(*level)
                || made.as_ref().is_some_and(|made| made.id == def.id)
        };
        if !layers.iter().any(taken) {
            layers.extend(made);
        }
    }
    layers.sort_by(|a, b| a.id.cmp(&b.id));
}

fn layer(communes: &LayerDef, level: Level) -> Option<LayerDef> {
    let producer = communes.producer.clone();
    let from = communes.id.clone();
    Some(LayerDef {
        id: format!("territoires-{level}").parse().ok()?,
        title: title(level),
        description: description(communes, level),
        attribution: format!("{} ; {COG}", communes.attribution),
        key: Some("code".into()),
        label: Some("nom".into()),
        fields: fields(level),
        source: SourceDef {
            location: SourceLocation::Derived(DerivedSource { from, level }),
            format: None,
            crs: None,
            encoding: None,
            member: None,
            csv: CsvOptions::default(),
            max_bytes: 0,
            timeout: Duration::ZERO,
        },
        territory: TerritoryBinding {
            columns: vec![CodeColumn { level, column: "code".into() }],
            borders: Some(level),
            ..TerritoryBinding::default()
        },
        style: None,
        // Their fields are others than those of the communes.
        symbols: Symbols { labels: communes.symbols.labels, ..Symbols::default() },
        schedule: None,
        producer,
        ..communes.clone()
    })
}

fn title(level: Level) -> Text {
    match level {
        Level::Epci => text!("Intercommunalités (EPCI)", "Intercommunalities (EPCI)"),
        Level::Ept => {
            text!("Établissements publics territoriaux (EPT)", "Territorial public bodies (EPT)")
        }
        Level::Arr => text!("Arrondissements", "Arrondissements"),
        Level::Dep => text!("Départements", "Departments (départements)"),
        Level::Own(own) => own.words().plural.clone(),
        _ => text!("Régions", "Regions (régions)"),
    }
}

/// What people are told of the columns that a level has.
fn fields(level: Level) -> BTreeMap<String, FieldDef> {
    let field = |title: Text, unit: Option<&str>| FieldDef {
        title,
        unit: unit.map(|code| Unit { code: code.into(), lang: UnitLang::Ucum }),
        ..FieldDef::default()
    };
    let all = [
        ("code", field(text!("Code", "Code"), None)),
        ("nom", field(text!("Nom", "Name"), None)),
        ("nature", field(text!("Nature", "Kind"), None)),
        ("epci", field(text!("EPCI", "EPCI"), None)),
        ("dep", field(text!("Département", "Département"), None)),
        ("reg", field(text!("Région", "Région"), None)),
        (
            "population",
            field(text!("Population municipale", "Municipal population"), Some("{hab}")),
        ),
        ("communes", field(text!("Nombre de communes", "Number of communes"), None)),
        (
            "communes_absentes",
            field(text!("Communes sans contour", "Communes without an outline"), None),
        ),
        ("membres", field(text!("Membres", "Members"), None)),
        ("superficie_km2", field(text!("Superficie", "Area"), Some("km2"))),
        ("centre_lon", field(text!("Longitude du centre", "Longitude of the centre"), Some("deg"))),
        ("centre_lat", field(text!("Latitude du centre", "Latitude of the centre"), Some("deg"))),
        ("bbox", field(text!("Emprise", "Extent"), None)),
    ];
    let columns = level.derived_columns();
    let has = all.into_iter().filter(|(name, _)| columns.contains(name));
    has.map(|(name, field)| (name.to_owned(), field)).collect()
}

/// What the features are made from, and what their columns are.
fn description(communes: &LayerDef, level: Level) -> Text {
    let Text { fr, en } = &communes.title;
    let members = match level {
        Level::Reg => {
            text!(" « membres » liste les départements.", " \"membres\" lists the départements.")
        }
        Level::Dep => text!(
            " « membres » liste les arrondissements.",
            " \"membres\" lists the arrondissements."
        ),
        Level::Own(_) => text!(
            " Les membres sont ceux de la table du niveau.",
            " The members are those of the level's table."
        ),
        _ => Text::default(),
    };
    let (fr_members, en_members) = (members.fr, members.en);
    text!(
        "Limites obtenues en réunissant les communes de la couche « {fr} », sans en déplacer un point ; codes, noms et appartenances du Code officiel géographique, populations municipales de l'INSEE. « communes » en compte les communes, « communes_absentes » celles que la couche n'a pas : le contour est alors incomplet.{fr_members} Superficie en km² sur l'ellipsoïde.",
        "Borders obtained by joining the communes of the layer \"{en}\", without moving a point; codes, names and memberships of the Code officiel géographique, municipal populations by INSEE. \"communes\" counts the communes, \"communes_absentes\" those that the layer lacks: the outline is then incomplete.{en_members} Area in km² on the ellipsoid (superficie_km2)."
    )
}
