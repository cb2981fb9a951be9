//! `socle check`: is the configuration right, and is the store whole?

use super::out;
use crate::{
    config::{Settings, StoreKind},
    error::Result,
    store::{embedded, postgis::PostgisStore},
    text,
};
use std::process::ExitCode;

pub(super) async fn run(settings: &Settings) -> Result<ExitCode> {
    let lang = out::lang();
    // The settings are checked: loading them was the check.
    let count = settings.layers.len();
    let words = text!("Configuration : {count} couches.", "Configuration: {count} layers.");
    out::line(words.get(lang));
    let mut failed = false;
    let database = match &settings.store.kind {
        StoreKind::Embedded => None,
        StoreKind::Postgis(database) => Some(PostgisStore::open(database)?),
    };
    for def in &settings.layers {
        let id = &def.id;
        let checked = match &database {
            None => embedded::check_layer(&settings.store.path, id),
            Some(database) => database.check_layer(id).await,
        };
        match checked {
            Ok(n) => {
                let words = text!("✓ {id} (versions : {n})", "✓ {id} (versions: {n})");
                out::line(words.get(lang));
            }
            Err(e) => {
                failed = true;
                out::line(&format!("✗ {id} : {}", e.chain()));
            }
        }
    }
    Ok(if failed { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
