//! The times of a version: which fields hold them, and the first and last that they hold.

use crate::{
    error::{Error, Result},
    model::{Feature, FieldKind, LayerDef, Schema, Value},
    text,
};

/// The first and the last time of the features, as RFC 3339 writes them; `None` without times.
///
/// # Errors
/// [`Error::Refused`] when a field that the layer declares is not there, or holds no dates.
pub(super) fn extent(
    def: &LayerDef,
    schema: &Schema,
    features: &[Feature],
) -> Result<Option<[Option<String>; 2]>> {
    let Some(time) = &def.time else { return Ok(None) };
    let start = field(schema, &time.start)?;
    let end = time.end.as_deref().map(|end| field(schema, end)).transpose()?.unwrap_or(start);
    let times = |field: usize| features.iter().filter_map(move |f| written(f.values.get(field)?));
    // An end that some feature lacks is open: it still holds.
    let lasting = time.end.is_some()
        && features.iter().any(|f| f.values.get(end).is_none_or(|v| *v == Value::Null));
    let last = if lasting { None } else { times(end).max() };
    Ok(Some([times(start).min(), last]))
}

fn field(schema: &Schema, name: &str) -> Result<usize> {
    let dated = |kind| matches!(kind, FieldKind::Date | FieldKind::DateTime);
    let found = schema.fields.iter().position(|f| f.name == name && dated(f.kind));
    found.ok_or_else(|| {
        let dates: Vec<&str> =
            schema.fields.iter().filter(|f| dated(f.kind)).map(|f| f.name.as_str()).collect();
        let (dates_fr, dates_en) = match dates.is_empty() {
            true => ("aucun".to_owned(), "none".to_owned()),
            false => (dates.join(", "), dates.join(", ")),
        };
        Error::Refused(text!(
            "[time] : « {name} » n'est pas un champ de dates de cette source. Champs de dates : {dates_fr}.",
            "[time]: \"{name}\" is no field of dates of this source. Fields of dates: {dates_en}."
        ))
    })
}

/// A time as RFC 3339 writes it: these texts sort as the times do.
fn written(value: &Value) -> Option<String> {
    match value {
        Value::Date(day) => Some(format!("{day}T00:00:00Z")),
        Value::DateTime(instant) => Some(instant.to_string()),
        _ => None,
    }
}
