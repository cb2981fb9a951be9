//! Scripts and styles of pages, from `web/dist` inside the program. Their addresses carry a hash
//! of their bytes and never change; without them pages work, plainly and without a map.

use super::{Answer, params::name, visit::Visit};
use crate::{error::Error, text};
use axum::{
    body::Body,
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use rust_embed::RustEmbed;
use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};
use std::{
    io::Write,
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/web/dist/"]
#[allow_missing = true]
struct Dist;

/// The plain look of pages when `web` was not built.
const PLAIN: &str = "plain.css";
const PLAIN_CSS: &str = include_str!("pages/plain.css");

/// An asset, ready to send.
struct Asset {
    bytes: Bytes,
    gzip: Bytes,
    hash: String,
}

type Kept = RwLock<FxHashMap<String, Arc<Asset>>>;
static KEPT: LazyLock<Kept> = LazyLock::new(Kept::default);

/// An asset by its file name; read and compressed once.
fn find(file: &str) -> Option<Arc<Asset>> {
    if let Some(kept) = KEPT.read().unwrap_or_else(PoisonError::into_inner).get(file) {
        return Some(kept.clone());
    }
    let bytes = if file == PLAIN {
        Bytes::from_static(PLAIN_CSS.as_bytes())
    } else {
        // Unknown names are not kept: they come from outside and have no end.
        Bytes::from(Dist::get(file)?.data.into_owned())
    };
    let hash = Sha256::digest(&bytes).iter().take(6).map(|b| format!("{b:02x}")).collect();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let gzip = encoder.write_all(&bytes).and_then(|()| encoder.finish()).ok()?;
    let asset = Arc::new(Asset { bytes, gzip: gzip.into(), hash });
    let mut kept = KEPT.write().unwrap_or_else(PoisonError::into_inner);
    kept.insert(file.to_owned(), asset.clone());
    Some(asset)
}

/// The address of an asset, when it is there.
pub fn url(base: &str, file: &str) -> Option<String> {
    find(file).map(|asset| format!("{base}assets/{file}?h={}", asset.hash))
}

/// The style sheet of pages: the built one, else the plain one.
pub fn style_sheet(base: &str) -> String {
    url(base, "socle.css").or_else(|| url(base, PLAIN)).unwrap_or_default()
}

/// `GET /assets/{file}`
pub async fn asset(Path(file): Path<String>, visit: Visit) -> Answer {
    const HASH: &str = "h";
    visit.params.check(&[HASH, name::V], &[])?;
    let Some(asset) = find(&file) else {
        return Err(Error::NotFound(text!("Fichier inconnu.", "Unknown file.")).into());
    };
    let gzip = visit.gzip();
    let etag = format!("\"{}{}\"", asset.hash, if gzip { "-gz" } else { "" });
    let mut response = if super::negotiate::none_match(visit.header(header::IF_NONE_MATCH), &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let bytes = if gzip { asset.gzip.clone() } else { asset.bytes.clone() };
        let mut response = Response::new(Body::from(bytes));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(&file)));
        if gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    };
    let headers = response.headers_mut();
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    let cache = if visit.params.get(HASH) == Some(asset.hash.as_str()) {
        "public, max-age=31536000, immutable"
    } else {
        "public, max-age=300"
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    Ok(response)
}

fn media_type(file: &str) -> &'static str {
    match file.rsplit('.').next().unwrap_or_default() {
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
