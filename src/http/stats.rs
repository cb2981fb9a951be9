//! Figures by territory: `/collections/{id}/stats`, as JSON, CSV, GeoJSON and a page.

use super::{
    Answer,
    access::TERRITORY_NOTICE,
    collections::dates,
    filter,
    links::{Link, media},
    pages,
    params::name,
    reply::Document,
    scope::Scope,
    visit::Visit,
};
use crate::{
    catalog::Layer,
    error::{Error, Result},
    model::{Clause, Level, Selection, Text},
    query::{Filter, parse_bbox},
    stats::{
        Border, Cell, Choropleth, Classes, CsvForm, Figure, Figures, FiguresQuery, Metric, Row,
        Sharing, Sheet, classes, parse_metrics,
    },
    text,
};
use axum::{extract::Path, http::header};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const BY: &str = "by";
const METRIC: &str = "metric";
const SHARE: &str = "share";
const SORT: &str = "sort";
/// Between the cells of CSV.
pub const SEPARATOR: &str = "separator";
/// Whether CSV begins with a byte order mark.
pub const BOM: &str = "bom";
/// Decimal mark of CSV.
pub const DECIMAL: &str = "decimal";

/// Parameters of `…/stats`.
pub const KNOWN: [&str; 17] = [
    BY,
    METRIC,
    SHARE,
    SORT,
    name::TERRITORY,
    name::TERRITOIRE,
    name::MODE,
    name::VINTAGE,
    name::BBOX,
    name::FILTER,
    name::FILTER_LANG,
    name::FILTER_CRS,
    name::DATETIME,
    SEPARATOR,
    BOM,
    DECIMAL,
    name::F,
];

/// What an answer is written from.
pub struct Answered<'a> {
    /// The layer.
    pub layer: &'a Layer,
    /// The level of the rows.
    pub by: Level,
    /// The columns.
    pub metrics: &'a [Metric],
    /// How values were shared out.
    pub share: Option<Sharing>,
    /// The figures.
    pub figures: &'a Figures,
    /// Its rows, in the order asked for.
    pub rows: Vec<&'a Row>,
    /// Column that sorts them, and whether from the largest.
    pub sort: (&'a str, bool),
}

/// `GET /collections/{id}/stats`
pub async fn stats(Path(id): Path<String>, visit: Visit) -> Answer {
    visit.params.check(&KNOWN, &[])?;
    let form = visit.form(&["json", "csv", "geojson", "html"])?;
    let layer = visit.layer(&id)?;
    let at = layer.at()?;
    let asked = visit.asked_territory()?;
    let (query, csv) = (read(&visit, &layer, asked.as_ref())?, csv_form(&visit)?);
    let (sorted, descending) = sort(&visit, &query.metrics)?;
    let snapshot = visit.snapshot();
    let border = Border::of(&snapshot, query.by);
    let communes = Border::of(&snapshot, Level::Com);
    let state = |b: &Option<Border>| b.as_ref().map(|b| b.at.key()).unwrap_or_default();
    let cut = query.outline.as_ref().map_or("", |o| o.key.as_str());
    let tag = visit
        .tag(&["stats", &at.key(), &state(&border), &state(&communes), cut, form])
        .of(&layer.def);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let app = &visit.site.app;
    let (by, metrics, share) = (query.by, query.metrics.clone(), query.share);
    let selection = query.filter.selection.clone();
    let figures = app.stats.figures(&snapshot, &layer, visit.reference(), query).await?;
    let mut rows: Vec<&Row> = figures.rows.iter().collect();
    order(&mut rows, &metrics, &sorted, descending);
    let answered = Answered {
        layer: &layer,
        by,
        metrics: &metrics,
        share,
        figures: &figures,
        rows,
        sort: (&sorted, descending),
    };
    let mut document = match form {
        "csv" => {
            let file = format!("socle_{id}_{by}.csv");
            let bytes = sheet(&visit, &answered).csv(csv)?;
            let place = format!("attachment; filename=\"{file}\"");
            Document::new(media::CSV, bytes).with(header::CONTENT_DISPOSITION, place)
        }
        "geojson" => {
            let border = border.ok_or_else(|| Border::missing(by))?;
            let near = selection.map(|s| touching(&s));
            let drawn = app.stats.outlines(&border, visit.reference(), near.as_ref()).await?;
            Document::new(media::GEOJSON, geojson(&visit, &answered, &drawn)?)
        }
        "html" => Document::html(pages::stats::page(&visit, &answered)),
        _ => Document::json(media::JSON, &json(&visit, &answered)?),
    };
    let links = links(&visit);
    document =
        document.with(header::LINK, links.iter().map(Link::header).collect::<Vec<_>>().join(", "));
    if let Some(notice) = visit.notice(asked.as_deref()) {
        document = document.with(TERRITORY_NOTICE, notice);
    }
    visit.send(&tag, document).await
}

