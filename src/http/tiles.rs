//! Tiles in both orders. OGC: matrix/row/column, so z/y/x; XYZ: z/x/y, with `.mvt` or `.pbf`.
//! Nothing is worked out before the entity tag has been compared.

use super::{
    Answer, access::TERRITORY_NOTICE, archives, filter, links::media, negotiate, params::name,
    reply, router::path as route, tilesets::known_grid, visit::Visit,
};
use crate::{
    catalog::Layer,
    error::{Error, Result},
    model::{Grid, TileId},
    query::Filter,
    text,
    tiles::{self, Tile, Tiles},
};
use axum::{
    body::Body,
    extract::Path,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::time::Duration;

/// Parameters of a tile.
pub const KNOWN: [&str; 10] = [
    name::TERRITORY,
    name::TERRITOIRE,
    name::MODE,
    name::VINTAGE,
    name::V,
    name::F,
    name::FILTER,
    name::FILTER_LANG,
    name::FILTER_CRS,
    name::DATETIME,
];
/// Headers of a tile's answer, with those that every answer gets: room for all at once.
const HEADERS: usize = 14;
/// A versioned URL never changes its bytes.
pub(super) const IMMUTABLE: HeaderValue =
    HeaderValue::from_static("public, max-age=31536000, immutable");
/// Says whether a tile holds anything (OGC API Tiles, recommendation).
const HINT: HeaderName = HeaderName::from_static("oatiles-hint");

/// `GET /collections/{id}/tiles/{tms}/{z}/{row}/{col}`
pub async fn ogc(
    Path((id, tms, z, row, col)): Path<(String, String, String, String, String)>,
    visit: Visit,
) -> Answer {
    let grid = known_grid(&tms)?;
    let tile = address(grid, &z, &col, &row)?;
    answer(&id, tile, &visit).await
}

/// `GET /collections/{id}/tiles/{z}/{x}/{y}.mvt`
pub async fn xyz(
    Path((id, z, x, y)): Path<(String, String, String, String)>,
    visit: Visit,
) -> Answer {
    let y = row_of_xyz(&y)?;
    let tile = address(Grid::WEB_MERCATOR, &z, &x, y)?;
    answer(&id, tile, &visit).await
}

/// The row of an XYZ address, whose last part ends in `.mvt` or `.pbf`.
pub(super) fn row_of_xyz(last: &str) -> Result<&str> {
    last.strip_suffix(".mvt").or_else(|| last.strip_suffix(".pbf")).ok_or_else(|| {
        Error::NotFound(text!(
            "Adresse de tuile XYZ : …/tiles/z/x/y.mvt (ou .pbf). Dans l'ordre OGC : …/tiles/WebMercatorQuad/z/ligne/colonne.",
            "XYZ tile address: …/tiles/z/x/y.mvt (or .pbf). In OGC order: …/tiles/WebMercatorQuad/z/row/column."
        ))
    })
}

/// A tile address below the root, and the route it belongs to, read without the router: tiles are
/// nearly all of what a map asks for, and the router copies every part of a path. What is not a
/// plain, well-formed tile address is left to it, with its clear refusals.
pub fn plain(path: &str) -> Option<(&str, TileId, &'static str)> {
    let (id, rest) = path.strip_prefix("/collections/")?.split_once('/')?;
    let rest = rest.strip_prefix("tiles/")?;
    let number = |text: &str| -> Option<u32> {
        let digits =
            !text.is_empty() && text.len() < 10 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    let mut parts = rest.split('/');
    let first = parts.next()?;
    let (route, grid, z, x, y) = if let Some(grid) = Grid::of(first) {
        let (z, row, col) = (parts.next()?, parts.next()?, parts.next()?);
        (route::TILE, grid, z, number(col)?, number(row)?)
    } else {
        let (x, y) = (parts.next()?, parts.next()?);
        let y = y.strip_suffix(".mvt").or_else(|| y.strip_suffix(".pbf"))?;
        (route::TILE_XYZ, Grid::WEB_MERCATOR, first, number(x)?, number(y)?)
    };
    if parts.next().is_some() || id.contains('%') {
        return None;
    }
    Some((id, TileId::within(grid, u8::try_from(number(z)?).ok()?, x, y)?, route))
}

/// A tile's address from its three numbers.
pub(super) fn address(grid: Grid, z: &str, x: &str, y: &str) -> Result<TileId> {
    let number = |text: &str| -> Result<u64> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse::<u64>() {
            Ok(n) if digits => Ok(n),
            Err(_) if digits => Ok(u64::MAX),
            _ => {
                let shown: String = text.chars().take(40).collect();
                Err(Error::Invalid(text!(
                    "Adresse de tuile : « {shown} » n'est pas un entier.",
                    "Tile address: \"{shown}\" is not a whole number."
                )))
            }
        }
    };
    let (z, x, y) = (number(z)?, number(x)?, number(y)?);
    let tile = match (u8::try_from(z), u32::try_from(x), u32::try_from(y)) {
        (Ok(z), Ok(x), Ok(y)) => TileId::within(grid, z, x, y),
        _ => None,
    };
    tile.ok_or_else(|| {
        let of = grid.definition();
        let (id, deepest) = (of.id, of.deepest);
        let times = |n: u32| if n == 1 { String::new() } else { format!("{n} × ") };
        let (rows, columns) = (times(of.rows), times(of.columns));
        Error::NotFound(text!(
            "Tuile hors de la grille {id} : zoom de 0 à {deepest}, ligne de 0 à {rows}2^zoom − 1, colonne de 0 à {columns}2^zoom − 1.",
            "Tile outside the grid {id}: zoom 0 to {deepest}, row 0 to {rows}2^zoom − 1, column 0 to {columns}2^zoom − 1."
        ))
    })
}

/// Answers a tile address.
pub async fn answer(id: &str, tile: TileId, visit: &Visit) -> Answer {
    visit.params.check(&KNOWN, &[])?;
    if let Some(archive) = visit.archive(id)? {
        return Box::pin(archives::tile(archive, tile, visit)).await;
    }
    let form = Form::read(visit)?;
    let layer = visit.layer(id)?;
    let asked = visit.asked_territory()?;
    let selection = visit.selection(asked.as_ref());
    let outline = visit.outline(asked.as_ref())?;
    let wanted =
        Filter { selection, expression: filter::read(visit, &layer)?, ..Filter::default() };
    let live = layer.at()?.version.live.is_some();
    let mut cache = None;
    if let Some(version) = visit.params.get(name::V) {
        if version != layer.at()?.key() {
            return Ok(reply::redirect(&visit.address(&[name::V], &[]), "public, max-age=60"));
        }
        // The name does not hold the state of the border.
        cache = (!live && outline.is_none()).then_some(IMMUTABLE);
    }
    let etag = form.quoted(&Tiles::etag_where(layer.at()?, tile, &wanted, outline.as_ref()));
    let mut response = if negotiate::none_match(visit.header(header::IF_NONE_MATCH), &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let tiles = &visit.site.app.tiles;
        let drawn = tiles.tile_where(&layer, tile, &wanted, outline.as_ref()).await?;
        form.filled(tile, drawn.as_deref())?
    };
    let cache = cache.unwrap_or_else(|| stable([&*layer]));
    dress(&mut response, etag, cache, visit.notice(asked.as_deref()));
    Ok(response)
}

/// How long a tile under a stable address may be kept: as the most impatient of its layers says.
/// A stable URL follows a publication within a minute, unless the layer says otherwise; a cache in
/// front may go on giving what it has for a day when there is nothing better (RFC 5861). A live
/// layer may be edited at any moment.
pub(super) fn stable<'a>(layers: impl IntoIterator<Item = &'a Layer>) -> HeaderValue {
    let of = |layer: &Layer| age(layer.def.max_age, layer.def.is_live());
    let least = |a: (u64, bool), b: (u64, bool)| (a.0.min(b.0), a.1 || b.1);
    said(layers.into_iter().map(of).reduce(least).unwrap_or(USUAL))
}

