//! The systems that features are asked for and given in (OGC API Features part 2). The store holds
//! CRS84; what the client asked for is reached row by row, in the order of axes of its authority.

use crate::{
    error::{Error, Result},
    formats::{
        geojson::METRE_DECIMALS,
        wkb::{self, Unmapped},
        write,
    },
    geometry::crs::{Crs, Outside},
    model::BBox,
    query::{bbox_numbers, parse_bbox},
    text,
};
use geo_types::Coord;

/// A system of coordinates with its order of axes.
#[derive(Debug, Clone)]
pub struct System {
    /// `None`: CRS84, as the store has it.
    crs: Option<Crs>,
    uri: String,
    /// Whether coordinates are given in the order of axes of the authority.
    authority: bool,
}

impl Default for System {
    fn default() -> Self {
        let uri = Crs::crs84().uri().unwrap_or_default();
        Self { crs: None, uri, authority: true }
    }
}

impl System {
    /// Reads `crs` or `bbox-crs` (their `parameter` is for the message): an OGC URI, as
    /// collections list them, or a short spelling such as `EPSG:2154`. `extent` is that of the
    /// layer.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the list of what there is.
    pub fn read(parameter: &str, value: &str, extent: Option<&BBox>) -> Result<Self> {
        let known = Crs::parse(value).ok();
        let known = known.filter(|crs| crs.definition().is_some() && used(crs, extent));
        let Some((crs, uri)) = known.and_then(|crs| crs.uri().map(|uri| (crs, uri))) else {
            let shown: String = value.chars().take(120).collect();
            let list: Vec<String> =
                systems(extent).filter_map(|crs| crs.epsg()).map(|c| c.to_string()).collect();
            let list = list.join(", ");
            return Err(Error::Invalid(text!(
                "Paramètre « {parameter} » : « {shown} » n'est pas disponible pour cette couche. Possibles : http://www.opengis.net/def/crs/OGC/1.3/CRS84, http://www.opengis.net/def/crs/EPSG/0/… avec {list}.",
                "Parameter \"{parameter}\": \"{shown}\" is not available for this layer. Possible: http://www.opengis.net/def/crs/OGC/1.3/CRS84, http://www.opengis.net/def/crs/EPSG/0/… with {list}."
            )));
        };
        let crs84 = crs.is_crs84() && !crs.authority_is_lat_lon();
        Ok(Self { crs: (!crs84).then_some(crs), uri, authority: true })
    }

    /// The URIs of the systems that have coordinates for some part of an extent, or of all of them;
    /// that of the store first.
    pub fn uris(extent: Option<&BBox>) -> Vec<String> {
        let others = systems(extent).filter_map(|crs| crs.uri());
        Crs::crs84().uri().into_iter().chain(others).collect()
    }

    /// Its URI.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Reads a box in this system, in the order of its axes. In a projected system it becomes its
    /// envelope in degrees: what only that holds, at most a sliver beyond its edges, comes along.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is no box, or lies wholly outside the system's area of use.
    pub fn bbox(&self, value: &str) -> Result<BBox> {
        let Some(crs) = &self.crs else { return parse_bbox(value) };
        let [a, b, c, d] = bbox_numbers(value)?;
        let swapped = self.authority && crs.authority_is_lat_lon();
        let [x0, y0, x1, y1] = if swapped { [b, a, d, c] } else { [a, b, c, d] };
        if crs.is_crs84() {
            // The same degrees, so the same rules, the antimeridian among them.
            return parse_bbox(&format!("{x0},{y0},{x1},{y1}"));
        }
        let shown: String = value.chars().take(120).collect();
        if x0 > x1 || y0 > y1 {
            return Err(Error::Invalid(text!(
                "Paramètre « bbox » : « {shown} » a son minimum au-dessus de son maximum. Attendu : x min, y min, x max, y max dans le système de « bbox-crs ».",
                "Parameter \"bbox\": the minimum of \"{shown}\" is above its maximum. Expected: min x, min y, max x, max y in the system of \"bbox-crs\"."
            )));
        }
        crs.envelope_to_crs84([x0, y0, x1, y1]).ok_or_else(|| {
            let name = crs.name();
            Error::Invalid(text!(
                "Paramètre « bbox » : « {shown} » est hors du domaine de {name} (« bbox-crs »).",
                "Parameter \"bbox\": \"{shown}\" lies outside the domain of {name} (\"bbox-crs\")."
            ))
        })
    }

    /// Decimals that coordinates are written with.
    pub(super) fn decimals(&self) -> Option<u8> {
        self.crs.as_ref().filter(|crs| !crs.is_geographic()).map(|_| METRE_DECIMALS)
    }

    /// The same system with x before y, as files have it whatever the authority says.
    #[must_use]
    pub fn with_x_first(self) -> Self {
        Self { authority: false, ..self }
    }

    /// The system as files spell it.
    pub(super) fn spelled(&self) -> Result<write::System> {
        let crs = self.crs.clone().unwrap_or_else(Crs::crs84);
        let unknown = || Error::broken(format!("no text of {}", crs.name()));
        let d = crs.definition().ok_or_else(unknown)?;
        Ok(write::System {
            code: d.code,
            geographic: crs.is_geographic(),
            wkt: d.wkt,
            esri: d.esri,
            projjson: d.projjson,
        })
    }

    /// A stored geometry (2D little-endian WKB in CRS84) in this system, a single one put into a
    /// multi one where that is wanted; `scratch` is what it may be written to.
    ///
    /// # Errors
    /// [`Error::Conflict`] where the system has no coordinates; [`Error::Fault`] when the bytes are
    /// no geometry.
    pub(super) fn show<'a>(
        &self,
        stored: &'a [u8],
        multi: bool,
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8]> {
        if self.crs.is_none() && !multi {
            return Ok(stored);
        }
        scratch.clear();
        scratch.extend_from_slice(stored);
        if multi {
            wkb::promote(scratch);
        }
        let Some(crs) = &self.crs else { return Ok(scratch) };
        let swapped = self.authority && crs.authority_is_lat_lon();
        let mapped = wkb::map_in_place(scratch, |c| -> std::result::Result<_, Outside> {
            let c = crs.point_from_crs84(c)?;
            Ok(if swapped { Coord { x: c.y, y: c.x } } else { c })
        });
        mapped.map_err(|e| match e {
            Unmapped::Broken(e) => Error::fault("a stored geometry cannot be read", e),
            Unmapped::Failed(outside) => {
                let place = outside.text(crs);
                Error::Conflict(text!(
                    "Paramètre « crs » : {fr}. Choisissez un autre système ou un territoire.",
                    "Parameter \"crs\": {en}. Choose another system or a territory.",
                    fr = place.fr,
                    en = place.en
                ))
            }
        })?;
        Ok(scratch)
    }
}

/// The systems with an EPSG code that are of use for an extent.
fn systems(extent: Option<&BBox>) -> impl Iterator<Item = Crs> {
    Crs::written().filter_map(Crs::from_epsg).filter(move |crs| used(crs, extent))
}

/// Whether some of an extent lies where a system is used: far from there it has no coordinates, or
/// numbers that mean nothing.
fn used(crs: &Crs, extent: Option<&BBox>) -> bool {
    extent.is_none_or(|extent| extent.parts().iter().any(|part| part.meets(&crs.area_of_use())))
}
