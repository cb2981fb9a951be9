//! The functions that filters may use, as `/functions` lists them (OGC API Features, part 3).

use super::ast::{NAMES, Op};
use crate::{model::Text, text};

/// A function.
pub struct Function {
    /// Its name in text.
    pub name: String,
    /// What it says.
    pub description: Text,
    /// The types of each argument, in the standard's words.
    pub arguments: Vec<&'static [&'static str]>,
    /// The type of what it gives.
    pub returns: &'static str,
}

const STRING: &[&str] = &["string"];
const GEOMETRY: &[&str] = &["geometry"];
const MOMENT: &[&str] = &["date", "datetime"];
const LIST: &[&str] = &["string", "number", "integer", "boolean"];

/// All functions.
pub fn functions() -> Vec<Function> {
    NAMES.iter().filter(|(_, op)| op.is_function()).map(|(n, op)| function(n, *op)).collect()
}

fn function(name: &str, op: Op) -> Function {
    let two = |kind| vec![kind, kind];
    let (description, arguments, returns) = match op {
        Op::Casei => (
            text!("Texte sans distinction de majuscules", "Text without regard to case"),
            vec![STRING],
            "string",
        ),
        Op::Accenti => (
            text!("Texte sans distinction d'accents (œ = oe)", "Text without regard to accents"),
            vec![STRING],
            "string",
        ),
        Op::Spatial(_) | Op::Disjoint => (
            text!("Relation de deux géométries", "Relation of two geometries"),
            two(GEOMETRY),
            "boolean",
        ),
        Op::Temporal(_) => (
            text!(
                "Relation de deux instants ou intervalles",
                "Relation of two instants or intervals"
            ),
            two(MOMENT),
            "boolean",
        ),
        Op::Array(_) => {
            (text!("Relation de deux listes", "Relation of two lists"), two(LIST), "boolean")
        }
        _ => (
            text!(
                "L'entité concerne le territoire (dep:59, epci:200093201…), ou y est contenue avec « within » en second",
                "The feature concerns the territory (dep:59, epci:200093201…), or lies in it with \"within\" second"
            ),
            two(STRING),
            "boolean",
        ),
    };
    Function { name: name.to_ascii_uppercase(), description, arguments, returns }
}
