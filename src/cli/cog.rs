//! `socle cog`: the territory reference and its versions.

use super::{jobs, out, progress::Shown};
use crate::{
    config::{CogSettings, Settings},
    error::{Error, Result},
    import::cog_files,
    jobs::{Jobs, Loaded, Preview, Run},
    model::{Progress, Text},
    territory::Reference,
    text,
};
use std::{path::PathBuf, process::ExitCode, sync::Arc};

/// Codes shown of a list.
const SHOWN: usize = 12;

/// Arguments of `socle cog`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  socle cog load v_commune_2027.csv v_mvtcommune_2027.csv v_departement_2027.csv v_region_2027.csv v_arrondissement_2027.csv\n  socle cog load package.json data/*.json\n  socle cog load\n  socle cog preview\n  socle cog apply\n  socle cog undo\n\nFiles are INSEE's CSV files of the COG, or the JSON files of the npm package\n@etalab/decoupage-administratif; what they do not say (INSEE's: EPCI, populations, postal codes) is\ntaken from the table in force. Loading changes nothing; applying flips the reference and what is\nattached to it in one step, also in running servers."
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make a table from files and keep it; it changes nothing yet.
    Load {
        /// INSEE's CSV files, or the package's JSON files, or zips of them; those of [cog] in the
        /// configuration when none is named.
        files: Vec<PathBuf>,
        /// The vintage, when no file names it.
        #[arg(long)]
        vintage: Option<u16>,
    },
    /// Tell what a table would change: communes, EPCI, attachments of layers.
    Preview {
        /// The table; the newest loaded when not given.
        id: Option<String>,
    },
    /// Put a table in force.
    Apply {
        /// The table; the newest loaded when not given. `builtin` is the program's own.
        id: Option<String>,
    },
    /// Put what was in force before in force again.
    Undo,
    /// List the tables.
    List,
}

