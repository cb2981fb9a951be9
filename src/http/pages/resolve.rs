//! The page that puts a table on today's territories: choose or paste it, look, take the result.

use super::trail;
use crate::{
    http::{reply::number, visit::Visit},
    model::{GeometryKind, Level, Sheet},
    resolve::Resolved,
    territory::Verdict,
};
use maud::{Markup, html};

/// Rows shown; files have them all.
const SHOWN: usize = 200;
/// Most bytes of a table that the page sends on for a download.
const SENT_ON: usize = 2 << 20;

/// `/territories/resolve`, before and after.
pub fn form(visit: &Visit, done: Option<&Resolved>) -> String {
    let title = visit.words(
        "Porter une table sur les territoires d'aujourd'hui",
        "Put a table on today's territories",
    );
    let content = html! {
        (trail(visit, &[(visit.url("territories?f=html"), visit.words("Territoires", "Territories").into())]))
        h1 { (title) }
        @if let Some(done) = done {
            (outcome(visit, done))
            h2 { (visit.words("Une autre table", "Another table")) }
        } @else {
            p {
                (visit.words(
                    "Une table de codes de commune de n'importe quel millésime, de noms avec leur département, ou d'adresses avec leurs coordonnées : chaque ligne reçoit sa commune d'aujourd'hui, et ce qui lui est arrivé. Rien n'est conservé.",
                    "A table of commune codes of any vintage, of names with their département, or of addresses with coordinates: each row gets its commune of today, and what became of it. Nothing is kept."
                ))
            }
        }
        (fields(visit))
    };
    visit.html(title, &content)
}

fn fields(visit: &Visit) -> Markup {
    let limit = visit.site.bodies.limit / (1 << 20);
    let levels = [Level::Epci, Level::Ept, Level::Arr, Level::Dep, Level::Reg];
    html! {
        form.filters action=(visit.url("territories/resolve")) method="post" enctype="multipart/form-data" {
            p {
                label for="file" { (visit.words("Fichier CSV, Excel (.xlsx) ou JSON", "CSV, Excel (.xlsx) or JSON file")) } " "
                input id="file" name="file" type="file" accept=".csv,.txt,.tsv,.xlsx,.json";
                " " small.muted { (visit.words("jusqu'à ", "up to ")) (limit.max(1)) (visit.words(" Mio", " MiB")) }
            }
            p {
                label for="table" { (visit.words("ou collez-la ici, avec ses noms de colonnes", "or paste it here, with its column names")) }
                br;
                textarea id="table" name="table" rows="6" cols="60" spellcheck="false" placeholder="code;valeur\n55273;12\n1001;7" {}
            }
            fieldset {
                legend { (visit.words("Ajouter", "Add")) }
                @for level in levels {
                    label { input type="checkbox" name="add" value=(level.id()) checked[matches!(level, Level::Epci | Level::Dep)]; " " (level.label(visit.lang())) } " "
                }
                @for level in [Level::Qpv, Level::Canton] {
                    label { input type="checkbox" name="add" value=(level.id()); " " (level.label(visit.lang())) " " small.muted { (visit.words("(par coordonnées)", "(by coordinates)")) } } " "
                }
                (layers(visit))
            }
            details {
                summary { (visit.words("Colonnes, si elles ne sont pas reconnues", "Columns, when they are not recognised")) }
                p {
                    (field("code", visit.words("Codes de commune", "Commune codes"), "code_insee"))
                    (field("name", visit.words("Noms de commune", "Commune names"), "commune"))
                    (field("department", visit.words("Départements", "Départements"), "departement"))
                }
                p {
                    (field("x", visit.words("Longitude ou x", "Longitude or x"), "lon"))
                    (field("y", visit.words("Latitude ou y", "Latitude or y"), "lat"))
                    (field("crs", "CRS", "EPSG:2154"))
                }
                p { (field("vintage", visit.words("Millésime des codes, s'il est connu", "Vintage of the codes, when known"), "2018")) }
            }
            button type="submit" name="f" value="html" { (visit.words("Voir", "Look")) } " "
            button type="submit" name="f" value="same" { (visit.words("Télécharger", "Download")) } " "
            button type="submit" name="f" value="csv" { "CSV" } " "
            button type="submit" name="f" value="xlsx" { "Excel" }
        }
    }
}

/// A property of a layer, by coordinates.
fn layers(visit: &Visit) -> Markup {
    let snapshot = visit.snapshot();
    let area = |kind| matches!(kind, GeometryKind::Polygon | GeometryKind::MultiPolygon);
    let properties = snapshot.served().flat_map(|layer| {
        let schema =
            layer.current.as_ref().map(|at| &at.version.schema).filter(|s| area(s.geometry));
        let fields = schema.into_iter().flat_map(|schema| &schema.fields);
        fields.map(|field| format!("{}:{}", layer.def.id, field.name)).collect::<Vec<_>>()
    });
    html! {
        br;
        label for="property" { (visit.words("Une propriété d'une couche, par coordonnées", "A property of a layer, by coordinates")) } " "
        input id="property" name="add" type="text" list="properties" placeholder="qpv:nom";
        datalist id="properties" { @for property in properties { option value=(property) {} } }
    }
}