fn read(visit: &Visit, layer: &Layer, asked: Option<&Arc<Scope>>) -> Result<FiguresQuery> {
    let levels = Level::ids;
    let by = visit.params.get(BY).ok_or_else(|| {
        let levels = levels();
        Error::Invalid(text!(
            "Paramètre « by » manquant : le niveau de territoire des lignes. Niveaux possibles : {levels}.",
            "Parameter \"by\" is missing: the territory level of the rows. Possible levels: {levels}."
        ))
    })?;
    let by = by.parse::<Level>().map_err(|_| {
        let (shown, levels) = (by.chars().take(40).collect::<String>(), levels());
        Error::Invalid(text!(
            "Paramètre « by » : « {shown} » n'est pas un niveau de territoire. Niveaux possibles : {levels}.",
            "Parameter \"by\": \"{shown}\" is no territory level. Possible levels: {levels}."
        ))
    })?;
    let schema = &layer.at()?.version.schema;
    let metrics = parse_metrics(visit.params.get(METRIC).unwrap_or("count"), schema)?;
    let share = match visit.params.get(SHARE) {
        None => None,
        Some(text) => {
            let found = Sharing::ALL.into_iter().find(|s| s.id() == text);
            Some(found.ok_or_else(|| {
                let shown: String = text.chars().take(40).collect();
                Error::Invalid(text!(
                    "Paramètre « share » : « {shown} ». Valeurs possibles : main, area, none.",
                    "Parameter \"share\": \"{shown}\". Possible values: main, area, none."
                ))
            })?)
        }
    };
    let filter = Filter {
        bbox: visit.params.get(name::BBOX).map(parse_bbox).transpose()?,
        selection: visit.selection(asked),
        expression: filter::read(visit, layer)?,
        ..Filter::default()
    };
    let outline = visit.outline(asked)?;
    if outline.is_some() && filter.bbox.is_some() {
        return Err(Error::Invalid(text!(
            "« bbox » et le découpage (clip) ne vont pas ensemble dans les chiffres : retirez l'un des deux.",
            "\"bbox\" and cutting (clip) do not go together in figures: leave one of them out."
        )));
    }
    Ok(FiguresQuery { by, metrics, filter, outline, share })
}

/// How CSV is written: `separator` (`;` by default, as spreadsheets in French expect), `bom`,
/// `decimal`.
pub fn csv_form(visit: &Visit) -> Result<CsvForm> {
    let get = |name: &str| visit.params.get(name);
    let wrong = |name: &str, given: &str, fr: &str, en: &str| {
        let shown: String = given.chars().take(40).collect();
        Error::Invalid(text!(
            "Paramètre « {name} » : « {shown} ». Valeurs possibles : {fr}.",
            "Parameter \"{name}\": \"{shown}\". Possible values: {en}."
        ))
    };
    let separator = match get(SEPARATOR) {
        None | Some("semicolon" | ";") => b';',
        Some("comma" | ",") => b',',
        Some("tab" | "\t") => b'\t',
        Some(other) => {
            let list = "semicolon, comma, tab";
            return Err(wrong(SEPARATOR, other, list, list));
        }
    };
    let bom = match get(BOM) {
        None | Some("true") => true,
        Some("false") => false,
        Some(other) => return Err(wrong(BOM, other, "true, false", "true, false")),
    };
    let comma = match get(DECIMAL) {
        None | Some("point" | ".") => false,
        Some("comma" | "virgule" | ",") => true,
        Some(other) => return Err(wrong(DECIMAL, other, "point, comma", "point, comma")),
    };
    Ok(CsvForm { separator, bom, comma })
}

