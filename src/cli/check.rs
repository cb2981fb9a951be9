//! `socle check`: is the configuration right, and is the store whole?

use super::out;
use crate::{
    blobs::Manners,
    config::{HarvestSettings, Settings, StoreKind},
    error::Result,
    import,
    model::LayerDef,
    store::{Store, embedded, postgis::PostgisStore},
    territory::{LevelReport, Reference},
    text,
    tiles::archives::Archives,
};
use std::process::ExitCode;

pub(super) async fn run(settings: &Settings) -> Result<ExitCode> {
    let lang = out::lang();
    // The settings are checked: loading them was the check.
    let count = settings.layers.len();
    let words = text!("Configuration : {count} couches.", "Configuration: {count} layers.");
    out::line(words.get(lang));
    let (_, reports) = Reference::builtin().with_levels(&settings.levels)?;
    for line in reports.iter().flat_map(LevelReport::lines) {
        out::line(line.get(lang));
    }
    let mut failed = false;
    let database = match &settings.store.kind {
        StoreKind::Embedded => None,
        StoreKind::Postgis(database) => Some(PostgisStore::open(database)?),
    };
    for def in &settings.layers {
        let id = &def.id;
        if let (true, Some(database)) = (def.is_live(), &database) {
            failed |= !table(database, def).await?;
            continue;
        }
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
    failed |= !archives(settings).await?;
    failed |= !tables(settings).await?;
    Ok(if failed { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// Says which archives of tiles can be read.
async fn archives(settings: &Settings) -> Result<bool> {
    let HarvestSettings { user_agent, allow, .. } = &settings.harvest;
    let manners = Manners { user_agent, allow };
    let (archives, lang) = (Archives::new(&settings.archives, 0, manners)?, out::lang());
    let mut all = true;
    for archive in archives.iter() {
        let id = &archive.def.id;
        match archive.opened().await {
            Ok(opened) => {
                let (min, max) = opened.zooms();
                let words = text!(
                    "✓ {id} : archive de tuiles, zooms {min} à {max}",
                    "✓ {id}: an archive of tiles, zooms {min} to {max}"
                );
                out::line(words.get(lang));
            }
            Err(e) => {
                all = false;
                out::line(&format!("✗ {id} : {}", e.chain()));
            }
        }
    }
    Ok(all)
}

/// Says which tables of the COG are whole, where any was loaded.
async fn tables(settings: &Settings) -> Result<bool> {
    let there = match settings.store.kind {
        StoreKind::Embedded => settings.store.path.exists(),
        StoreKind::Postgis(_) => true,
    };
    if !there {
        return Ok(true);
    }
    let (store, mut all) = (super::store(settings)?, true);
    let state = store.reference().await?;
    let mut ids: Vec<&str> = state.tables.iter().map(|table| table.id.as_str()).collect();
    ids.extend(state.current.as_deref().filter(|id| state.table(id).is_none()));
    for id in ids {
        let known = Reference::builtin();
        let readable = import::table(&*store, &state, Some(id), &known, &settings.levels).await;
        // The next program does not bring the one that this program knows by itself.
        let whole = match (readable, state.table(id)) {
            (Ok(_), Some(_)) => import::kept(&*store, &state, id).await.map(drop),
            (readable, _) => readable.map(drop),
        };
        match whole {
            Ok(()) => out::line(&format!("✓ {id}")),
            Err(e) => {
                all = false;
                out::line(&format!("✗ {id} : {}", e.chain()));
            }
        }
    }
    Ok(all)
}

/// Says whether a published table can be served, and what that costs.
async fn table(database: &PostgisStore, def: &LayerDef) -> Result<bool> {
    let (id, lang) = (&def.id, out::lang());
    let at = database.current().await?.remove(id);
    let Some(at) = at else {
        let why = database.refused(id).unwrap_or_default();
        out::line(&format!("✗ {id} : {}", why.get(lang)));
        return Ok(false);
    };
    let count = at.version.count;
    let words = text!("✓ {id} : table de {count} lignes", "✓ {id}: a table of {count} rows");
    out::line(words.get(lang));
    for notice in at.version.live.iter().flat_map(|live| &live.notices) {
        out::line(&format!("  {}", notice.get(lang)));
    }
    Ok(true)
}
