//! The account of a table, as sheets beside it.

use crate::{
    model::{Cell, Lang, Sheet},
    territory::{CarriedSheet, Reference},
};

/// What was recognised and done, line by line.
pub fn summary(done: &CarriedSheet, reference: &Reference, lang: Lang) -> Sheet {
    let say = |fr: &str, en: &str| if lang == Lang::Fr { fr.to_owned() } else { en.to_owned() };
    let mut rows: Vec<[Cell; 2]> =
        vec![[say("Référence", "Reference").into(), reference.id().to_owned().into()]];
    if let (Some(vintage), Some(found)) = (done.vintage, done.detected) {
        rows.push([
            say("Millésime des codes", "Vintage of the codes").into(),
            Cell::Number(f64::from(vintage)),
        ]);
        let (first, last) = (found.first, found.last);
        rows.push([
            say("Millésimes possibles", "Possible vintages").into(),
            format!("{first}–{last}").into(),
        ]);
    }
    for (verdict, count) in &done.counts {
        rows.push([verdict.id().to_owned().into(), Cell::Number(*count as f64)]);
    }
    let conflicts = done.conflicts.len() as f64;
    rows.push([say("Conflits", "Conflicts").into(), Cell::Number(conflicts)]);
    for note in &done.notes {
        rows.push(["".to_owned().into(), note.get(lang).to_owned().into()]);
    }
    sheet([say("quoi", "what"), say("valeur", "value")], rows)
}

/// The rows that meet on one commune with different values.
pub fn conflicts(done: &CarriedSheet, reference: &Reference, lang: Lang) -> Sheet {
    let titles = match lang {
        Lang::Fr => ["commune", "nom", "codes", "lignes", "colonnes"],
        Lang::En => ["commune", "name", "codes", "rows", "columns"],
    };
    let rows = done.conflicts.iter().map(|meeting| {
        let lines: Vec<String> = meeting
            .rows
            .iter()
            .filter_map(|row| done.sheet.lines.get(*row))
            .map(ToString::to_string)
            .collect();
        [
            Cell::from(meeting.commune.code.to_string()),
            reference.name(&meeting.commune).into(),
            meeting.codes.join(", ").into(),
            lines.join(", ").into(),
            meeting.columns.join(", ").into(),
        ]
    });
    sheet(titles.map(str::to_owned), rows.collect())
}

fn sheet<const N: usize>(header: [String; N], rows: Vec<[Cell; N]>) -> Sheet {
    let lines = (1..=rows.len() as u64).collect();
    Sheet { header: header.into(), rows: rows.into_iter().map(Vec::from).collect(), lines }
}