/// The same of what may be kept for so long, or as usual.
pub(super) fn kept_for(max_age: Option<Duration>, live: bool) -> HeaderValue {
    said(age(max_age, live))
}

/// Seconds that a tile may be kept, and whether it may be edited at any moment.
const USUAL: (u64, bool) = (60, false);

fn age(max_age: Option<Duration>, live: bool) -> (u64, bool) {
    match (max_age, live) {
        (Some(age), live) => (age.as_secs(), live),
        (None, true) => (5, true),
        (None, false) => USUAL,
    }
}

fn said(age: (u64, bool)) -> HeaderValue {
    /// Those that nearly every tile has, looked at once: they would be gone through byte by byte.
    const AS_USUAL: HeaderValue = HeaderValue::from_static(
        "public, max-age=60, stale-while-revalidate=300, stale-if-error=86400",
    );
    const LIVE: HeaderValue = HeaderValue::from_static("public, max-age=5");
    match age {
        USUAL => AS_USUAL,
        (5, true) => LIVE,
        (age, true) => reply::for_so_long(age, ""),
        (age, false) => {
            let (late, broken) = (5 * age, age.max(86_400));
            let more = format!(", stale-while-revalidate={late}, stale-if-error={broken}");
            reply::for_so_long(age, &more)
        }
    }
}

