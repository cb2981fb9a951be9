//! `[style]` of a layer file: how the map of a layer without a style document is drawn.

use super::{document::hint, layer::tile_options, server::bilingual, table::Table};
use crate::{
    model::{
        Categories, Category, Classes, Cut, Division, Ramp, Symbols, Text, Theme, TileOptions,
        symbols::{MAX_CATEGORIES, MAX_CLASSES},
        tile_id::MAX_ZOOM,
    },
    text,
};

pub(super) const KEYS: &[&str] =
    &["theme", "title", "title_en", "labels", "labels_from", "categories", "classes"];
const CLASS_KEYS: &[&str] = &["field", "breaks", "method", "n", "ramp"];
const VALUE_KEYS: &[&str] = &["value", "title", "title_en", "color"];
/// Ways to cut a field of numbers.
const METHODS: [&str; 2] = ["quantile", "equal"];
/// Classes where nobody says how many.
const USUAL: u64 = 5;
/// Colours that categories have by themselves.
const OWN_COLOURS: usize = 8;

/// Reads the table, which `style` is.
pub(super) fn read(table: &Table<'_>) -> Symbols {
    let Some(inner) = table.table("style", KEYS) else { return Symbols::default() };
    let labels = inner.boolean("labels").unwrap_or_default();
    if labels && !table.has("label") {
        inner.report(
            "labels",
            text!(
                "demande le champ « label » de la couche, qui nomme ses entités",
                "needs the layer's \"label\" field, which names its features"
            ),
        );
    }
    let from = inner.integer("labels_from", 0..=u64::from(MAX_ZOOM));
    if inner.has("labels_from") && !labels {
        inner.report(
            "labels_from",
            text!("ne sert qu'avec labels = true", "only serves with labels = true"),
        );
    }
    Symbols {
        theme: inner.parsed("theme", |words| named(words, Theme::ALL.map(Theme::id))),
        title: bilingual(&inner, "title", "title_en", Text::default()),
        labels,
        labels_from: from.and_then(|zoom| u8::try_from(zoom).ok()),
        division: division(&inner),
    }
}

/// The same for a published table. Its rows are edited while they are looked at: classes that moved
/// with them would make two maps of one day differ without a word.
pub(super) fn of_table(table: &Table<'_>) -> Symbols {
    if !table.is_table("style") {
        return Symbols::default();
    }
    let symbols = read(table);
    let found = |c: &Classes| !matches!(c.cut, Cut::At(_));
    if matches!(&symbols.division, Some(Division::Classes(c)) if found(c)) {
        table.report(
            "style",
            text!(
                "les classes d'une table publiée se donnent par « breaks » : ses lignes changent",
                "the classes of a published table are given by \"breaks\": its rows change"
            ),
        );
    }
    symbols
}

/// The tiles that such a map needs: names of polygons are put on points that tiles carry apart.
pub(super) fn tiles(table: &Table<'_>, symbols: &Symbols, known: &[&str]) -> TileOptions {
    let mut options = tile_options(table.table("tiles", known));
    options.labels |= symbols.labels && !table.tells("tiles", "labels");
    options
}

fn named<T: std::str::FromStr>(words: &str, ids: [&str; 7]) -> Result<T, Text> {
    words.parse().map_err(|_| {
        let Text { fr, en } = hint(words, &ids);
        text!("« {words} » est inconnu ; {fr}", "\"{words}\" is unknown; {en}")
    })
}

fn division(table: &Table<'_>) -> Option<Division> {
    if table.has("categories") && table.has("classes") {
        table.report(
            "classes",
            text!(
                "« categories » est déjà donné : l'un ou l'autre",
                "\"categories\" is given: either"
            ),
        );
    }
    if table.has("categories") {
        let inner = table.table("categories", &["field", "values"])?;
        return categories(&inner).map(Division::Categories);
    }
    classes(&table.table("classes", CLASS_KEYS)?).map(Division::Classes)
}

