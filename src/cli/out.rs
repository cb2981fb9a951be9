//! What the commands print, in French unless the environment's locale is English.

use crate::{
    error::Error,
    model::{Comparison, Held, HoldReason, Lang, LayerId, Report, Text},
    text,
};
use std::io::Write;

/// French, unless `LC_ALL`, `LC_MESSAGES` or `LANG` asks for English.
pub(super) fn lang() -> Lang {
    let set = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    match set {
        Some(locale) if locale.starts_with("en") => Lang::En,
        _ => Lang::Fr,
    }
}

/// One line on standard output. A reader that went away (`socle harvest | head`) is no reason
/// to stop half-way.
pub(super) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// An error on standard error, with its causes when it is a fault.
pub(super) fn error(error: &Error, lang: Lang) {
    let (head, words) = match (error, lang) {
        (Error::Fault { .. }, Lang::Fr) => ("Erreur interne", error.chain()),
        (Error::Fault { .. }, Lang::En) => ("Internal error", error.chain()),
        (_, Lang::Fr) => ("Erreur", words(error).fr),
        (_, Lang::En) => ("Error", words(error).en),
    };
    let _ = writeln!(std::io::stderr(), "{head} : {words}");
}

/// The sentence of an error.
pub(super) fn words(error: &Error) -> Text {
    match error {
        Error::Invalid(t)
        | Error::NotFound(t)
        | Error::Conflict(t)
        | Error::Unavailable(t)
        | Error::Refused(t)
        | Error::Full(t)
        | Error::Gone { text: t, .. } => t.clone(),
        Error::Source(failure) => failure.text.clone(),
        Error::Busy { .. } => text!("occupé, réessayez plus tard", "busy, try again later"),
        Error::Fault { .. } => Text::same(error.chain()),
    }
}

/// Why a delivery is held, with what it would change, and what to do about it.
pub(super) fn held(layer: &LayerId, held: &Held, lang: Lang) {
    reasons(&held.hold.reasons, lang);
    if let Some(comparison) = &held.version.report.comparison {
        self::comparison(comparison, lang);
    }
    if let Some(head) = &held.hold.changes {
        let (added, removed, changed) = (head.added, head.removed, head.changed);
        let words = text!(
            "  par clé : {added} ajoutées, {removed} supprimées, {changed} modifiées",
            "  by key: {added} added, {removed} removed, {changed} changed"
        );
        line(words.get(lang));
    }
    let version = &held.version.id;
    let words = text!(
        "  La version en place reste publiée. Si {version} est voulue : socle publish {layer} --held",
        "  The version in force stays published. If {version} is meant: socle publish {layer} --held"
    );
    line(words.get(lang));
}

/// The rules that hold a delivery.
pub(super) fn reasons(reasons: &[HoldReason], lang: Lang) {
    for reason in reasons {
        let why = &reason.text;
        let words = text!("  retenue : {fr}", "  held: {en}", fr = why.fr, en = why.en);
        line(words.get(lang));
    }
}

/// What moved since the version in force.
fn comparison(found: &Comparison, lang: Lang) {
    let (before, after) = (found.rows_before, found.rows_after);
    let words = text!("  entités : {before} → {after}", "  features: {before} → {after}");
    line(words.get(lang));
    for (sign, columns) in [('+', &found.columns_added), ('−', &found.columns_lost)] {
        for column in columns.iter().take(LISTED) {
            let words = text!("  colonne {sign} « {column} »", "  column {sign} \"{column}\"");
            line(words.get(lang));
        }
    }
}

/// How many refusals and codes a printed report lists; the rest is in the version's report.
const LISTED: usize = 20;

/// A report, in lines.
pub(super) fn report(report: &Report, lang: Lang) {
    let r = report;
    line(&match lang {
        Lang::Fr => format!(
            "  lues {} · gardées {} · refusées {} · réparées {} · reportées {} · non rattachées {}",
            r.read, r.kept, r.refused, r.repaired, r.carried, r.unattached
        ),
        Lang::En => format!(
            "  read {} · kept {} · refused {} · repaired {} · carried {} · unattached {}",
            r.read, r.kept, r.refused, r.repaired, r.carried, r.unattached
        ),
    });
    for note in &r.notes {
        line(&format!("  · {}", note.get(lang)));
    }
    for refusal in r.refusals.iter().take(LISTED) {
        let place = match lang {
            Lang::Fr => format!("ligne {}", refusal.line),
            Lang::En => format!("row {}", refusal.line),
        };
        let column = refusal.column.as_deref().map(|c| format!(", {c}")).unwrap_or_default();
        let value = refusal.value.as_deref().map(|v| format!(" « {v} »")).unwrap_or_default();
        line(&format!("  ✗ {place}{column}{value} : {}", refusal.text.get(lang)));
    }
    for code in r.carried_codes.iter().take(LISTED) {
        line(&format!("  ↪ {} → {} ({})", code.from, code.to, code.rows));
    }
    for (sign, list) in [('~', &r.redefined_codes), ('≠', &r.undecidable_codes)] {
        for code in list.iter().take(LISTED) {
            line(&format!("  {sign} {} → {} ({})", code.from, code.to, code.rows));
        }
    }
    for conflict in r.conflicts.iter().take(LISTED) {
        line(&format!("  ⚡ {} ← {}", conflict.commune, conflict.codes.join(", ")));
    }
    for code in r.unknown_codes.iter().take(LISTED) {
        let words = text!("code inconnu", "unknown code");
        line(&format!("  ? {} : {} ({})", words.get(lang), code.from, code.rows));
    }
    let more = r.refusals.len().saturating_sub(LISTED)
        + r.carried_codes.len().saturating_sub(LISTED)
        + r.redefined_codes.len().saturating_sub(LISTED)
        + r.undecidable_codes.len().saturating_sub(LISTED)
        + r.conflicts.len().saturating_sub(LISTED)
        + r.unknown_codes.len().saturating_sub(LISTED);
    if more > 0 {
        line(
            text!(
                "  … et {more} autres lignes, dans le rapport de la version.",
                "  … and {more} more lines, in the version's report."
            )
            .get(lang),
        );
    }
}