fn field(name: &str, label: &str, example: &str) -> Markup {
    html! {
        label for=(name) { (label) } " "
        input id=(name) name=(name) type="text" size="14" placeholder=(example); " "
    }
}

fn outcome(visit: &Visit, resolved: &Resolved) -> Markup {
    let done = &resolved.done;
    let rows = number(done.rows.len() as u64, visit.lang());
    html! {
        p {
            strong { (rows) " " (visit.words("lignes", "rows")) } " : "
            @for (i, (verdict, count)) in done.counts.iter().enumerate() {
                @if i > 0 { ", " }
                (number(*count, visit.lang())) " " (self::verdict(visit, *verdict))
            }
            "."
        }
        ul {
            @if let (Some(vintage), Some(found)) = (done.vintage, done.detected) {
                li { (visit.words("Codes du millésime ", "Codes of the vintage ")) strong { (vintage) }
                    @if found.first != found.last { " (" (visit.words("possibles : ", "possible: ")) (found.first) "–" (found.last) ")" } }
            }
            @for note in &done.notes { li { (visit.say(note)) } }
        }
        (download(visit, resolved))
        (meetings(visit, resolved))
        (table(visit, &done.sheet))
    }
}

fn verdict(visit: &Visit, verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Unchanged => visit.words("inchangées", "unchanged"),
        Verdict::Carried => visit.words("portées", "carried"),
        Verdict::Redefined => visit.words("redéfinies", "redefined"),
        Verdict::Undecidable => visit.words("indécidables", "undecidable"),
        Verdict::Unknown => visit.words("inconnues", "unknown"),
        Verdict::Located => visit.words("situées", "located"),
    }
}

/// The table once more, as it came but for its form, to be resolved into a file: nothing is kept
/// between two requests.
fn download(visit: &Visit, resolved: &Resolved) -> Markup {
    if resolved.bytes.len() > SENT_ON {
        return html! {
            p.muted { (visit.words("Pour le fichier : choisissez la table à nouveau, puis « Télécharger ».", "For the file: choose the table again, then \"Download\".")) }
        };
    }
    let text = String::from_utf8_lossy(&resolved.original);
    let kept =
        ["code", "name", "department", "lon", "lat", "x", "y", "crs", "nearest", "vintage", "add"];
    html! {
        form action=(visit.url("territories/resolve")) method="post" enctype="multipart/form-data" {
            input type="hidden" name="table" value=(text);
            @for (name, value) in visit.params.iter().filter(|(name, _)| kept.contains(name)) {
                input type="hidden" name=(name) value=(value);
            }
            p {
                (visit.words("Télécharger le résultat : ", "Download the result: "))
                button type="submit" name="f" value="csv" { "CSV" } " "
                button type="submit" name="f" value="xlsx" { "Excel" } " "
                button type="submit" name="f" value="json" { "JSON" }
            }
        }
    }
}

fn meetings(visit: &Visit, resolved: &Resolved) -> Markup {
    let conflicts = &resolved.done.conflicts;
    let reference = visit.reference();
    html! {
        @if !conflicts.is_empty() {
            h2 { (visit.words("Conflits", "Conflicts")) " (" (number(conflicts.len() as u64, visit.lang())) ")" }
            p { (visit.words("Des lignes se rejoignent sur une commune avec des valeurs différentes ; rien n'a été fusionné ni choisi.", "Rows meet on one commune with different values; nothing was merged or chosen.")) }
            ul {
                @for meeting in conflicts.iter().take(SHOWN) {
                    li { (reference.name(&meeting.commune)) " (" (meeting.commune.code) ") : " (meeting.codes.join(", ")) " — " small { (meeting.columns.join(", ")) } }
                }
            }
        }
    }
}

fn table(visit: &Visit, sheet: &Sheet) -> Markup {
    let total = number(sheet.rows.len() as u64, visit.lang());
    html! {
        div.table tabindex="0" role="region" aria-label=(visit.words("Résultat", "Result")) {
            table {
                caption { (total) " " (visit.words("lignes", "rows")) }
                thead { tr { @for name in &sheet.header { th scope="col" { (name) } } } }
                tbody {
                    @for row in sheet.rows.iter().take(SHOWN) {
                        tr { @for cell in row { td { (cell.text()) } } }
                    }
                }
            }
        }
        @if sheet.rows.len() > SHOWN {
            p.muted { (SHOWN) " / " (total) (visit.words(" lignes montrées ; le fichier les a toutes.", " rows shown; the file has them all.")) }
        }
    }
}