fn categories(table: &Table<'_>) -> Option<Categories> {
    for key in ["field", "values"] {
        if !table.has(key) {
            table.missing(key);
        }
    }
    let values = table.tables("values", VALUE_KEYS);
    if !(1..=MAX_CATEGORIES).contains(&values.len()) && table.has("values") {
        table.report(
            "values",
            text!("attendu 1 à {MAX_CATEGORIES} valeurs", "expected 1 to {MAX_CATEGORIES} values"),
        );
    }
    let values: Vec<Option<Category>> =
        values.iter().enumerate().map(|(i, inner)| category(inner, i)).collect();
    let values: Vec<Category> = values.into_iter().collect::<Option<_>>()?;
    for (i, one) in values.iter().enumerate() {
        if values.iter().take(i).any(|other| other.value == one.value) {
            let value = &one.value;
            table.report(
                "values",
                text!("« {value} » y est deux fois", "\"{value}\" is in it twice"),
            );
        }
    }
    Some(Categories { field: table.string("field")?, values })
}

fn category(table: &Table<'_>, place: usize) -> Option<Category> {
    if !table.has("value") {
        table.missing("value");
    }
    let value = table.scalar("value")?;
    let colour = table.parsed("color", colour);
    if place >= OWN_COLOURS && !table.has("color") {
        table.report(
            "value",
            text!(
                "au-delà de {OWN_COLOURS} valeurs, chacune dit sa couleur (« color »)",
                "beyond {OWN_COLOURS} values, each says its colour (\"color\")"
            ),
        );
    }
    let words = Text::same(value.to_string());
    Some(Category { title: bilingual(table, "title", "title_en", words), value, colour })
}

fn colour(words: &str) -> Result<String, Text> {
    let digits = words.strip_prefix('#').filter(|d| d.len() == 6);
    match digits.is_some_and(|d| d.bytes().all(|b| b.is_ascii_hexdigit())) {
        true => Ok(words.to_ascii_lowercase()),
        false => Err(text!("attendu une couleur #rrvvbb", "expected a colour #rrggbb")),
    }
}

fn classes(table: &Table<'_>) -> Option<Classes> {
    if !table.has("field") {
        table.missing("field");
    }
    if table.has("breaks") == table.has("method") {
        let what = text!(
            "attendu « breaks » (des limites) ou « method » (quantile ou equal), l'un des deux",
            "expected \"breaks\" (limits) or \"method\" (quantile or equal), one of the two"
        );
        table.report(if table.has("method") { "method" } else { "field" }, what);
        return None;
    }
    let cut = if table.has("breaks") { at(table) } else { by_method(table) };
    let ramp = table.parsed("ramp", |words| named(words, Ramp::ALL.map(Ramp::id)));
    Some(Classes { field: table.string("field")?, cut: cut?, ramp })
}

fn at(table: &Table<'_>) -> Option<Cut> {
    let limits = table.numbers("breaks")?;
    let ascending = limits.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
    let finite = limits.iter().all(|n| n.is_finite());
    if !ascending || !finite || !(1..MAX_CLASSES).contains(&limits.len()) {
        let most = MAX_CLASSES - 1;
        table.report(
            "breaks",
            text!(
                "attendu 1 à {most} limites croissantes",
                "expected 1 to {most} limits, in ascending order"
            ),
        );
        return None;
    }
    if table.has("n") {
        table.report("n", text!("ne va qu'avec « method »", "only goes with \"method\""));
    }
    Some(Cut::At(limits))
}

