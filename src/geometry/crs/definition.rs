//! How a system is written into files for other programs: the definitions of the EPSG registry as
//! PROJ spells them (`definitions.tsv`: code, WKT 1, ESRI's WKT, PROJJSON; one system a line).

use super::Crs;

const TABLE: &str = include_str!("definitions.tsv");

/// A system's definition in the spellings that file formats want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// EPSG code; CRS84 is written as 4326, whose order of axes files do not follow.
    pub code: u32,
    /// WKT 1 (OGC 01-009), as GeoPackage and GDAL have it.
    pub wkt: &'static str,
    /// ESRI's WKT, as a Shapefile's `.prj` has it.
    pub esri: &'static str,
    /// PROJJSON, as GeoParquet has it.
    pub projjson: &'static str,
}

impl Crs {
    /// Its definition, if files are written in it.
    pub fn definition(&self) -> Option<Definition> {
        let code = match self.epsg {
            Some(code) => code,
            None if self.is_crs84() => 4326,
            None => return None,
        };
        definitions().find(|d| d.code == code)
    }

    /// The EPSG codes that files are written in.
    pub fn written() -> impl Iterator<Item = u32> {
        definitions().map(|d| d.code)
    }
}

fn definitions() -> impl Iterator<Item = Definition> {
    TABLE.lines().filter_map(|line| {
        let mut parts = line.split('\t');
        let code = parts.next()?.parse().ok()?;
        Some(Definition { code, wkt: parts.next()?, esri: parts.next()?, projjson: parts.next()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_is_read_back_as_its_system() {
        let mut count = 0;
        for code in Crs::written() {
            let crs = Crs::from_epsg(code).unwrap();
            let definition = crs.definition().unwrap();
            for spelling in [definition.wkt, definition.esri] {
                let read = Crs::parse(spelling).unwrap();
                assert!(read == crs, "{code}: {spelling}");
            }
            let json: serde_json::Value = serde_json::from_str(definition.projjson).unwrap();
            assert_eq!(json["id"]["code"], code);
            count += 1;
        }
        assert_eq!(count, TABLE.lines().count());
        assert_eq!(Crs::crs84().definition().map(|d| d.code), Some(4326));
        assert!(Crs::from_epsg(27572).unwrap().definition().is_none());
    }
}