/// The headers every answer to a tile address carries.
pub(super) fn dress(
    response: &mut Response,
    etag: String,
    cache: HeaderValue,
    notice: Option<String>,
) {
    let headers = response.headers_mut();
    headers.reserve(HEADERS);
    if let Ok(etag) = HeaderValue::from_maybe_shared(etag.into_bytes()) {
        headers.insert(header::ETAG, etag);
    }
    headers.insert(header::CACHE_CONTROL, cache);
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Some(notice) = notice.and_then(|n| HeaderValue::from_str(&n).ok()) {
        headers.insert(TERRITORY_NOTICE, notice);
    }
}

/// A tile's answer: one of its two encodings, made beforehand.
fn full(tile: &Tile, gzip: bool) -> Response {
    let bytes = if gzip { tile.gzip.clone() } else { tile.plain.clone() };
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.reserve(HEADERS);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media::MVT));
    if gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// How a tile is written: MVT, or GeoJSON to look into it. `Accept` is not judged: map clients
/// send anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// MVT, with gzip or without.
    Mvt { gzip: bool },
    /// GeoJSON.
    Json,
}

impl Form {
    /// The names in `f`.
    pub(super) const NAMES: [&str; 2] = ["mvt", "geojson"];

    /// Reads `f`.
    ///
    /// # Errors
    /// [`Error::Invalid`], listing the formats.
    pub(super) fn read(visit: &Visit) -> Result<Self> {
        match visit.params.get(name::F) {
            None | Some("mvt" | "pbf") => Ok(Self::Mvt { gzip: visit.gzip() }),
            Some("geojson" | "json") => Ok(Self::Json),
            Some(other) => {
                let shown: String = other.chars().take(40).collect();
                let list = Self::NAMES.join(", ");
                Err(Error::Invalid(text!(
                    "Paramètre « f » : « {shown} ». Formats d'une tuile : {list}.",
                    "Parameter \"f\": \"{shown}\". Formats of a tile: {list}."
                )))
            }
        }
    }

    /// The quoted entity tag of a tile; distinct per form.
    pub(super) fn quoted(self, tag: &str) -> String {
        let form = match self {
            Self::Mvt { gzip: true } => "-gz",
            Self::Mvt { gzip: false } => "",
            Self::Json => "-json",
        };
        ["\"", tag, form, "\""].concat()
    }

