//! The times of a version: which fields hold them, and the first and last that they hold.

use crate::{
    error::{Error, Result},
    model::{Feature, FieldKind, LayerDef, Schema, Value},
    text,
};

/// The times of the features seen so far.
pub(super) struct Times {
    start: usize,
    end: usize,
    /// Whether the end is a field of its own.
    ends: bool,
    first: Option<String>,
    last: Option<String>,
    /// Whether some feature still holds.
    lasting: bool,
}

impl Times {
    /// Of a layer; `None` when it has no times.
    ///
    /// # Errors
    /// [`Error::Refused`] when a field that the layer declares is not there, or holds no dates.
    pub(super) fn of(def: &LayerDef, schema: &Schema) -> Result<Option<Self>> {
        let Some(time) = &def.time else { return Ok(None) };
        let start = field(schema, &time.start)?;
        let end = time.end.as_deref().map(|end| field(schema, end)).transpose()?;
        let (ends, end) = (end.is_some(), end.unwrap_or(start));
        Ok(Some(Self { start, end, ends, first: None, last: None, lasting: false }))
    }

    pub(super) fn add(&mut self, features: &[Feature]) {
        let times = |at: usize| features.iter().filter_map(move |f| written(f.values.get(at)?));
        self.first = self.first.take().into_iter().chain(times(self.start)).min();
        self.last = self.last.take().into_iter().chain(times(self.end)).max();
        // An end that some feature lacks is open: it still holds.
        let open = |f: &Feature| f.values.get(self.end).is_none_or(|v| *v == Value::Null);
        self.lasting |= self.ends && features.iter().any(open);
    }

    /// The first and the last, as RFC 3339 writes them; none where it is open.
    pub(super) fn extent(self) -> [Option<String>; 2] {
        [self.first, self.last.filter(|_| !self.lasting)]
    }
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
