//! LISEZMOI.txt: what an archive says of its layers, in French, for a person who opens it years
//! later.

use super::Head;

/// The text for one layer; `notes` are what the format could not hold as it was.
pub fn text(head: &Head, notes: &[String]) -> String {
    let mut out = String::new();
    out.push_str(&head.title);
    out.push_str("\r\n");
    out.push_str(&"=".repeat(head.title.chars().count()));
    out.push_str("\r\n\r\n");
    for paragraph in head.description.split('\n').map(str::trim).filter(|p| !p.is_empty()) {
        out.push_str(paragraph);
        out.push_str("\r\n");
    }
    if !head.description.trim().is_empty() {
        out.push_str("\r\n");
    }
    for fact in &head.facts {
        out.push_str(&format!("{} : {}\r\n", fact.label, fact.value));
    }
    if !notes.is_empty() {
        out.push_str("\r\n");
        for note in notes {
            out.push_str(&format!("- {note}\r\n"));
        }
    }
    out.push_str("\r\n");
    out
}
