//! A look at a filter before anything parses it: what is too long or too deep goes no further.

use super::error::{at, whole};
use crate::{error::Result, text};

/// Most bytes of a filter.
pub const MAX_BYTES: usize = 16 * 1024;
/// Most parentheses open at once in a text.
pub const MAX_NESTING: usize = 64;
/// Most braces and brackets open at once in JSON, where each operator takes two.
pub const MAX_BRACKETS: usize = 2 * MAX_NESTING - 2;

/// Checks a text.
pub(super) fn text(filter: &str) -> Result<()> {
    length(filter)?;
    let (mut depth, mut inside) = (0usize, None);
    let mut chars = filter.chars().enumerate();
    while let Some((i, c)) = chars.next() {
        match (inside, c) {
            (Some('\''), '\\') => {
                chars.next();
            }
            (Some(quote), c) if c == quote => inside = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => inside = Some(c),
            (None, '(') => {
                depth += 1;
                if depth > MAX_NESTING {
                    return Err(at(
                        i + 1,
                        text!(
                            "plus de {MAX_NESTING} parenthèses ouvertes à la fois ; simplifiez le filtre, ou donnez les valeurs par une liste : champ IN (…).",
                            "more than {MAX_NESTING} parentheses open at once; simplify the filter, or give values as a list: property IN (…)."
                        ),
                    ));
                }
            }
            (None, ')') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
    }
    Ok(())
}

/// Checks JSON.
pub(super) fn json(filter: &str) -> Result<()> {
    length(filter)?;
    let (mut depth, mut inside) = (0usize, false);
    let mut chars = filter.chars().enumerate();
    while let Some((i, c)) = chars.next() {
        match c {
            '\\' if inside => {
                chars.next();
            }
            '"' => inside = !inside,
            '{' | '[' if !inside => {
                depth += 1;
                if depth > MAX_BRACKETS {
                    return Err(at(
                        i + 1,
                        text!(
                            "plus de {MAX_BRACKETS} accolades et crochets ouverts à la fois ; simplifiez le filtre.",
                            "more than {MAX_BRACKETS} braces and brackets open at once; simplify the filter."
                        ),
                    ));
                }
            }
            '}' | ']' if !inside => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

fn length(filter: &str) -> Result<()> {
    let bytes = filter.len();
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    Err(whole(text!(
        "{bytes} octets, au plus {MAX_BYTES} ; donnez une géométrie moins détaillée, une liste plus courte, ou un territoire par le paramètre « territory ».",
        "{bytes} bytes, at most {MAX_BYTES}; give a less detailed geometry, a shorter list, or a territory by the \"territory\" parameter."
    )))
}