/// The column that sorts, and whether from the largest: `sort=name`, `sort=-count`.
fn sort(visit: &Visit, metrics: &[Metric]) -> Result<(String, bool)> {
    let given = visit.params.get(SORT).unwrap_or("code");
    let (column, descending) = match given.strip_prefix('-') {
        Some(column) => (column, true),
        None => (given, false),
    };
    let known = ["code", "name"].into_iter().chain(metrics.iter().map(|m| m.name.as_str()));
    if known.clone().any(|known| known == column) {
        return Ok((column.to_owned(), descending));
    }
    let shown: String = column.chars().take(80).collect();
    let list = known.collect::<Vec<_>>().join(", ");
    Err(Error::Invalid(text!(
        "Paramètre « sort » : « {shown} » n'est pas une colonne. Colonnes : {list} (précédée de « - » : du plus grand au plus petit).",
        "Parameter \"sort\": \"{shown}\" is no column. Columns: {list} (after \"-\": from the largest)."
    )))
}

fn order(rows: &mut [&Row], metrics: &[Metric], column: &str, descending: bool) {
    let measure = metrics.iter().position(|m| m.name == column);
    let figure = |row: &Row, i: usize| row.values.get(i).cloned().unwrap_or_default();
    rows.sort_by(|a, b| {
        let by = match (measure, column) {
            (_, "code") => a.code.cmp(&b.code),
            (Some(i), _) => figure(a, i).compare(&figure(b, i)),
            _ => a.name.to_lowercase().cmp(&b.name.to_lowercase()),
        };
        if descending { by.reverse() } else { by }
    });
}

/// The same territories as a selection, concerned rather than inside: whoever draws rows draws
/// each whole.
fn touching(selection: &Selection) -> Arc<Selection> {
    let near = |c: &Clause| match (&c.meets, &c.within) {
        (None, Some(set)) => {
            Clause { meets: Some(set.clone()), within: None, others: c.others.clone() }
        }
        _ => Clause { within: None, ..c.clone() },
    };
    let key = format!("{}|near", selection.key);
    Arc::new(Selection { key, any: selection.any.iter().map(near).collect() })
}

fn links(visit: &Visit) -> Vec<Link> {
    let as_form = |f: &str| visit.address(&[name::F, SORT], &[(name::F, f)]);
    let mut links = visit.own_links(media::JSON);
    links.push(Link::new("alternate", media::CSV, as_form("csv")));
    links.push(Link::new("alternate", media::GEOJSON, as_form("geojson")));
    links
}

/// The figures of a row under the names of their columns.
fn named(metrics: &[Metric], values: &[Figure]) -> Result<Map<String, Value>> {
    let pair = |(metric, figure): (&Metric, &Figure)| {
        let value = serde_json::to_value(figure).map_err(|e| Error::fault("a figure", e))?;
        Ok((metric.name.clone(), value))
    };
    metrics.iter().zip(values).map(pair).collect()
}

/// What goes with the rows in every JSON form.
fn about(visit: &Visit, a: &Answered<'_>) -> Result<Map<String, Value>> {
    let (at, def) = (a.layer.at()?, &a.layer.def);
    let figures = a.figures;
    let mut outside = named(a.metrics, &figures.outside)?;
    outside.insert("name".into(), visit.words(OUTSIDE.0, OUTSIDE.1).into());
    outside.insert("features".into(), figures.outside_count.into());
    outside.insert("unattached".into(), figures.unattached.into());
    let mut about = Map::new();
    about.insert("collection".into(), def.id.as_str().into());
    about.insert("title".into(), visit.titled(&def.title).into());
    about.insert("by".into(), a.by.id().into());
    about.insert("share".into(), a.share.map(Sharing::id).into());
    about.insert("version".into(), at.version.id.as_str().into());
    about.insert("reference".into(), visit.reference().id().into());
    about.insert("vintage".into(), visit.reference().vintage().into());
    about.insert("dates".into(), dates(def, &at.version));
    about.insert("attribution".into(), def.attribution.as_str().into());
    about.insert("license".into(), def.licence.id.as_str().into());
    about.insert("total_distinct".into(), figures.total_distinct.into());
    about.insert("several".into(), figures.several.into());
    about.insert("total".into(), named(a.metrics, &figures.total)?.into());
    about.insert("outside".into(), outside.into());
    Ok(about)
}

