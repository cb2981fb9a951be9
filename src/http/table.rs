//! `/table`: one row per territory of a level, one column per layer, as people open it in a
//! spreadsheet.

use super::{
    Answer,
    collections::dates,
    filter,
    links::media,
    pages,
    params::name,
    reply::Document,
    stats::{BOM, DECIMAL, SEPARATOR, csv_form},
    visit::Visit,
};
use crate::{
    catalog::Snapshot,
    error::{Error, Result},
    model::Level,
    stats::{
        Cell, CellWords, Column, Fact, Found, Line, MAX_COLUMNS, NamedSheet, Sheet, Show, Table,
        xlsx,
    },
    text,
};
use axum::http::header;
use serde_json::{Map, Value, json};

const LEVEL: &str = "level";
const COLLECTIONS: &str = "collections";
const SHOW: &str = "show";

/// Parameters of `/table`.
pub const KNOWN: [&str; 15] = [
    LEVEL,
    COLLECTIONS,
    SHOW,
    name::TERRITORY,
    name::TERRITOIRE,
    name::MODE,
    name::VINTAGE,
    name::FILTER,
    name::FILTER_LANG,
    name::FILTER_CRS,
    name::DATETIME,
    SEPARATOR,
    BOM,
    DECIMAL,
    name::F,
];

/// What was asked, as the page's form shows it again.
pub struct Asked {
    /// The level of the rows.
    pub level: Option<Level>,
    /// The columns.
    pub columns: Vec<Column>,
    /// Whether layers without a chosen property are counted.
    pub counted: bool,
}

