//! What judging a filter may cost, the same for every store.

use crate::{
    error::{Error, Result},
    query::cql2::Expression,
    text,
};
use std::time::Duration;

/// Most time a store looks for what a filter lets through.
pub(super) const TIME: Duration = Duration::from_secs(5);
/// Most steps, features times the filter's weight, that are worth beginning.
const STEPS: u64 = 20_000_000_000;

/// Refuses what would surely take too long.
pub(super) fn admit(expression: &Expression, features: u64) -> Result<()> {
    match expression.weight().saturating_mul(features) <= STEPS {
        true => Ok(()),
        false => Err(too_slow()),
    }
}

/// The filter took, or would take, longer than it may.
pub(super) fn too_slow() -> Error {
    Error::Invalid(text!(
        "Filtre trop coûteux pour cette couche (plus de 5 s). Donnez une géométrie moins détaillée ou une boîte BBOX, une liste IN plutôt que des OR, moins de calculs ; ou prenez un territoire par « territory » au lieu de sa géométrie.",
        "Filter too costly for this layer (over 5 s). Give a less detailed geometry or a BBOX, an IN list rather than ORs, fewer calculations; or take a territory by \"territory\" instead of its geometry."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::cql2::{Context, Dialect, check, parse};
    use std::sync::Arc;

    struct Plain;

    impl Context for Plain {
        fn territory(
            &self,
            _: &str,
            _: crate::model::Mode,
        ) -> Result<Arc<crate::model::Selection>> {
            Err(Error::broken("no territory here"))
        }
        fn place(&self, g: geo_types::Geometry<f64>) -> Result<geo_types::Geometry<f64>> {
            Ok(g)
        }
        fn place_box(&self, _: [f64; 4]) -> Result<geo_types::Geometry<f64>> {
            Err(Error::broken("no box here"))
        }
    }

    #[test]
    fn a_large_geometry_on_a_large_layer_is_refused_before_any_work() {
        let schema = crate::model::Schema {
            fields: Vec::new(),
            geometry: crate::model::GeometryKind::Point,
        };
        let line: Vec<String> = (0..1_500).map(|i| format!("{} 1", i % 90)).collect();
        let text = format!("S_INTERSECTS(geom, LINESTRING({}))", line.join(","));
        let tree = parse(Dialect::Text, &text).unwrap();
        let filter = check(&tree, &schema, &Plain).unwrap();
        assert!(admit(&filter, 1_500_000).is_ok());
        let Err(Error::Invalid(said)) = admit(&filter, 15_000_000) else { panic!() };
        assert!(said.fr.contains("BBOX") && said.en.contains("territory"));
    }
}
