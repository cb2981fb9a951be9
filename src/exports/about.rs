//! What a file says of each of its layers: licence, attribution, source, the four dates, version
//! and vintage (DESIGN §4, provenance), in French, as their producers' are.

use super::order::{Order, Part};
use crate::{
    error::{Error, Result},
    formats::{
        maplibre::{self, Around},
        qgis::{self, Symbology},
        write::{Fact, Head, InProject, Said, Style, System},
    },
    geometry::crs::Crs,
    model::{GeometryKind, Lang, LayerDef, Schema, Version},
    store::border::{Border, Outline, Source, cut_schema},
};
use std::path::Path;

/// The head of a layer, cut at a border where there is one.
pub(super) fn head(
    order: &Order,
    part: &Part,
    border: Option<&Border>,
    styles: &Path,
) -> Result<Head> {
    let def = &part.layer.def;
    let schema = schema(part)?;
    let label = def.label.as_deref().and_then(|name| schema.index(name));
    let symbology = symbology(styles, def, &part.layer.at()?.version);
    Ok(Head {
        name: def.id.to_string(),
        title: def.title.fr.clone(),
        description: def.description.fr.clone(),
        style: style(&symbology, def, &schema),
        project: Some(InProject {
            symbology,
            group: def.producer.clone(),
            is_border: def.territory.borders.is_some(),
            service: order.service.clone(),
        }),
        schema,
        system: system(&order.crs)?,
        label,
        said: Said::of_layer(def, &part.layer.at()?.version),
        facts: facts(order, part, border)?,
    })
}

/// The fields and geometry that the file's rows have.
pub(super) fn schema(part: &Part) -> Result<Schema> {
    let schema = &part.layer.at()?.version.schema;
    Ok(if part.outline.is_some() { cut_schema(schema) } else { schema.clone() })
}

/// What a cut changed, and what it did not.
fn cut(outline: &Outline) -> String {
    let layer = |s: &Source| {
        let day = s.described_at.map(|d| format!(", état au {d}")).unwrap_or_default();
        format!("« {} » (version {}{day})", s.at.layer, s.at.version.id)
    };
    let layers: Vec<String> = outline.sources().map(layer).collect();
    format!(
        "Géométries découpées à la limite du territoire, d'après {}. La colonne socle_part donne la \
         part de surface ou de longueur qui reste ; les autres attributs sont ceux de l'entité entière.",
        layers.join(", ")
    )
}

/// How files spell a system.
fn system(crs: &Crs) -> Result<System> {
    let d = crs.definition().ok_or_else(|| Error::broken(format!("no text of {}", crs.name())))?;
    Ok(System {
        code: d.code,
        geographic: crs.is_geographic(),
        wkt: d.wkt,
        esri: d.esri,
        projjson: d.projjson,
    })
}

fn facts(order: &Order, part: &Part, border: Option<&Border>) -> Result<Vec<Fact>> {
    let (def, version) = (&part.layer.def, &part.layer.at()?.version);
    let mut facts = Fact::of_layer(def, version);
    let mut add = |key, label, value| facts.extend(Fact::of(key, label, value));
    add("vintage", "Code officiel géographique", Some(order.vintage.to_string()));
    add("territory", "Territoire", order.extent.as_ref().map(|e| e.words.get(Lang::Fr).to_owned()));
    add("cut", "Découpage", part.outline.as_ref().map(cut));
    let missing = border.map(|b| b.missing).filter(|n| *n > 0);
    add("border_missing", "Communes sans limite connue", missing.map(|n| n.to_string()));
    if let Some(b) = &part.filter.bbox {
        let b = b.to_array().map(|n| n.to_string()).join(", ");
        add("bbox", "Emprise demandée (ouest, sud, est, nord)", Some(b));
    }
    if !part.filter.equals.is_empty() {
        let fields = &version.schema.fields;
        let one = |e: &crate::query::Equals| {
            let name = fields.get(e.field).map_or("?", |f| f.name.as_str());
            format!("{name} = {}", words(&e.value))
        };
        let all: Vec<String> = part.filter.equals.iter().map(one).collect();
        add("filter", "Filtre", Some(all.join(" et ")));
    }
    let expression = part.filter.expression.as_ref();
    add("cql2", "Filtre (CQL2)", expression.map(|e| e.written().to_owned()));
    if version.schema.geometry != GeometryKind::None {
        add(
            "crs",
            "Système de coordonnées",
            Some(match order.crs.epsg() {
                Some(code) => format!("{} (EPSG:{code})", order.crs.name()),
                None => order.crs.name().to_owned(),
            }),
        );
    }
    let program = concat!("Socle ", env!("CARGO_PKG_VERSION"));
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    add("extracted", "Extrait le", Some(format!("{now}, par {program}")));
    Ok(facts)
}

fn words(value: &crate::model::Value) -> String {
    use crate::model::Value as V;
    match value {
        V::Null => "vide".to_owned(),
        V::Bool(b) => b.to_string(),
        V::Int(i) => i.to_string(),
        V::Float(f) => f.to_string(),
        V::Text(s) | V::Json(s) => s.clone(),
        V::Date(d) => d.to_string(),
        V::DateTime(t) => t.to_string(),
    }
}

/// How the layer's style document draws it, else how its file asks. The configuration refused
/// unreadable ones at start: one that became so since is left out.
fn symbology(folder: &Path, def: &LayerDef, version: &Version) -> Symbology {
    let id = def.style.as_deref().unwrap_or(def.id.as_str());
    let text = std::fs::read(folder.join(format!("{id}.json"))).ok();
    let document: Option<serde_json::Value> =
        text.and_then(|text| serde_json::from_slice(&text).ok());
    let kind = version.schema.geometry;
    if kind == GeometryKind::None {
        return Symbology::default();
    }
    let style = document.unwrap_or_else(|| maplibre::style(def, version, Around::default()));
    Symbology::of_style(&style, def.id.as_str(), kind)
}

/// The same as a GeoPackage holds it.
fn style(symbology: &Symbology, def: &LayerDef, schema: &Schema) -> Option<Style> {
    let name = def.style.as_deref().unwrap_or(def.id.as_str()).to_owned();
    (!symbology.is_empty()).then(|| Style { name, qml: qgis::style(symbology, schema.geometry) })
}
