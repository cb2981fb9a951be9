//! Where the numbers of a field are cut for the map of a version: decided when it is loaded, from
//! all its features, so that the same version is always drawn the same.

use crate::{
    error::{Error, Result},
    model::{
        CategoryValue, ClassLimits, Classes, Cut, Division, Feature, FieldKind, LayerDef, Schema,
        Version,
    },
    store::Spool,
    text,
};

/// Digits that a limit keeps: people read it.
const DIGITS: i32 = 3;

/// Decides the classes that the layer's file asks for.
///
/// # Errors
/// [`Error::Refused`] when it names a field that is not there, or not of numbers; a fault when the
/// features cannot be read.
pub(super) fn plan(def: &LayerDef, features: &Spool<Feature>, version: &mut Version) -> Result<()> {
    let Some(division) = &def.symbols.division else { return Ok(()) };
    let field = known(&version.schema, division)?;
    let Division::Classes(Classes { field: name, cut, .. }) = division else { return Ok(()) };
    let mut numbers: Vec<f64> = Vec::new();
    features.each(|_, features| {
        numbers.extend(features.iter().filter_map(|f| number(f.values.get(field)?)));
        Ok(())
    })?;
    numbers.sort_by(f64::total_cmp);
    let limits = match cut {
        Cut::At(_) => return Ok(()),
        Cut::Quantile(n) => limits(*n, |i| by_rank(&numbers, i, *n)),
        Cut::Equal(n) => limits(*n, |i| by_width(&numbers, i, *n)),
    };
    let missing = (features.len() - numbers.len()) as u64;
    let decided = ClassLimits { field: name.clone(), cut: cut.clone(), limits, missing };
    version.classes = Some(Box::new(decided));
    Ok(())
}

/// The place of the field that is drawn by.
fn known(schema: &Schema, division: &Division) -> Result<usize> {
    let name = division.field();
    let Some(index) = schema.index(name) else {
        let all: Vec<&str> = schema.fields.iter().map(|f| f.name.as_str()).collect();
        let all = all.join(", ");
        return Err(Error::Refused(text!(
            "[style] nomme le champ « {name} », que la source n'a pas. Ses champs : {all}.",
            "[style] names the field \"{name}\", which the source does not have. Its fields: {all}."
        )));
    };
    let kind = schema.fields.get(index).map(|field| field.kind);
    let numbers = matches!(kind, Some(FieldKind::Int | FieldKind::Float));
    let fits = match division {
        Division::Classes(_) => numbers,
        Division::Categories(categories) => categories.values.iter().all(|c| match c.value {
            CategoryValue::Bool(_) => kind == Some(FieldKind::Bool),
            CategoryValue::Int(_) => numbers,
            CategoryValue::Text(_) => !numbers && kind != Some(FieldKind::Bool),
        }),
    };
    if !fits {
        return Err(Error::Refused(text!(
            "[style] : les valeurs du champ « {name} » ne sont pas du type que le style en attend.",
            "[style]: the values of the field \"{name}\" are not of the type that the style expects."
        )));
    }
    Ok(index)
}

fn number(value: &crate::model::Value) -> Option<f64> {
    match value {
        crate::model::Value::Int(i) => Some(*i as f64),
        crate::model::Value::Float(f) => Some(*f).filter(|f| f.is_finite()),
        _ => None,
    }
}

/// The limits between `n` classes: round numbers, each once.
fn limits(n: usize, limit: impl Fn(usize) -> Option<f64>) -> Vec<f64> {
    let mut limits: Vec<f64> = (1..n).filter_map(|i| limit(i).map(round)).collect();
    limits.sort_by(f64::total_cmp);
    limits.dedup();
    limits
}

/// The least number of class `i` of `n` with as many features each.
fn by_rank(sorted: &[f64], i: usize, n: usize) -> Option<f64> {
    sorted.get((sorted.len() * i).div_ceil(n)).copied()
}

/// The lower end of class `i` of `n` as wide as each other.
fn by_width(sorted: &[f64], i: usize, n: usize) -> Option<f64> {
    let (least, most) = (*sorted.first()?, *sorted.last()?);
    (least < most).then(|| least + (most - least) * i as f64 / n as f64)
}

/// A number with [`DIGITS`] digits that count, which is the double nearest to them.
fn round(n: f64) -> f64 {
    if n == 0.0 {
        return 0.0;
    }
    let places = DIGITS - 1 - n.abs().log10().floor() as i32;
    // Written and read again: a product of powers of ten would not end in zeros.
    if places >= 0 {
        return format!("{n:.*}", places.unsigned_abs() as usize).parse().unwrap_or(n);
    }
    let unit = 10f64.powi(-places);
    (n / unit).round() * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(numbers: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let mut all: Vec<f64> = numbers.into_iter().collect();
        all.sort_by(f64::total_cmp);
        all
    }

    #[test]
    fn quantiles_hold_as_many_features_each() {
        let numbers = sorted((0..1000).map(f64::from));
        let found = limits(4, |i| by_rank(&numbers, i, 4));
        assert_eq!(found, [250.0, 500.0, 750.0]);
        // Equal values are never parted: a class may then be wider, and there may be fewer.
        let numbers = sorted(std::iter::repeat_n(0.0, 90).chain((1..=10).map(f64::from)));
        let found = limits(5, |i| by_rank(&numbers, i, 5));
        assert_eq!(found, [0.0]);
        assert_eq!(limits(5, |i| by_rank(&[], i, 5)), [0.0; 0]);
    }

    #[test]
    fn widths_are_equal_and_limits_round() {
        let numbers = [-1.0, 0.3, 9.0];
        assert_eq!(limits(5, |i| by_width(&numbers, i, 5)), [1.0, 3.0, 5.0, 7.0]);
        assert_eq!(limits(5, |i| by_width(&[2.0, 2.0], i, 5)), [0.0; 0]);
        for (n, rounded) in [
            (123_456.0, 123_000.0),
            (0.001_234_5, 0.001_23),
            (-99_950.0, -100_000.0),
            (45.678, 45.7),
            (0.1 + 0.2, 0.3),
            (999.6, 1000.0),
        ] {
            assert_eq!(round(n), rounded, "{n}");
        }
    }
}