/// `GET /table`
pub async fn table(visit: Visit) -> Answer {
    visit.params.check_but(&KNOWN, COLLECTIONS)?;
    let form = visit.form(&["json", "csv", "xlsx", "html"])?;
    let snapshot = visit.snapshot();
    let (asked, csv) = (read(&visit, &snapshot)?, csv_form(&visit)?);
    let territory = visit.asked_territory()?;
    let outline = visit.outline(territory.as_ref())?;
    let states: Vec<String> = asked
        .columns
        .iter()
        .filter_map(|c| {
            let at = c.layer.current.as_ref()?;
            Some(format!("{}{}", at.key(), at.version.source.checked_at))
        })
        .collect();
    let cut = outline.as_ref().map_or("", |o| o.key.as_str());
    let tag = visit.tag(&["table", &states.join(" "), cut, form]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let Some(level) = asked.level.filter(|_| !asked.columns.is_empty()) else {
        if form == "html" {
            let page = pages::table::page(&visit, &snapshot, &asked, None);
            return visit.send(&tag, Document::html(page)).await;
        }
        return Err(incomplete(&snapshot).into());
    };
    let app = &visit.site.app;
    let selection = visit.selection(territory.as_ref());
    let (selection, outline) = (selection.as_ref(), outline.as_ref());
    let made =
        app.stats.table(visit.reference(), level, &asked.columns, selection, outline).await?;
    let document = match form {
        "csv" => {
            let bytes = made.sheet(&asked.columns, &words(&visit)).csv(csv)?;
            let place = format!("attachment; filename=\"socle_table_{level}.csv\"");
            Document::new(media::CSV, bytes).with(header::CONTENT_DISPOSITION, place)
        }
        "xlsx" => {
            let place = format!("attachment; filename=\"socle_table_{level}.xlsx\"");
            let bytes = workbook(&visit, &asked, made).await?;
            Document::new(media::XLSX, bytes).with(header::CONTENT_DISPOSITION, place)
        }
        "html" => {
            let sheet = made.sheet(&asked.columns, &words(&visit));
            Document::html(pages::table::page(&visit, &snapshot, &asked, Some(&sheet)))
        }
        _ => Document::json(media::JSON, &json(&visit, level, &asked, &made)),
    };
    visit.send(&tag, document).await
}

fn incomplete(snapshot: &Snapshot) -> Error {
    let levels = Level::ids();
    let layers: Vec<&str> = snapshot.served().map(|l| l.def.id.as_str()).collect();
    let layers = layers.join(", ");
    Error::Invalid(text!(
        "Il faut « level » (un niveau : {levels}) et « collections » (des couches : {layers}).",
        "\"level\" (one of {levels}) and \"collections\" (layers: {layers}) are needed."
    ))
}

fn read(visit: &Visit, snapshot: &Snapshot) -> Result<Asked> {
    let level = match visit.params.get(LEVEL).filter(|l| !l.is_empty()) {
        Some(text) => Some(text.parse::<Level>().map_err(Error::from)?),
        None => None,
    };
    let counted = match visit.params.get(SHOW) {
        None | Some("presence") => false,
        Some("count") => true,
        Some(other) => {
            let shown: String = other.chars().take(40).collect();
            return Err(Error::Invalid(text!(
                "Paramètre « show » : « {shown} ». Valeurs possibles : presence, count.",
                "Parameter \"show\": \"{shown}\". Possible values: presence, count."
            )));
        }
    };
    let given = visit.params.iter().filter(|(n, _)| *n == COLLECTIONS);
    let names = given.flat_map(|(_, v)| v.split(',')).map(str::trim).filter(|n| !n.is_empty());
    let mut columns = Vec::new();
    for name in names {
        if columns.len() >= MAX_COLUMNS {
            return Err(Error::Invalid(text!(
                "Paramètre « collections » : {MAX_COLUMNS} colonnes au plus.",
                "Parameter \"collections\": {MAX_COLUMNS} columns at most."
            )));
        }
        columns.push(column(visit, snapshot, name, counted)?);
    }
    Ok(Asked { level, columns, counted })
}

/// `layer` or `layer:property`.
fn column(visit: &Visit, snapshot: &Snapshot, name: &str, counted: bool) -> Result<Column> {
    let (id, property) = match name.split_once(':') {
        Some((id, property)) => (id, Some(property)),
        None => (name, None),
    };
    let layer = snapshot.layer(id)?.clone();
    let schema = &layer.at()?.version.schema;
    let show = match property {
        None if counted => Show::Count,
        None => Show::Presence,
        Some(property) => Show::Field(schema.index(property).ok_or_else(|| {
            let shown: String = property.chars().take(80).collect();
            let known: Vec<&str> = schema.fields.iter().map(|f| f.name.as_str()).collect();
            let known = known.join(", ");
            Error::Invalid(text!(
                "Couche « {id} » : propriété inconnue « {shown} ». Propriétés : {known}.",
                "Layer \"{id}\": unknown property \"{shown}\". Properties: {known}."
            ))
        })?),
    };
    let expression = filter::read(visit, &layer)?;
    Ok(Column { name: name.to_owned(), layer, show, expression })
}

/// The words of cells, in the language of the request.
fn words(visit: &Visit) -> CellWords {
    CellWords {
        yes: visit.words("oui", "yes"),
        no: visit.words("non", "no"),
        not_covered: visit.words("non couvert", "not covered"),
        divergent: visit.words("valeurs divergentes", "conflicting values"),
    }
}

fn json(visit: &Visit, level: Level, asked: &Asked, table: &Table) -> Value {
    let row = |line: &Line| {
        let mut row = Map::new();
        row.insert("code".into(), line.code.code.as_str().into());
        row.insert("name".into(), line.name.as_str().into());
        for (level, parents) in table.parents.iter().zip(&line.parents) {
            let codes: Vec<&str> = parents.iter().map(|p| p.0.as_str()).collect();
            row.insert(level.id().into(), json!(codes));
        }
        for (column, found) in asked.columns.iter().zip(&line.found) {
            row.insert(column.name.clone(), cell(found, &column.show));
        }
        Value::Object(row)
    };
    let divergent: Vec<Value> = table
        .lines
        .iter()
        .flat_map(|line| {
            line.conflicts(&asked.columns).map(|(column, values)| {
                json!({ "code": line.code.code.as_str(), "column": column.name, "values": values })
            })
        })
        .collect();
    json!({
        "level": level.id(),
        "reference": visit.reference().id(),
        "vintage": visit.reference().vintage(),
        "territory": visit.scope.as_ref().map(|s| s.selection.shown()),
        "rows": table.lines.iter().map(row).collect::<Vec<_>>(),
        "divergent": divergent,
        "sources": asked.columns.iter().map(source).collect::<Vec<_>>(),
        "links": visit.own_links(media::JSON),
    })
}

/// A cell: `null` where the layer does not reach or has no value; what conflicts is an object.
fn cell(found: &Found, show: &Show) -> Value {
    match (found, show) {
        (Found::NotCovered, _) => Value::Null,
        (Found::Divergent(values), _) => json!({ "divergent": values }),
        (Found::Nothing, Show::Presence) => false.into(),
        (Found::Some(..), Show::Presence) => true.into(),
        (Found::Nothing, Show::Count) => 0.into(),
        (Found::Some(n, _), Show::Count) => (*n).into(),
        (Found::Nothing, Show::Field(_)) => Value::Null,
        (Found::Some(_, value), Show::Field(_)) => json!(value),
    }
}

/// The table, what conflicts in it, and where its columns come from, a sheet each.
async fn workbook(visit: &Visit, asked: &Asked, table: Table) -> Result<Vec<u8>> {
    let named = |name, fr, en, sheet| NamedSheet { name, title: visit.words(fr, en).into(), sheet };
    let mut sheets = vec![named(
        "tableau",
        "Tableau par territoire",
        "Table by territory",
        table.sheet(&asked.columns, &words(visit)),
    )];
    let conflicts = conflicts(&table, &asked.columns);
    if !conflicts.rows.is_empty() {
        sheets.push(named("divergences", "Valeurs divergentes", "Conflicting values", conflicts));
    }
    sheets.push(named("sources", "Sources", "Sources", sources(visit, &asked.columns)));
    let reference = visit.reference();
    let fact = |key, label, value: String| Fact { key, label, value };
    let mut facts = vec![
        fact("vintage", "Millésime du COG", reference.vintage().to_string()),
        fact("reference", "Référentiel", reference.id().to_owned()),
        fact("url", "Adresse", visit.address(&[], &[])),
    ];
    if let Some(words) = visit.scope_title() {
        facts.push(fact("territory", "Territoire", words.fr));
    }
    if let Some(filter) = asked.columns.iter().find_map(|c| c.expression.as_ref()) {
        facts.push(fact("filter", "Filtre (CQL2)", filter.written().to_owned()));
    }
    let scratch = visit.site.app.settings.exports.path.clone();
    let made = tokio::task::spawn_blocking(move || xlsx(&sheets, &facts, &scratch)).await;
    made.map_err(|e| Error::fault("writing a workbook", e))?
}

/// Every conflict, its values one by one.
fn conflicts(table: &Table, columns: &[Column]) -> Sheet {
    let header = ["code", "nom", "colonne", "valeur"].map(str::to_owned).to_vec();
    let rows = table.lines.iter().flat_map(|line| {
        line.conflicts(columns).flat_map(move |(column, values)| {
            values.iter().map(move |value| {
                let texts = [line.code.code.as_str(), &line.name, &column.name, value];
                texts.map(Cell::text).to_vec()
            })
        })
    });
    Sheet { rows: rows.collect(), header }
}

/// Source, dates, licence and vintage of each column.
fn sources(visit: &Visit, columns: &[Column]) -> Sheet {
    let header = [
        "colonne",
        "couche",
        "titre",
        "producteur",
        "état au",
        "publié le",
        "récupéré le",
        "vérifié le",
        "licence",
        "mention",
        "version",
        "source",
        "millésime",
    ];
    let vintage = visit.reference().vintage().to_string();
    let row = |column: &Column| {
        let def = &column.layer.def;
        let mut row = [&column.name, def.id.as_str(), visit.say(&def.title), &def.producer]
            .map(Cell::text)
            .to_vec();
        let at = column.layer.current.as_ref();
        let text = |text: Option<String>| Cell::text(text.unwrap_or_default());
        let source = at.map(|at| &at.version.source);
        row.push(text(def.described_at.map(|d| d.to_string())));
        row.push(text(at.and_then(|at| at.version.published(def))));
        row.push(text(source.map(|s| s.fetched_at.to_string())));
        row.push(text(source.map(|s| s.checked_at.to_string())));
        row.extend([&def.licence.title, &def.attribution].map(Cell::text));
        row.push(text(at.map(|at| at.version.id.to_string())));
        row.push(text(source.map(|s| s.origin.clone())));
        row.push(Cell::text(&*vintage));
        row
    };
    Sheet { rows: columns.iter().map(row).collect(), header: header.map(str::to_owned).to_vec() }
}

/// Where a column comes from.
fn source(column: &Column) -> Value {
    let def = &column.layer.def;
    let mut source = json!({
        "column": column.name,
        "collection": def.id.as_str(),
        "title": def.title.fr,
        "producer": def.producer,
        "license": def.licence.title,
        "attribution": def.attribution,
    });
    if let Some(at) = &column.layer.current {
        source["version"] = at.version.id.as_str().into();
        source["source"] = at.version.source.origin.as_str().into();
        source["dates"] = dates(def, &at.version);
        source["published"] = json!(at.version.published(def));
    }
    source
}
