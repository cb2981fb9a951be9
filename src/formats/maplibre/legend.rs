//! What the colours of a layer mean, in words.

use super::{Part, colours};
use crate::model::{Categories, Category, CategoryValue, Lang, LayerDef, Ramp, Text, Version};
use crate::text;
use serde_json::{Value, json};

/// `socle:legend` of a layer.
pub(super) fn of(def: &LayerDef, version: &Version) -> Value {
    let shape = match version.schema.geometry.dimension() {
        Some(0) => "point",
        Some(1) => "line",
        _ => "fill",
    };
    let items: Vec<Value> = super::parts(def, version)
        .into_iter()
        .map(|part| {
            json!({ "fill": part.colour, "shape": shape, "fr": part.words.fr, "en": part.words.en })
        })
        .collect();
    let mut legend = json!({ "items": items });
    if let Some(title) = title(def, version) {
        legend["fr"] = title.fr.into();
        legend["en"] = title.en.into();
    }
    legend
}

/// Its heading: as the file says, else the field, with its unit. One colour needs none.
fn title(def: &LayerDef, version: &Version) -> Option<Text> {
    let division = def.symbols.division.as_ref()?;
    if !def.symbols.title.fr.is_empty() {
        return Some(def.symbols.title.clone());
    }
    let say = |lang: Lang| {
        let field = def.field(version, division.field(), lang);
        match field.unit {
            Some(unit) => format!("{} ({})", field.title, unit.words()),
            None => field.title.to_owned(),
        }
    };
    Some(Text::new(say(Lang::Fr), say(Lang::En)))
}

/// All features, drawn alike.
pub(super) fn whole(def: &LayerDef, colour: &str) -> Vec<Part> {
    vec![Part { colour: colour.to_owned(), filter: None, words: def.title.clone() }]
}

/// One part per category, then the rest.
pub(super) fn categories(categories: &Categories) -> Vec<Part> {
    let field = categories.field.as_str();
    let colour = |i: usize, category: &Category| {
        let own = || colours::CATEGORIES.get(i).map(|c| (*c).to_owned());
        category.colour.clone().or_else(own).unwrap_or_else(|| colours::REST.to_owned())
    };
    let one = |(i, category): (usize, &Category)| Part {
        colour: colour(i, category),
        filter: Some(json!(["==", field, value(&category.value)])),
        words: category.title.clone(),
    };
    let mut parts: Vec<Part> = categories.values.iter().enumerate().map(one).collect();
    let mut rest = vec![json!("!in"), json!(field)];
    rest.extend(categories.values.iter().map(|c| value(&c.value)));
    parts.push(Part {
        colour: colours::REST.to_owned(),
        filter: Some(Value::Array(rest)),
        words: text!("autres", "others"),
    });
    parts
}

fn value(value: &CategoryValue) -> Value {
    match value {
        CategoryValue::Bool(b) => json!(b),
        CategoryValue::Int(i) => json!(i),
        CategoryValue::Text(words) => json!(words),
    }
}

/// One part per class, then the features without a number.
pub(super) fn classes(field: &str, limits: &[f64], ramp: Ramp) -> Vec<Part> {
    let colours = colours::of_ramp(ramp, limits.len() + 1);
    let mut parts = Vec::with_capacity(colours.len() + 1);
    for (i, colour) in colours.into_iter().enumerate() {
        let low = i.checked_sub(1).and_then(|i| limits.get(i)).copied();
        let high = limits.get(i).copied();
        let at_least = low.map(|low| json!([">=", field, number(low)]));
        let below = high.map(|high| json!(["<", field, number(high)]));
        let filter = match (at_least, below) {
            (Some(a), Some(b)) => json!(["all", a, b]),
            (Some(one), None) | (None, Some(one)) => one,
            // One class: all that have a number.
            (None, None) => json!(["has", field]),
        };
        parts.push(Part { colour, filter: Some(filter), words: between(low, high) });
    }
    parts.push(Part {
        colour: colours::REST.to_owned(),
        filter: Some(json!(["!has", field])),
        words: text!("sans valeur", "no value"),
    });
    parts
}

/// A limit as styles have it: whole ones without a decimal point.
fn number(limit: f64) -> Value {
    if limit.fract() == 0.0 && limit.abs() < 9e15 { json!(limit as i64) } else { json!(limit) }
}

fn between(low: Option<f64>, high: Option<f64>) -> Text {
    let say = |n: f64| (written(n, Lang::Fr), written(n, Lang::En));
    match (low.map(say), high.map(say)) {
        (None, Some((fr, en))) => text!("moins de {fr}", "under {en}"),
        (Some((fr, en)), None) => text!("{fr} et plus", "{en} and more"),
        (Some((a, b)), Some((c, d))) => text!("de {a} à moins de {c}", "{b} to under {d}"),
        (None, None) => text!("toutes les valeurs", "all values"),
    }
}

/// A number for people: 12 345,6 or 12,345.6, and 2024, which may be a year, as it is.
pub(super) fn written(n: f64, lang: Lang) -> String {
    let plain = n.to_string();
    let (sign, digits) = plain.strip_prefix('-').map_or(("", plain.as_str()), |d| ("-", d));
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let (gap, mark) = match lang {
        Lang::Fr => ('\u{202f}', ','),
        Lang::En => (',', '.'),
    };
    let mut text = sign.to_owned();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && whole.len() > 4 && (whole.len() - i).is_multiple_of(3) {
            text.push(gap);
        }
        text.push(digit);
    }
    if !decimals.is_empty() {
        text.push(mark);
        text.push_str(decimals);
    }
    text
}
