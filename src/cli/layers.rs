//! `socle layers`: what is declared, and what is published of it.

use super::{out, store};
use crate::{config::Settings, error::Result, model::Lang};
use std::process::ExitCode;

pub(super) async fn run(settings: &Settings) -> Result<ExitCode> {
    let lang = out::lang();
    let current = store(settings)?.current().await?;
    for def in &settings.layers {
        let state = match current.get(&def.id) {
            Some(at) => format!("{:>9}  {}", at.version.count, at.version.id),
            None if def.derived().is_some() => match lang {
                Lang::Fr => "        –  pas encore dérivée".to_owned(),
                Lang::En => "        –  not derived yet".to_owned(),
            },
            None if lang == Lang::Fr => "        –  jamais moissonnée".to_owned(),
            None => "        –  never harvested".to_owned(),
        };
        out::line(&format!("{:24} {state}  {}", def.id.as_str(), def.title.get(lang)));
    }
    Ok(ExitCode::SUCCESS)
}