    /// The answer for a tile, or for an empty one.
    pub(super) fn filled(self, id: TileId, tile: Option<&Tile>) -> Result<Response> {
        match (self, tile) {
            (Self::Mvt { gzip }, Some(tile)) => Ok(full(tile, gzip)),
            (Self::Mvt { .. }, None) => {
                let mut response = StatusCode::NO_CONTENT.into_response();
                response.headers_mut().insert(HINT, HeaderValue::from_static("empty"));
                Ok(response)
            }
            (Self::Json, tile) => {
                let bytes = tile.map(|tile| tile.geojson(id)).transpose()?;
                let mut response = Response::new(Body::from(bytes.unwrap_or_else(tiles::nothing)));
                let media = HeaderValue::from_static(media::GEOJSON);
                response.headers_mut().insert(header::CONTENT_TYPE, media);
                Ok(response)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::router, *};

    #[test]
    fn a_tile_is_sent_in_the_encoding_made_beforehand() {
        let tile = Tile { plain: "plain".into(), gzip: "packed".into() };
        let (plain, gzip) = (full(&tile, false), full(&tile, true));
        assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
        assert_eq!(gzip.headers()[header::CONTENT_ENCODING], "gzip");
        assert_eq!(gzip.headers()[header::CONTENT_TYPE], "application/vnd.mapbox-vector-tile");
        let size = |r: &Response| axum::body::HttpBody::size_hint(r.body()).exact();
        assert_eq!((size(&plain), size(&gzip)), (Some(5), Some(6)));
    }

    #[test]
    fn plain_addresses_are_those_the_router_reads() {
        let tile = TileId::mercator(3, 4, 2);
        let reads = |path: &str, tile: TileId| {
            let (id, found, route) = plain(path).unwrap();
            assert_eq!((id, found), ("a", tile), "{path}");
            let known = router::position(path).map(|at| router::path::ALL[at]);
            assert_eq!(Some(route), known, "{path}");
        };
        reads("/collections/a/tiles/3/4/2.mvt", tile);
        reads("/collections/a/tiles/3/4/2.pbf", tile);
        reads("/collections/a/tiles/WebMercatorQuad/3/2/4", tile);
        let wide = TileId::within(Grid::of("WorldCRS84Quad").unwrap(), 3, 14, 2).unwrap();
        reads("/collections/a/tiles/WorldCRS84Quad/3/2/14", wide);
        for other in [
            "/collections/a/tiles/3/4/2",
            "/collections/a/tiles/3/8/2.mvt",
            "/collections/a/tiles/3/4/2.mvt/x",
            "/collections/a/tiles/+3/4/2.mvt",
            "/collections/a%20b/tiles/3/4/2.mvt",
            "/collections/a/tiles/Lambert/3/2/4",
            "/collections/a/tiles/3/4/99999999999.mvt",
            "/collections/a/tiles",
        ] {
            assert_eq!(plain(other), None, "{other}");
        }
    }

    #[test]
    fn addresses_are_read_or_refused() {
        let address = |z, x, y| super::address(Grid::WEB_MERCATOR, z, x, y);
        assert_eq!(address("3", "4", "2").unwrap(), TileId::mercator(3, 4, 2));
        let crs84 = Grid::of("WorldCRS84Quad").unwrap();
        let found = super::address(crs84, "3", "15", "7").unwrap();
        assert_eq!(Some(found), TileId::within(crs84, 3, 15, 7));
        let refused = super::address(crs84, "3", "0", "8").unwrap_err().to_string();
        assert!(refused.contains("2 × 2^zoom"), "{refused}");
        for outside in [
            ("3", "8", "0"),
            ("3", "0", "8"),
            ("25", "0", "0"),
            ("300", "0", "0"),
            ("1", "2147483647", "0"),
            ("1", "99999999999999999999999", "0"),
        ] {
            let found = address(outside.0, outside.1, outside.2);
            assert!(matches!(found, Err(Error::NotFound(_))), "{outside:?}");
        }
        for unreadable in
            [("a", "0", "0"), ("1", "-1", "0"), ("1", "0", ""), ("1", "0", "0.5"), ("+1", "0", "0")]
        {
            let found = address(unreadable.0, unreadable.1, unreadable.2);
            assert!(matches!(found, Err(Error::Invalid(_))), "{unreadable:?}");
        }
    }
}
