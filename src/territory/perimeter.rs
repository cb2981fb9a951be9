//! The perimeter of a set of territories: what a cut at their common border needs to know.

use super::Reference;
use crate::{
    error::Result,
    model::{Mode, Perimeter, PerimeterUnit, TerritoryCode},
};

impl Reference {
    /// The perimeter of a union of territories, in any order.
    ///
    /// # Errors
    /// As [`Reference::select`] for the mode `concerns`.
    pub fn perimeter(&self, territories: &[TerritoryCode]) -> Result<Perimeter> {
        let key = self.select(territories, Mode::Concerns)?.key;
        let mut codes = territories.to_vec();
        codes.sort();
        codes.dedup();
        let unit = |code: TerritoryCode| PerimeterUnit { communes: self.communes(&code), code };
        Ok(Perimeter { key, units: codes.into_iter().map(unit).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unions_are_the_same_in_any_order() {
        let reference = Reference::builtin();
        let codes = |text: &str| -> Vec<TerritoryCode> {
            text.split(' ').map(|t| t.parse().unwrap()).collect()
        };
        let one = reference.perimeter(&codes("dep:62 qpv:QN05901M dep:59 dep:62")).unwrap();
        assert_eq!(one, reference.perimeter(&codes("qpv:QN05901M dep:59 dep:62")).unwrap());
        assert_eq!(one.key, "dep:59+dep:62+qpv:QN05901M");
        let communes: Vec<_> = one.units.iter().map(|u| u.communes.is_some()).collect();
        assert_eq!(communes, [true, true, false]);
    }
}