fn by_method(table: &Table<'_>) -> Option<Cut> {
    let n = match table.has("n") {
        true => table.integer("n", 2..=MAX_CLASSES as u64)?,
        false => USUAL,
    };
    let n = usize::try_from(n).unwrap_or(MAX_CLASSES);
    let method = table.string("method")?;
    match method.as_str() {
        "quantile" => Some(Cut::Quantile(n)),
        "equal" => Some(Cut::Equal(n)),
        other => {
            table.report("method", hint(other, &METHODS));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::Document;
    use super::*;
    use crate::model::CategoryValue;

    fn read_text(toml: &str) -> (Symbols, TileOptions, Vec<String>) {
        let doc = Document::new("a.toml", toml.to_owned());
        let known = ["label", "style", "tiles"];
        let read = doc.read(&known, |table| {
            let symbols = read(table);
            let options = tiles(table, &symbols, &["labels"]);
            Some((symbols, options))
        });
        let (symbols, options) = read.unwrap_or_default();
        (symbols, options, doc.into_problems().into_iter().map(|p| p.en).collect())
    }

    #[test]
    fn a_style_is_read_whole() {
        let (symbols, tiles, problems) = read_text(
            "label = \"nom\"\n[style]\ntheme = \"equipements\"\ntitle = \"Genre\"\nlabels = true\nlabels_from = 11\n\
             [style.categories]\nfield = \"type\"\nvalues = [{ value = \"a\", title = \"Ah\", title_en = \"Oh\" }, \
             { value = 2, color = \"#FF0000\" }, { value = true }]\n",
        );
        assert_eq!(problems, [""; 0]);
        assert_eq!((symbols.theme, symbols.labels_from), (Some(Theme::Equipements), Some(11)));
        assert!(symbols.labels && tiles.labels, "names need their points");
        let Some(Division::Categories(c)) = symbols.division else { panic!() };
        assert_eq!((c.field.as_str(), c.values.len()), ("type", 3));
        assert_eq!(c.values[0].title, text!("Ah", "Oh"));
        assert_eq!(c.values[1].value, CategoryValue::Int(2));
        assert_eq!(c.values[1].colour.as_deref(), Some("#ff0000"));
        assert_eq!(c.values[2].title.fr, "true");
    }

    #[test]
    fn classes_are_given_or_to_be_found() {
        let cut = |toml: &str| {
            let (symbols, _, problems) =
                read_text(&format!("[style.classes]\nfield = \"p\"\n{toml}"));
            assert_eq!(problems, [""; 0], "{toml}");
            let Some(Division::Classes(c)) = symbols.division else { panic!("{toml}") };
            (c.cut, c.ramp)
        };
        assert_eq!(cut("breaks = [1, 2.5]"), (Cut::At(vec![1.0, 2.5]), None));
        let ramp = Some(Ramp::BleuRouge);
        assert_eq!(
            cut("method = \"quantile\"\nn = 7\nramp = \"bleu-rouge\""),
            (Cut::Quantile(7), ramp)
        );
        assert_eq!(cut("method = \"equal\""), (Cut::Equal(5), None));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (toml, word) in [
            (
                "[style]\ntheme = \"comerces\"",
                "a.toml:2: \"theme\": \"comerces\" is unknown; did you mean \"commerces\"?",
            ),
            ("[style]\nlabels = true", "needs the layer's \"label\" field"),
            ("[style]\nlabels_from = 9", "labels = true"),
            ("[style]\ncolour = \"red\"", "unknown key \"colour\" in [style]"),
            ("[style.classes]\nfield = \"p\"", "\"breaks\" (limits) or \"method\""),
            ("[style.classes]\nfield = \"p\"\nbreaks = [2, 1]", "ascending"),
            ("[style.classes]\nfield = \"p\"\nbreaks = [1]\nn = 3", "only goes with \"method\""),
            ("[style.classes]\nfield = \"p\"\nbreaks = [1, \"a\"]", "a list of numbers"),
            (
                "[style.classes]\nfield = \"p\"\nmethod = \"quantiles\"",
                "did you mean \"quantile\"?",
            ),
            ("[style.classes]\nbreaks = [1]", "\"field\" is missing in [style.classes]"),
            ("[style.categories]\nfield = \"p\"\nvalues = []", "1 to 40"),
            (
                "[style.categories]\nfield = \"p\"\nvalues = [{ title = \"x\" }]",
                "\"value\" is missing",
            ),
            (
                "[style.categories]\nfield = \"p\"\nvalues = [{ value = 1.5 }]",
                "a text, a whole number",
            ),
            (
                "[style.categories]\nfield = \"p\"\nvalues = [{ value = 1 }, { value = 1 }]",
                "\"1\" is in it twice",
            ),
            (
                "[style.categories]\nfield = \"p\"\nvalues = [{ value = 1, color = \"red\" }]",
                "#rrggbb",
            ),
        ] {
            let problems = read_text(toml).2.join("\n");
            assert!(problems.contains(word), "{toml}: {problems}");
        }
        let many: Vec<String> = (0..9).map(|i| format!("{{ value = {i} }}")).collect();
        let toml = format!("[style.categories]\nfield = \"p\"\nvalues = [{}]", many.join(", "));
        assert!(read_text(&toml).2.join("\n").contains("beyond 8 values"));
    }
}
