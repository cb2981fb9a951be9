//! `socle versions`: the versions kept of a layer, oldest first, the current one marked: how many
//! features each has, and how many it added, removed and changed when it was published. A delivery
//! that waits comes last, with what holds it.

use super::{out, store};
use crate::{
    config::Settings,
    error::{Error, Result},
    model::LayerId,
    text,
};
use std::process::ExitCode;

/// Arguments of `socle versions`.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  socle versions communes")]
pub(super) struct Args {
    /// The layer.
    layer: String,
}

pub(super) async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    let layer = known(settings, &args.layer)?;
    let store = store(settings)?;
    let current = store.current().await?.remove(&layer);
    let history = store.history(&layer).await?;
    for v in store.versions(&layer).await? {
        let in_force = current.as_ref().is_some_and(|at| at.version.id == v.id);
        let mark = if in_force { '*' } else { ' ' };
        // The last time it was published; a version can come back.
        let changes = history.iter().find(|head| head.version == v.id);
        let changes = match changes {
            Some(head) => format!("+{} −{} ~{}", head.added, head.removed, head.changed),
            None => "–".to_owned(), // published before differences were kept
        };
        out::line(&format!("{mark} {}  {:>9}  {changes:<20}  {}", v.id, v.count, v.source.origin));
    }
    if let Some(held) = store.held(&layer).await? {
        let (v, lang) = (&held.version, out::lang());
        let since = held.hold.at.strftime("%F %H:%M UTC");
        let words = text!("retenue depuis le {since}", "held since {since}");
        out::line(&format!(
            "! {}  {:>9}  {:<20}  {}",
            v.id,
            v.count,
            words.get(lang),
            v.source.origin
        ));
        out::held(&layer, &held, lang);
    }
    Ok(ExitCode::SUCCESS)
}

/// A declared layer by its name.
pub(super) fn known(settings: &Settings, name: &str) -> Result<LayerId> {
    let found = settings.layers.iter().find(|def| def.id.as_str() == name);
    found.map(|def| def.id.clone()).ok_or_else(|| {
        let known: Vec<&str> = settings.layers.iter().map(|d| d.id.as_str()).collect();
        let known = known.join(", ");
        Error::Invalid(text!(
            "Couche inconnue : « {name} ». Couches déclarées : {known}.",
            "Unknown layer: \"{name}\". Layers declared: {known}."
        ))
    })
}