/// What concerns no territory of the level, in words.
pub const OUTSIDE: (&str, &str) = ("Hors territoire", "Outside any territory");
/// The whole, in words.
pub const WHOLE: (&str, &str) = ("Ensemble (sans double compte)", "Whole (each once)");

fn json(visit: &Visit, a: &Answered<'_>) -> Result<Value> {
    let mut value = about(visit, a)?;
    let mut rows = Vec::with_capacity(a.rows.len());
    for row in &a.rows {
        let mut object = Map::new();
        object.insert("code".into(), row.code.code.as_str().into());
        object.insert("territory".into(), row.code.to_string().into());
        object.insert("name".into(), row.name.as_str().into());
        object.extend(named(a.metrics, &row.values)?);
        rows.push(Value::Object(object));
    }
    value.insert("rows".into(), rows.into());
    let id = &a.layer.def.id;
    let mut links = links(visit);
    let items = visit.url(&format!("collections/{id}/items?territory={{territory}}"));
    links.push(Link::new("items", media::GEOJSON, items).template());
    links.push(Link::new("collection", media::JSON, visit.url(&format!("collections/{id}"))));
    value.insert("links".into(), json!(links));
    Ok(value.into())
}

/// The rows as a table, « hors territoire » and the whole at its end.
fn sheet(visit: &Visit, a: &Answered<'_>) -> Sheet {
    let words = |text: Text| visit.say(&text).to_owned();
    let mut header = vec!["code".to_owned(), words(Text::new("nom", "name"))];
    header.extend(a.metrics.iter().map(|m| m.name.clone()));
    let line = |code: &str, name: &str, values: &[Figure]| {
        let mut line = vec![Cell::text(code), Cell::text(name)];
        line.extend(values.iter().cloned().map(Cell::Figure));
        line
    };
    let mut rows: Vec<Vec<Cell>> =
        a.rows.iter().map(|row| line(row.code.code.as_str(), &row.name, &row.values)).collect();
    rows.push(line("", visit.words(OUTSIDE.0, OUTSIDE.1), &a.figures.outside));
    rows.push(line("", visit.words(WHOLE.0, WHOLE.1), &a.figures.total));
    Sheet { header, rows }
}

/// A map ready to draw: one feature per row, its class by the first measure.
fn geojson(visit: &Visit, a: &Answered<'_>, drawn: &Choropleth) -> Result<Vec<u8>> {
    let first = |row: &Row| row.values.first().and_then(Figure::number);
    let classed: Classes = classes(a.rows.iter().filter_map(|row| first(row)));
    let text = |value: &Value| value.to_string();
    let mut out = String::with_capacity(200 * a.rows.len());
    out.push_str("{\"type\":\"FeatureCollection\",");
    let mut about = about(visit, a)?;
    let metric = a.metrics.first().map(|m| m.name.as_str());
    let method = json!({ "property": metric, "method": "quantiles", "breaks": classed.breaks });
    about.insert("classes".into(), method);
    about.insert("zoom".into(), drawn.zoom.into());
    for (key, value) in &about {
        out.push_str(&format!("{}:{},", json!(key), text(value)));
    }
    out.push_str("\"features\":[");
    for (i, row) in a.rows.iter().enumerate() {
        let code = row.code.code.as_str();
        let mut properties = Map::new();
        properties.insert("code".into(), code.into());
        properties.insert("name".into(), row.name.as_str().into());
        properties.extend(named(a.metrics, &row.values)?);
        let class = row.values.first().and_then(|f| classed.of(f));
        properties.insert("class".into(), class.into());
        let comma = if i > 0 { ",\n" } else { "" };
        out.push_str(&format!(
            "{comma}{{\"type\":\"Feature\",\"id\":{},\"properties\":{},\"geometry\":{}}}",
            json!(code),
            Value::Object(properties),
            drawn.of(code).unwrap_or("null")
        ));
    }
    out.push_str("]}");
    Ok(out.into_bytes())
}
