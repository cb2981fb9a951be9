//! Calculation in doubles, with the same results in every store.

use super::ast::Arithmetic;
use crate::{error::Error, text};

/// A result beyond what doubles hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow;

impl std::fmt::Display for Overflow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a calculation leaves the range of numbers")
    }
}

impl std::error::Error for Overflow {}

/// The refusal of a filter that calculates beyond it.
pub fn overflow() -> Error {
    super::error::whole(text!(
        "un calcul dépasse ce qu'un nombre peut contenir (environ 1,8e308) ; vérifiez * et ^.",
        "a calculation leaves the range of numbers (about 1.8e308); check * and ^."
    ))
}

/// The result; `None` where there is none: division by zero, a root of a negative number.
///
/// # Errors
/// [`Overflow`] where the result is too large for a double, or too small to be other than zero.
pub fn calculate(a: Arithmetic, x: f64, y: f64) -> Result<Option<f64>, Overflow> {
    let divides = matches!(a, Arithmetic::Div | Arithmetic::IntDiv | Arithmetic::Mod);
    if divides && y == 0.0 {
        return Ok(None);
    }
    if a == Arithmetic::Pow && (x == 0.0 && y < 0.0 || x < 0.0 && y.trunc() != y) {
        return Ok(None);
    }
    let result = match a {
        Arithmetic::Add => x + y,
        Arithmetic::Sub => x - y,
        Arithmetic::Mul => x * y,
        Arithmetic::Div => x / y,
        Arithmetic::IntDiv => quotient(x, y)?.trunc(),
        Arithmetic::Mod => x - y * quotient(x, y)?.trunc(),
        Arithmetic::Pow => x.powf(y),
    };
    let vanished = result == 0.0
        && x != 0.0
        && match a {
            Arithmetic::Mul => y != 0.0,
            Arithmetic::Div | Arithmetic::Pow => true,
            _ => false,
        };
    if !result.is_finite() || vanished {
        return Err(Overflow);
    }
    Ok(Some(result))
}

fn quotient(x: f64, y: f64) -> Result<f64, Overflow> {
    let q = x / y;
    if q.is_finite() && !(q == 0.0 && x != 0.0) { Ok(q) } else { Err(Overflow) }
}
