//! MapLibre expressions and filters as QGIS expressions: the part of the language that styles of
//! data use. What has no counterpart gives `None`, and whoever asked does without it.

use serde_json::Value;

/// A MapLibre expression or filter (also of the older, array-of-keys kind) as QGIS writes it.
pub(super) fn expression(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(literal(text)),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) => Some("TRUE".into()),
        Value::Bool(false) => Some("FALSE".into()),
        Value::Null => Some("NULL".into()),
        Value::Array(parts) => {
            let (head, rest) = parts.split_first()?;
            operation(head.as_str()?, rest)
        }
        Value::Object(_) => None,
    }
}

/// A field by its name.
pub(super) fn field(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text value.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn operation(name: &str, rest: &[Value]) -> Option<String> {
    match name {
        "get" => Some(field(rest.first()?.as_str()?)),
        "has" => Some(format!("({} IS NOT NULL)", field(rest.first()?.as_str()?))),
        "!has" => Some(format!("({} IS NULL)", field(rest.first()?.as_str()?))),
        "literal" => expression(rest.first()?),
        "to-number" => Some(format!("to_real({})", expression(rest.first()?)?)),
        "to-string" => Some(format!("to_string({})", expression(rest.first()?)?)),
        "upcase" => Some(format!("upper({})", expression(rest.first()?)?)),
        "downcase" => Some(format!("lower({})", expression(rest.first()?)?)),
        "!" => Some(format!("(NOT {})", expression(rest.first()?)?)),
        "all" => joined(rest, " AND ", "TRUE"),
        "any" => joined(rest, " OR ", "FALSE"),
        "none" => Some(format!("(NOT {})", joined(rest, " OR ", "FALSE")?)),
        "==" | "!=" | "<" | "<=" | ">" | ">=" => compared(name, rest),
        "in" | "!in" => member(name == "!in", rest),
        "coalesce" => called("coalesce", rest),
        "concat" => called("concat", rest),
        "min" => called("min", rest),
        "max" => called("max", rest),
        "sqrt" => called("sqrt", rest),
        "abs" => called("abs", rest),
        "round" => called("round", rest),
        "+" | "-" | "*" | "/" | "%" if rest.len() >= 2 => joined(rest, &format!(" {name} "), "0"),
        "^" => joined(rest, " ^ ", "0"),
        "match" => choice(rest),
        "case" => cases(rest),
        "step" => steps(rest),
        "interpolate" => interpolated(rest),
        _ => None,
    }
}

fn called(function: &str, parts: &[Value]) -> Option<String> {
    let parts: Option<Vec<String>> = parts.iter().map(expression).collect();
    Some(format!("{function}({})", parts?.join(", ")))
}

fn joined(parts: &[Value], with: &str, empty: &str) -> Option<String> {
    let parts: Option<Vec<String>> = parts.iter().map(expression).collect();
    let parts = parts?;
    Some(if parts.is_empty() { empty.into() } else { format!("({})", parts.join(with)) })
}

/// The left side of a comparison: older filters name a field by its bare name.
fn left(value: &Value) -> Option<String> {
    match value {
        Value::String(name) if name == "$type" => None,
        Value::String(name) if name == "$id" => Some("$id".into()),
        Value::String(name) => Some(field(name)),
        other => expression(other),
    }
}

fn compared(operator: &str, rest: &[Value]) -> Option<String> {
    let [a, b] = rest else { return None };
    let a = left(a)?;
    if b.is_null() {
        return Some(format!("({a} IS {}NULL)", if operator == "!=" { "NOT " } else { "" }));
    }
    let operator = match operator {
        "==" => "=",
        "!=" => "<>",
        other => other,
    };
    Some(format!("({a} {operator} {})", expression(b)?))
}

fn member(not: bool, rest: &[Value]) -> Option<String> {
    let (needle, rest) = rest.split_first()?;
    let list = match rest {
        [Value::Array(parts)] if parts.first().and_then(Value::as_str) == Some("literal") => {
            parts.get(1)?.as_array()?.as_slice()
        }
        other => other,
    };
    let list: Option<Vec<String>> = list.iter().map(expression).collect();
    let (needle, list) = (left(needle)?, list?.join(", "));
    // What has no value is in no list: SQL, and QGIS with it, would know nothing of it.
    Some(match not {
        true => format!("({needle} IS NULL OR {needle} NOT IN ({list}))"),
        false => format!("({needle} IN ({list}))"),
    })
}

/// The values of one branch of `match`.
pub(super) fn branch(input: &str, labels: &Value) -> Option<String> {
    match labels {
        Value::Array(labels) => {
            let labels: Option<Vec<String>> = labels.iter().map(expression).collect();
            Some(format!("({input} IN ({}))", labels?.join(", ")))
        }
        label => Some(format!("({input} = {})", expression(label)?)),
    }
}

fn choice(rest: &[Value]) -> Option<String> {
    let (input, rest) = rest.split_first()?;
    let (otherwise, pairs) = rest.split_last()?;
    let input = expression(input)?;
    let mut text = String::from("CASE");
    for pair in pairs.chunks_exact(2) {
        let [labels, output] = pair else { return None };
        text += &format!(" WHEN {} THEN {}", branch(&input, labels)?, expression(output)?);
    }
    Some(format!("({text} ELSE {} END)", expression(otherwise)?))
}

fn cases(rest: &[Value]) -> Option<String> {
    let (otherwise, pairs) = rest.split_last()?;
    let mut text = String::from("CASE");
    for pair in pairs.chunks_exact(2) {
        let [test, output] = pair else { return None };
        text += &format!(" WHEN {} THEN {}", expression(test)?, expression(output)?);
    }
    Some(format!("({text} ELSE {} END)", expression(otherwise)?))
}

fn steps(rest: &[Value]) -> Option<String> {
    let (input, rest) = rest.split_first()?;
    let (first, pairs) = rest.split_first()?;
    let input = expression(input)?;
    // From the highest threshold down, so that the first that holds decides.
    let mut text = String::from("CASE");
    for pair in pairs.chunks_exact(2).rev() {
        let [from, output] = pair else { return None };
        text += &format!(" WHEN {input} >= {} THEN {}", expression(from)?, expression(output)?);
    }
    Some(format!("({text} ELSE {} END)", expression(first)?))
}

/// Linear pieces; the ends hold beyond them. Zoom is not data: such curves have their value read
/// at one zoom elsewhere.
fn interpolated(rest: &[Value]) -> Option<String> {
    let (curve, rest) = rest.split_first()?;
    if curve.get(0)?.as_str()? != "linear" {
        return None;
    }
    let (input, stops) = rest.split_first()?;
    let input = expression(input)?;
    let stops: Option<Vec<(f64, f64)>> = stops
        .chunks_exact(2)
        .map(|pair| Some((pair.first()?.as_f64()?, pair.get(1)?.as_f64()?)))
        .collect();
    let stops = stops?;
    let (first, last) = (stops.first()?, stops.last()?);
    let mut text = format!("CASE WHEN {input} < {} THEN {}", first.0, first.1);
    for pair in stops.windows(2) {
        if let [(x0, y0), (x1, y1)] = pair {
            text += &format!(
                " WHEN {input} <= {x1} THEN scale_linear({input}, {x0}, {x1}, {y0}, {y1})"
            );
        }
    }
    Some(format!("({text} ELSE {} END)", last.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(value: Value) -> String {
        expression(&value).unwrap_or_default()
    }

    #[test]
    fn both_kinds_of_filters_are_understood() {
        assert_eq!(said(json!(["==", ["get", "type"], "V"])), "(\"type\" = 'V')");
        assert_eq!(said(json!(["==", "type", "V"])), "(\"type\" = 'V')");
        assert_eq!(
            said(json!(["!in", "dep", "59", "62"])),
            "(\"dep\" IS NULL OR \"dep\" NOT IN ('59', '62'))"
        );
        assert_eq!(
            said(json!(["all", [">=", ["get", "p"], 500], ["<", ["get", "p"], 2000]])),
            "((\"p\" >= 500) AND (\"p\" < 2000))"
        );
        assert_eq!(
            said(json!(["in", ["get", "d"], ["literal", ["59", "62"]]])),
            "(\"d\" IN ('59', '62'))"
        );
        assert_eq!(said(json!(["!", ["has", "p"]])), "(NOT (\"p\" IS NOT NULL))");
        assert_eq!(said(json!(["==", ["get", "p"], null])), "(\"p\" IS NULL)");
    }

    #[test]
    fn names_and_values_stay_data() {
        assert_eq!(
            said(json!(["==", ["get", "a\" OR 1=1"], "l'eau\\"])),
            "(\"a\"\" OR 1=1\" = 'l''eau\\\\')"
        );
    }

    #[test]
    fn choices_become_cases() {
        assert_eq!(
            said(json!(["match", ["get", "t"], ["a", "b"], 1, "c", 2, 0])),
            "(CASE WHEN (\"t\" IN ('a', 'b')) THEN 1 WHEN (\"t\" = 'c') THEN 2 ELSE 0 END)"
        );
        assert_eq!(
            said(json!(["step", ["get", "p"], 1, 10, 2, 20, 3])),
            "(CASE WHEN \"p\" >= 20 THEN 3 WHEN \"p\" >= 10 THEN 2 ELSE 1 END)"
        );
        assert!(
            said(json!(["interpolate", ["linear"], ["get", "p"], 0, 1, 10, 5]))
                .contains("scale_linear(\"p\", 0, 10, 1, 5)")
        );
    }

    #[test]
    fn what_has_no_counterpart_says_so() {
        for foreign in [json!(["feature-state", "hover"]), json!(["zoom"]), json!({"stops": []})] {
            assert_eq!(expression(&foreign), None, "{foreign}");
        }
    }
}
