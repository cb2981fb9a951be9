//! One query, understood for its layer.

use super::{
    fail::{Fail, Result},
    filter::{self, property},
    kvp::{Kvp, MOST_QUERIES, too_many_queries},
    layer_named,
    output::Output,
    version::{Version, is_x_first},
};
use crate::{
    catalog::{Layer, Outline},
    error::Error,
    http::visit::Visit,
    items::{System, View, gml},
    model::Schema,
    query::{Filter, Sort},
    text,
};
use std::sync::Arc;

/// A query, understood.
pub struct Query {
    /// The layer.
    pub layer: Arc<Layer>,
    /// Which of its features.
    pub filter: Filter,
    /// Those named, where some are.
    pub ids: Option<Vec<String>>,
    /// The border to cut at.
    pub outline: Option<Outline>,
    /// What is shown of them.
    pub view: View,
    /// The system of the answer.
    pub system: System,
    /// As the client spells it.
    pub srs: String,
}

/// Reads the queries of a request: those that name features of several layers become several.
pub fn read_all(
    visit: &Visit,
    kvps: &[Kvp],
    version: Version,
    output: Output,
) -> Result<Vec<Query>> {
    let mut queries = Vec::new();
    for kvp in kvps {
        for layer in layers(visit, kvp, version)? {
            if queries.len() == MOST_QUERIES {
                return Err(too_many_queries(queries.len() + 1));
            }
            queries.push(read(visit, kvp, layer, version, output)?);
        }
    }
    Ok(queries)
}

fn layers(visit: &Visit, kvp: &Kvp, version: Version) -> Result<Vec<Arc<Layer>>> {
    let Some(names) = kvp.any(&["TYPENAMES", "TYPENAME"]) else {
        let Some(ids) = kvp.any(&["RESOURCEID", "FEATUREID"]) else {
            return Err(Fail::missing("typeNames"));
        };
        let mut named: Vec<String> = ids
            .split(',')
            .filter_map(|id| gml::feature_of(id.trim()))
            .map(|(layer, _)| layer)
            .collect();
        named.sort_unstable();
        named.dedup();
        if named.is_empty() {
            return Err(Fail::missing("typeNames"));
        }
        if named.len() > MOST_QUERIES {
            return Err(too_many_queries(named.len()));
        }
        return named.iter().map(|id| layer_named(visit, &gml::encode(id))).collect();
    };
    if names.contains(',') && version == Version::V20 {
        let text = text!(
            "Les jointures ne sont pas prises : une couche par requête, « (a)(b) » pour plusieurs requêtes.",
            "Joins are not supported: one layer a query, \"(a)(b)\" for several queries."
        );
        return Err(Fail::new("OptionNotSupported", "typeNames", Error::Invalid(text)));
    }
    let several = names.split(',').count();
    if several > MOST_QUERIES {
        return Err(too_many_queries(several));
    }
    super::layers_named(visit, names)
}

/// Reads one query for a layer.
pub fn read(
    visit: &Visit,
    kvp: &Kvp,
    layer: Arc<Layer>,
    version: Version,
    output: Output,
) -> Result<Query> {
    let at = layer.at()?;
    let schema = &at.version.schema;
    let selected = filter::read(visit, kvp, layer.def.id.as_str(), schema, version)?;
    let outline = visit.outline(None)?;
    let filter = Filter {
        selection: visit.selection(None),
        expression: selected.expression,
        // What a cut leaves is held against the box as well.
        bbox: selected.bbox.filter(|_| outline.is_some()),
        ..Filter::default()
    };
    let usual = match output {
        Output::Gml => version.usual_srs(),
        _ => "urn:ogc:def:crs:OGC:1.3:CRS84",
    };
    let srs = kvp.get("SRSNAME").unwrap_or(usual).to_owned();
    let system =
        System::read("srsName", &srs, at.version.bbox.as_ref()).map_err(Fail::at("srsName"))?;
    // Only GML has the order of its authority: files and GeoJSON have x before y.
    let first = is_x_first(&srs) || output != Output::Gml;
    let system = if first { system.with_x_first() } else { system };
    let view = view(kvp, schema)?;
    if selected.ids.is_some() && view.sort.is_some() {
        let text = text!(
            "Des entités nommées viennent dans l'ordre de leurs noms : sans sortBy.",
            "Features that are named come in the order of their names: without sortBy."
        );
        return Err(Fail::new("OptionNotSupported", "sortBy", Error::Invalid(text)));
    }
    Ok(Query { filter, ids: selected.ids, outline, view, system, srs, layer })
}

fn view(kvp: &Kvp, schema: &Schema) -> Result<View> {
    let mut view = View { sort: sort(kvp, schema)?, ..View::default() };
    let Some(list) =
        kvp.get("PROPERTYNAME").filter(|l| !l.split(',').any(|n| n.trim().ends_with('*')))
    else {
        return Ok(view);
    };
    let (mut fields, mut geometry) = (Vec::new(), false);
    for reference in list.split(',').map(str::trim).filter(|r| !r.is_empty()) {
        let name = property(schema, reference);
        match schema.index(&name) {
            Some(position) => fields.push(position),
            None if name == schema.geometry_name() => geometry = true,
            None => return Err(unknown("propertyName", reference, schema)),
        }
    }
    fields.sort_unstable();
    fields.dedup();
    view.fields = Some(fields);
    view.no_geometry = !geometry;
    Ok(view)
}

/// A layer has no such property.
pub fn unknown(locator: &str, reference: &str, schema: &Schema) -> Fail {
    let shown: String = reference.chars().take(80).collect();
    let known: Vec<String> = schema.fields.iter().map(|f| gml::encode(&f.name)).collect();
    let (known, geometry) = (known.join(", "), gml::encode(&schema.geometry_name()));
    Fail::invalid(
        locator,
        text!(
            "Champ inconnu « {shown} ». Champs : {known}, {geometry}.",
            "Unknown property \"{shown}\". Properties: {known}, {geometry}."
        ),
    )
}

/// `name [ASC|DESC|A|D], …`
fn sort(kvp: &Kvp, schema: &Schema) -> Result<Option<Arc<Sort>>> {
    let Some(list) = kvp.get("SORTBY") else { return Ok(None) };
    let mut keys = Vec::new();
    for part in list.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (name, order) = part.rsplit_once([' ', '+']).unwrap_or((part, "ASC"));
        let (name, descending) = match order.to_ascii_uppercase().as_str() {
            "D" | "DESC" => (name, true),
            "A" | "ASC" => (name, false),
            _ => (part, false),
        };
        let name = property(schema, name);
        keys.push(if descending { format!("-{name}") } else { format!("+{name}") });
    }
    Sort::parse(&keys.join(","), schema).map(|s| Some(Arc::new(s))).map_err(Fail::at("sortBy"))
}
