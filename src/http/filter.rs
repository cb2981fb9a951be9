//! The `filter` parameter, read the same way on every road: items, tiles, TileJSON, exports,
//! statistics. And the list of functions that filters may use.

use super::{
    Answer,
    links::media,
    params::{encode, name},
    scope,
    visit::Visit,
    when::Span,
};
use crate::{
    catalog::Layer,
    error::{Error, Result},
    items::Frame,
    model::{Mode, Selection},
    query::cql2::{self, Context, Dialect, Expression, Kind, Node, Op},
    text,
};
use geo_types::Geometry;
use moka::sync::Cache;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

/// The parameters of a filter; `datetime` is one in other words.
pub const PARAMETERS: [&str; 4] =
    [name::FILTER, name::FILTER_LANG, name::FILTER_CRS, name::DATETIME];

/// Bytes of filters kept with what was understood of them: a map asks for the same one at every
/// tile.
const KEPT: u64 = 16 << 20;
/// Bytes of what was understood per byte of text, about: a list of numbers takes the most.
const GROWTH: usize = 64;

/// Filters already understood.
pub struct Filters(Cache<String, Understood>);

#[derive(Clone)]
struct Understood {
    expression: Arc<Expression>,
    /// How territories by codes that are no longer current were understood.
    notices: Arc<[String]>,
}

impl Default for Filters {
    fn default() -> Self {
        let weigher = |key: &String, _: &Understood| {
            u32::try_from(key.len() * GROWTH + 256).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(KEPT).weigher(weigher).build())
    }
}

/// The filter of a request on a layer, that of `datetime` with it, checked against its fields;
/// `None` without one.
///
/// # Errors
/// [`Error::Invalid`] saying what is wrong, where, and what would be right.
pub fn read(visit: &Visit, layer: &Layer) -> Result<Option<Arc<Expression>>> {
    let when = visit.params.get(name::DATETIME).map(Span::parse).transpose()?;
    let when = when.map(|span| span.on(layer)).transpose()?.flatten();
    let filter = match visit.params.get(name::FILTER) {
        Some(filter) => Some(filter),
        None => {
            let alone = [name::FILTER_LANG, name::FILTER_CRS];
            if let Some(alone) = alone.iter().find(|p| visit.params.get(p).is_some()) {
                return Err(Error::Invalid(text!(
                    "Paramètre « {alone} » sans « filter ».",
                    "Parameter \"{alone}\" without \"filter\"."
                )));
            }
            None
        }
    };
    if filter.is_none() && when.is_none() {
        return Ok(None);
    }
    let (lang, crs) = (visit.params.get(name::FILTER_LANG), visit.params.get(name::FILTER_CRS));
    let dialect = lang.map_or(Ok(Dialect::default()), Dialect::parse)?;
    let at = layer.at()?;
    let (lang, state) = (lang.unwrap_or_default(), at.key());
    let datetime = visit.params.get(name::DATETIME).unwrap_or_default();
    let written = filter.unwrap_or_default();
    let crs_name = crs.unwrap_or_default();
    let key = format!("{}\n{state}\n{lang}\n{crs_name}\n{datetime}\n{written}", at.layer);
    let understood = match visit.site.filters.0.get(&key) {
        Some(known) => known,
        None => {
            let tree = filter.map(|filter| cql2::parse(dialect, filter)).transpose()?;
            let tree = match (tree, when) {
                (Some(tree), Some(when)) => Node::new(Kind::Call(Op::And, vec![tree, when])),
                (Some(one), None) | (None, Some(one)) => one,
                (None, None) => return Ok(None),
            };
            let around = Around { visit, frame: Frame::parse(crs)?, notices: Mutex::default() };
            let expression = Arc::new(cql2::check(&tree, &at.version.schema, &around)?);
            let notices = around.notices.into_inner().unwrap_or_else(PoisonError::into_inner);
            let understood = Understood { expression, notices: notices.into_iter().collect() };
            visit.site.filters.0.insert(key, understood.clone());
            understood
        }
    };
    visit.hear(&understood.notices);
    Ok(Some(understood.expression))
}

/// An address of tiles with the filter asked for: a map that reads it shows what the filter lets
/// through.
pub fn repeated(visit: &Visit, mut url: String) -> String {
    for name in PARAMETERS {
        if let Some(value) = visit.params.get(name) {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&format!("{name}={}", encode(value)));
        }
    }
    url
}

/// What a filter refers to outside of the layer.
struct Around<'a> {
    visit: &'a Visit,
    frame: Frame,
    notices: Mutex<BTreeSet<String>>,
}

impl Context for Around<'_> {
    fn territory(&self, written: &str, mode: Mode) -> Result<Arc<Selection>> {
        let site = &self.visit.site;
        let mode = match mode {
            Mode::Concerns => scope::Asked::Concerns,
            Mode::Within => scope::Asked::Within,
        };
        let scope = site.scopes.parameter(self.visit.reference(), written, mode, None)?;
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        notices.extend(scope.notice.clone());
        Ok(scope.selection.clone())
    }

    fn place(&self, geometry: Geometry<f64>) -> Result<Geometry<f64>> {
        self.frame.place(geometry)
    }

    fn place_box(&self, sides: [f64; 4]) -> Result<Geometry<f64>> {
        self.frame.place_box(sides)
    }

    fn system(&self) -> Option<String> {
        self.frame.name()
    }
}

/// `GET /functions`
pub async fn functions(visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    let tag = visit.tag(&["functions"]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let functions: Vec<Value> = cql2::functions()
        .iter()
        .map(|f| {
            let arguments: Vec<Value> = f.arguments.iter().map(|t| json!({ "type": t })).collect();
            json!({
                "name": f.name,
                "description": visit.say(&f.description),
                "arguments": arguments,
                "returns": [f.returns],
            })
        })
        .collect();
    let value = json!({ "functions": functions, "links": visit.own_links(media::JSON) });
    let title = text!("Fonctions des filtres", "Functions of filters");
    visit.present(&tag, media::JSON, visit.say(&title), &value).await
}
