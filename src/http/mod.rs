//! HTTP: parses and negotiates, calls one service, answers. The only room that names axum; no
//! HTTP type goes further down, and no SQL, file or domain rule comes up here.
//!
//! Reading order: [`router`] (the table of contents), [`access`] (what every request passes
//! through), [`visit`] (a request as handlers see it), [`reply`] and [`problem`] (how answers and
//! failures leave), then one file per API. Pages are in [`pages`].

pub mod access;
mod access_log;
mod admin;
mod alerts;
mod archives;
mod assets;
mod body;
mod changes;
mod collections;
mod dataset_tiles;
mod exports;
mod feed;
mod filter;
mod forwarded;
pub mod harvest;
mod health;
mod history;
mod items;
mod landing;
pub mod links;
mod meters;
pub mod negotiate;
mod openapi;
mod orders;
mod pages;
pub mod params;
mod parts;
mod patience;
mod problem;
mod range;
mod reply;
mod resolve;
pub mod router;
mod schema;
mod scope;
mod server;
mod stats;
mod styles;
mod table;
mod territories;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tiles;
mod tilesets;
mod versions;
mod visit;
mod wfs;
mod when;

pub use router::router;
#[doc(hidden)] // what addresses hold, for `fuzz/`: a router around them would hide most of it
pub use scope::{Asked, Scopes};
pub use server::{listen, serve, signals};
#[doc(hidden)]
pub use when::Span;

use crate::{
    app::App,
    model::{Mode, Text},
    text,
};
use axum::response::Response;
use problem::Failure;
use sha2::{Digest, Sha256};
use std::sync::{Arc, atomic::AtomicBool};

/// What a handler gives.
type Answer = Result<Response, Failure>;

/// The long-lived parts of this room.
pub struct Site {
    /// Services, catalogue, reference.
    app: Arc<App>,
    /// Hash of what shapes documents besides data: program version, layer files, titles.
    stamp: String,
    /// Style documents of the operator.
    styles: styles::Styles,
    /// Room for the bodies of requests.
    bodies: body::Allowance,
    /// Territories already understood.
    scopes: scope::Scopes,
    /// Filters already understood.
    filters: filter::Filters,
    /// The API definition, by the state it was written for.
    definitions: openapi::Definitions,
    /// Where access lines go.
    log: Option<access_log::AccessLog>,
    /// Counters and histograms.
    meters: meters::Meters,
    /// Path of `public_url`, with both slashes, when it is not `/`.
    prefix: Option<String>,
    /// What opens `/metrics` and `/admin` to the public, when something does.
    door: Option<admin::Door>,
    /// Whether the server is about to end: balancers are told to send no more.
    leaving: AtomicBool,
}

impl Site {
    /// Over the application's parts. Reads the style documents.
    fn new(app: Arc<App>) -> Self {
        let settings = &app.settings;
        let mut hash = Sha256::new();
        hash.update(env!("CARGO_PKG_VERSION"));
        hash.update(format!("{:?}{:?}", settings.layers, settings.archives));
        hash.update(format!("{:?}{:?}", settings.server.title, settings.server.description));
        for level in &settings.levels {
            let (level, lang) = (level.level, crate::model::Lang::Fr);
            hash.update(format!("{level} {} {}", level.label(lang), level.plural(lang)));
        }
        let stamp = hash.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect();
        let prefix = settings.server.public_url.as_deref().and_then(|url| {
            let (_, rest) = url.split_once("://")?;
            let (_, path) = rest.split_once('/')?;
            (!path.is_empty()).then(|| format!("/{}/", path.trim_end_matches('/')))
        });
        Self {
            styles: styles::Styles::read(&settings.styles),
            bodies: body::Allowance::new(settings.server.max_body),
            scopes: scope::Scopes::default(),
            filters: filter::Filters::default(),
            definitions: openapi::Definitions::default(),
            log: settings.server.access_log.then(access_log::AccessLog::to_stderr),
            meters: meters::Meters::new(),
            door: settings.server.admin_token.as_ref().and_then(admin::Door::read),
            stamp,
            prefix,
            leaving: AtomicBool::new(false),
            app,
        }
    }

    /// Root of the service, ending in `/`: `public_url`, else what a trusted proxy told, else by
    /// the `Host` asked for, which was checked by [`access`].
    fn base(&self, told: Option<&str>, host: Option<&str>) -> String {
        if let (None, Some(told)) = (&self.app.settings.server.public_url, told) {
            return told.to_owned();
        }
        match (&self.app.settings.server.public_url, host) {
            (Some(url), _) => format!("{}/", url.trim_end_matches('/')),
            (None, Some(host)) => format!("http://{host}/"),
            (None, None) => format!("http://{}/", self.app.settings.server.listen),
        }
    }

    /// Words for a scope, for titles.
    fn scope_title(&self, scope: &scope::Scope) -> Text {
        let names: Vec<String> = scope.resolved.iter().map(|r| self.name(&r.code)).collect();
        let mut names = names.join(" + ");
        if let Some(year) = scope.vintage {
            names.push_str(&format!(" {year}"));
        }
        match scope.mode {
            _ if scope.clip.is_some() => text!("{names}, découpé", "{names}, cut"),
            Mode::Concerns => text!("{names}, sélectionné", "{names}, selected"),
            Mode::Within => text!("{names}, contenu", "{names}, contained"),
        }
    }

    /// A territory's name with its code: `Nord (dep:59)`.
    fn name(&self, code: &crate::model::TerritoryCode) -> String {
        let id = code.to_string();
        let reference = &self.app.world().reference;
        let name = reference.get(code).map(|territory| territory.name);
        match name.or_else(|| reference.dissolved(code).map(|gone| gone.name)) {
            Some(name) => format!("{name} ({id})"),
            None => id,
        }
    }
}
