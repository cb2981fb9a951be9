//! What a page shows of its features, and in which order.

use crate::{
    error::{Error, Result},
    model::{Schema, ValueRef},
    query::Sort,
    text,
};
use std::sync::Arc;

/// What is shown of features; by default all of it, in source order.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The order.
    pub sort: Option<Arc<Sort>>,
    /// Positions of the fields shown; `None`: all.
    pub fields: Option<Vec<usize>>,
    /// Whether geometry is left out.
    pub no_geometry: bool,
    /// The zoom that geometry is generalised for; `None`: as it is stored.
    pub zoom: Option<u8>,
}

impl View {
    /// Reads `properties`: names of fields, separated by commas; none of them when it is empty.
    /// A name that holds commas is found whole.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming what is no property, and those that are.
    pub fn fields(value: &str, schema: &Schema) -> Result<Vec<usize>> {
        let mut fields = Vec::new();
        let mut rest = value;
        while !rest.is_empty() {
            let whole = schema.fields.iter().zip(0..).filter_map(|(field, position)| {
                let after = rest.strip_prefix(field.name.as_str())?;
                let after = if after.is_empty() { after } else { after.strip_prefix(',')? };
                Some((field.name.len(), position, after))
            });
            let Some((_, position, after)) = whole.max_by_key(|(length, ..)| *length) else {
                return Err(unknown(rest.split(',').next().unwrap_or_default(), schema));
            };
            fields.push(position);
            rest = after;
        }
        // In the order of the layer, each once.
        fields.sort_unstable();
        fields.dedup();
        Ok(fields)
    }

    /// The name of its order; empty for that of the source.
    pub fn sort_key(&self) -> String {
        self.sort.as_ref().map(|sort| sort.key()).unwrap_or_default()
    }

    /// The schema of what is shown. What stands behind the layer's own fields stays.
    pub(super) fn schema(&self, schema: &Schema, own: usize) -> Schema {
        let Some(fields) = &self.fields else { return schema.clone() };
        let behind = own..schema.fields.len();
        let shown = fields.iter().copied().chain(behind);
        let fields = shown.filter_map(|i| schema.fields.get(i).cloned()).collect();
        Schema { fields, geometry: schema.geometry }
    }

    /// The values that are shown.
    pub(super) fn values<'v>(
        &self,
        values: &[ValueRef<'v>],
        own: usize,
    ) -> Option<Vec<ValueRef<'v>>> {
        let fields = self.fields.as_ref()?;
        let behind = own..values.len();
        let shown = fields.iter().copied().chain(behind);
        Some(shown.map(|i| values.get(i).copied().unwrap_or(ValueRef::Null)).collect())
    }
}

fn unknown(name: &str, schema: &Schema) -> Error {
    let shown: String = name.chars().take(80).collect();
    let known: Vec<&str> = schema.fields.iter().map(|f| f.name.as_str()).collect();
    let known = known.join(", ");
    Error::Invalid(text!(
        "Paramètre « properties » : champ inconnu « {shown} ». Champs : {known}.",
        "Parameter \"properties\": unknown property \"{shown}\". Properties: {known}."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Field, FieldKind, GeometryKind};

    #[test]
    fn names_are_found_whole() {
        let field = |name: &str| Field { name: name.into(), kind: FieldKind::Text };
        let fields = ["a", "a,b", "c d", ""].map(field).into();
        let schema = Schema { fields, geometry: GeometryKind::None };
        let read = |text: &str| View::fields(text, &schema);
        assert_eq!(read("c d,a").unwrap(), [0, 2]);
        assert_eq!(read("a,b,a").unwrap(), [0, 1]);
        assert_eq!(read("").unwrap(), Vec::<usize>::new());
        for bad in ["b", "a,x", "A"] {
            assert!(matches!(read(bad), Err(Error::Invalid(_))), "{bad}");
        }
    }
}