pub(super) async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    let jobs = jobs(settings)?;
    let progress: Arc<dyn Progress> = Arc::new(Shown::new(out::lang()));
    match args.command {
        Command::Load { files, vintage } if files.is_empty() => {
            let mut cog = settings.cog.clone();
            cog.vintage = vintage.or(cog.vintage);
            fetch(&jobs, &cog).await?;
        }
        Command::Load { files, vintage } => load(&jobs, &files, vintage).await?,
        Command::Preview { id } => tell(&jobs.preview_reference(id.as_deref(), &progress).await?),
        Command::Apply { id } => {
            let (reference, runs) = jobs.apply_reference(id.as_deref(), &progress).await?;
            return Ok(in_force(&reference, &runs));
        }
        Command::Undo => {
            let (reference, runs) = jobs.undo_reference(&progress).await?;
            return Ok(in_force(&reference, &runs));
        }
        Command::List => list(&jobs).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn say(text: &Text) {
    out::line(text.get(out::lang()));
}

async fn load(jobs: &Jobs, files: &[PathBuf], vintage: Option<u16>) -> Result<()> {
    let mut read = Vec::with_capacity(files.len());
    for path in files {
        let shown = path.display();
        let bytes = std::fs::read(path).map_err(|cause| {
            Error::Invalid(text!(
                "« {shown} » ne se lit pas : {cause}",
                "\"{shown}\" cannot be read: {cause}"
            ))
        })?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        read.extend(cog_files(name, bytes).map_err(|e| match e {
            Error::Refused(t) => Error::Refused(text!(
                "« {shown} » : {fr}",
                "\"{shown}\": {en}",
                fr = t.fr,
                en = t.en
            )),
            other => other,
        })?);
    }
    tell_of(&jobs.load_reference(read, vintage).await?);
    Ok(())
}

/// Fetches what the configuration names.
async fn fetch(jobs: &Jobs, cog: &CogSettings) -> Result<()> {
    if cog.sources.is_empty() {
        return Err(Error::Invalid(text!(
            "aucun fichier n'est donné, et la configuration n'a pas de [[cog.sources]]",
            "no file is given, and the configuration has no [[cog.sources]]"
        )));
    }
    if let Some(loaded) = jobs.fetch_reference(cog, &mut Vec::new()).await? {
        tell_of(&loaded);
    }
    Ok(())
}

/// Tells of a table that was made.
fn tell_of(loaded: &Loaded) {
    for note in &loaded.notes {
        say(note);
    }
    let (id, communes) = (&loaded.table.id, loaded.table.communes);
    say(&match loaded.already {
        true => text!("{id} : déjà chargée.", "{id}: loaded already."),
        false => text!(
            "{id} : {communes} communes, chargée. Regardez (« socle cog preview »), puis « socle cog apply ».",
            "{id}: {communes} communes, loaded. Look (\"socle cog preview\"), then \"socle cog apply\"."
        ),
    });
}

/// Tells what is in force now, and which layers did not follow: then the command failed.
fn in_force(reference: &Reference, runs: &[Run]) -> ExitCode {
    let (id, mut code) = (reference.id(), ExitCode::SUCCESS);
    for run in runs {
        if let Err(e) = &run.outcome {
            code = ExitCode::from(1);
            let layer = &run.layer;
            say(&text!("{layer} : n'a pas suivi : {e}", "{layer}: did not follow: {e}"));
        }
    }
    say(&text!("{id} est en vigueur.", "{id} is in force."));
    code
}

async fn list(jobs: &Jobs) -> Result<()> {
    let state = jobs.store.reference().await?;
    let builtin = Reference::builtin();
    let mark = |here: bool| if here { "*" } else { " " };
    let (id, source) = (builtin.id(), builtin.source());
    let ours = mark(state.current.as_deref().is_none_or(|current| current == builtin.id()));
    say(&text!(
        "{ours} {id}  {source}  (celle du programme)",
        "{ours} {id}  {source}  (the program's own)"
    ));
    for table in state.tables.iter().filter(|table| table.id != builtin.id()) {
        let here = mark(state.current.as_ref() == Some(&table.id));
        let (id, source, loaded) = (&table.id, &table.source, table.loaded_at);
        let (mut fr, mut en) = match table.compiled {
            true => ("celle d'un programme précédent".into(), "an earlier program's own".into()),
            false => (format!("chargée le {loaded}"), format!("loaded {loaded}")),
        };
        if let Some(applied) = table.applied_at {
            fr.push_str(&format!(", appliquée le {applied}"));
            en.push_str(&format!(", applied {applied}"));
        }
        say(&text!("{here} {id}  {source}  ({fr})", "{here} {id}  {source}  ({en})"));
    }
    Ok(())
}

fn tell(preview: &Preview) {
    let d = &preview.differences;
    let (from, to, (before, after)) = (preview.from.id(), preview.to.id(), d.communes);
    say(&text!(
        "{from} → {to} : {before} → {after} communes.",
        "{from} → {to}: {before} → {after} communes."
    ));
    let label = |reference: &Reference, code: &crate::model::TerritoryCode| {
        format!("{} {}", code.code, reference.name(code))
    };
    let lines = |fr: &str, en: &str, items: Vec<String>| {
        let (n, more) = (items.len(), if items.len() > SHOWN { " …" } else { "" });
        if n > 0 {
            let shown = items.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(" ; ");
            say(&text!("{fr} ({n}) : {shown}{more}", "{en} ({n}): {shown}{more}"));
        }
    };
    let (old, new) = (&preview.from, &preview.to);
    let merged = d.merged.iter().map(|(to, codes)| {
        let codes: Vec<&str> = codes.iter().map(|code| code.code.as_str()).collect();
        format!("{} ← {}", label(new, to), codes.join(", "))
    });
    lines("Fusionnées", "Merged", merged.collect());
    let shared = d.shared.iter().map(|(code, to)| {
        let to: Vec<&str> = to.iter().map(|code| code.code.as_str()).collect();
        format!("{} → {}", label(old, code), to.join(", "))
    });
    lines("Partagées", "Shared out", shared.collect());
    lines(
        "Créées ou rétablies",
        "Created or restored",
        d.created.iter().map(|c| label(new, c)).collect(),
    );
    let renamed =
        d.renamed.iter().map(|(code, before, after)| format!("{} {before} → {after}", code.code));
    lines("Renommées", "Renamed", renamed.collect());
    lines(
        "Changent de département",
        "In another département",
        d.moved.iter().map(|c| label(new, c)).collect(),
    );
    lines("EPCI dissous", "EPCI dissolved", d.dissolved.iter().map(|c| label(old, c)).collect());
    lines("EPCI nouveaux", "New EPCI", d.founded.iter().map(|c| label(new, c)).collect());
    lines(
        "Changent d'EPCI",
        "In another EPCI",
        d.regrouped.iter().map(|c| label(new, c)).collect(),
    );
    if d.is_empty() {
        say(&text!("Aucune différence visible.", "No visible difference."));
    }
    for (layer, (features, differing)) in &preview.layers {
        say(&text!(
            "{layer} : {differing} entités sur {features} changent de communes de rattachement.",
            "{layer}: {differing} features of {features} are attached to other communes."
        ));
    }
}
