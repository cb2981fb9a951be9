//! A record of a catalogue in ISO 19139 (`gmd:MD_Metadata`): what is asked of it here is title,
//! producer, licence and where the data is.

use super::{Offer, Way, offers::way_of};
use crate::model::Element;

/// What a record offers.
pub(super) fn offer(record: &Element) -> Offer {
    let about = record.all("identificationInfo").flat_map(|info| &info.children).next();
    let citation = about.and_then(|about| at(about, &["citation", "CI_Citation"]));
    Offer {
        title: citation.and_then(|c| words(c, "title")).unwrap_or_default(),
        producer: about
            .and_then(|about| producer(about, "pointOfContact"))
            .or_else(|| producer(record, "contact")),
        licence: about.and_then(licence),
        page: None,
        ways: ways(record),
    }
}

/// Who owns or publishes the data, else who is named first.
fn producer(element: &Element, name: &str) -> Option<String> {
    let mut named: Vec<(bool, String)> = element
        .all(name)
        .flat_map(|contact| contact.all("CI_ResponsibleParty"))
        .filter_map(|party| {
            let code = at(party, &["role", "CI_RoleCode"])?.attribute("codeListValue");
            let owns = matches!(code, Some("owner" | "publisher" | "author" | "originator"));
            let who = words(party, "organisationName").or_else(|| words(party, "individualName"));
            Some((owns, who?))
        })
        .collect();
    // The order of the record holds among equals.
    named.sort_by_key(|(owns, _)| !owns);
    named.into_iter().next().map(|(_, who)| who)
}

/// The constraint that speaks of a licence, else the first.
fn licence(about: &Element) -> Option<String> {
    let legal: Vec<&Element> = about
        .all("resourceConstraints")
        .flat_map(|constraints| constraints.all("MD_LegalConstraints"))
        .collect();
    let said: Vec<String> = ["otherConstraints", "useLimitation"]
        .iter()
        .flat_map(|name| legal.iter().flat_map(move |legal| legal.all(name)))
        .filter_map(text)
        .collect();
    let speaks = |words: &&String| {
        let lower = words.to_lowercase();
        lower.contains("licen") || lower.contains("odbl")
    };
    said.iter().find(speaks).or(said.first()).cloned()
}

fn ways(record: &Element) -> Vec<Way> {
    let distributions: Vec<&Element> =
        record.all("distributionInfo").flat_map(|info| info.all("MD_Distribution")).collect();
    let formats = distributions
        .iter()
        .flat_map(|d| d.all("distributionFormat"))
        .filter_map(|format| format.child("MD_Format").and_then(|f| words(f, "name")));
    let formats = formats.collect::<Vec<_>>().join(" ");
    let places = distributions
        .iter()
        .flat_map(|d| d.all("transferOptions"))
        .flat_map(|options| options.all("MD_DigitalTransferOptions"))
        .flat_map(|options| options.all("onLine"))
        .flat_map(|online| online.all("CI_OnlineResource"));
    let read = |place: &Element| {
        let url = at(place, &["linkage", "URL"])?.trimmed();
        let protocol = words(place, "protocol").unwrap_or_default();
        let name = words(place, "name");
        let title = words(place, "description").or_else(|| name.clone()).unwrap_or_default();
        // The formats of a record are those of its files, not of its pages and services.
        let download = protocol.to_ascii_lowercase().contains("download");
        let formats = if download { formats.as_str() } else { "" };
        let there = url.starts_with("http");
        there.then(|| way_of([&title, &protocol, formats], url, name.as_deref()))
    };
    places.filter_map(read).collect()
}

fn at<'e>(element: &'e Element, path: &[&str]) -> Option<&'e Element> {
    path.iter().try_fold(element, |element, name| element.child(name))
}

/// The words of a property.
fn words(element: &Element, name: &str) -> Option<String> {
    element.all(name).find_map(text)
}

/// A property's own words: text, or an anchor, which has a reference besides.
fn text(property: &Element) -> Option<String> {
    let inner = ["CharacterString", "Anchor"].iter().find_map(|name| property.child(name))?;
    Some(inner.trimmed().to_owned()).filter(|words| !words.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harvest::xml;

    /// As GeoNetwork writes them, shortened.
    const RECORD: &str = r#"<gmd:MD_Metadata xmlns:gmd="d" xmlns:gco="c" xmlns:gmx="x" xmlns:xlink="l">
<gmd:contact><gmd:CI_ResponsibleParty><gmd:organisationName><gco:CharacterString>Catalogue</gco:CharacterString></gmd:organisationName><gmd:role><gmd:CI_RoleCode codeListValue="pointOfContact"/></gmd:role></gmd:CI_ResponsibleParty></gmd:contact>
<gmd:identificationInfo><gmd:MD_DataIdentification><gmd:citation><gmd:CI_Citation><gmd:title><gco:CharacterString> Communes </gco:CharacterString></gmd:title></gmd:CI_Citation></gmd:citation>
<gmd:pointOfContact><gmd:CI_ResponsibleParty><gmd:organisationName><gco:CharacterString>Prestataire</gco:CharacterString></gmd:organisationName><gmd:role><gmd:CI_RoleCode codeListValue="processor"/></gmd:role></gmd:CI_ResponsibleParty></gmd:pointOfContact>
<gmd:pointOfContact><gmd:CI_ResponsibleParty><gmd:organisationName><gco:CharacterString>Région</gco:CharacterString></gmd:organisationName><gmd:role><gmd:CI_RoleCode codeListValue="owner"/></gmd:role></gmd:CI_ResponsibleParty></gmd:pointOfContact>
<gmd:resourceConstraints><gmd:MD_LegalConstraints><gmd:useLimitation><gco:CharacterString>Aucune condition</gco:CharacterString></gmd:useLimitation><gmd:otherConstraints><gco:CharacterString>Pas de restriction</gco:CharacterString></gmd:otherConstraints><gmd:otherConstraints><gmx:Anchor xlink:href="u">Licence Ouverte 2.0</gmx:Anchor></gmd:otherConstraints></gmd:MD_LegalConstraints></gmd:resourceConstraints>
</gmd:MD_DataIdentification></gmd:identificationInfo>
<gmd:distributionInfo><gmd:MD_Distribution><gmd:distributionFormat><gmd:MD_Format><gmd:name><gco:CharacterString>ESRI Shapefile</gco:CharacterString></gmd:name></gmd:MD_Format></gmd:distributionFormat><gmd:transferOptions><gmd:MD_DigitalTransferOptions>
<gmd:onLine><gmd:CI_OnlineResource><gmd:linkage><gmd:URL>https://x.fr/mapserv?map=/a.map&amp;service=WFS</gmd:URL></gmd:linkage><gmd:protocol><gco:CharacterString>OGC:WFS</gco:CharacterString></gmd:protocol><gmd:name><gco:CharacterString>adm:communes</gco:CharacterString></gmd:name></gmd:CI_OnlineResource></gmd:onLine>
<gmd:onLine><gmd:CI_OnlineResource><gmd:linkage><gmd:URL>https://x.fr/communes.zip</gmd:URL></gmd:linkage><gmd:protocol><gco:CharacterString>WWW:DOWNLOAD-1.0-http--download</gco:CharacterString></gmd:protocol></gmd:CI_OnlineResource></gmd:onLine>
<gmd:onLine><gmd:CI_OnlineResource><gmd:linkage><gmd:URL>https://x.fr/fiche</gmd:URL></gmd:linkage><gmd:protocol><gco:CharacterString>WWW:LINK-1.0-http--link</gco:CharacterString></gmd:protocol></gmd:CI_OnlineResource></gmd:onLine>
</gmd:MD_DigitalTransferOptions></gmd:transferOptions></gmd:MD_Distribution></gmd:distributionInfo></gmd:MD_Metadata>"#;

    #[test]
    fn records_tell_who_how_and_where() {
        let offer = offer(&xml::tree(RECORD.as_bytes()).unwrap());
        assert_eq!(offer.title, "Communes");
        assert_eq!(offer.producer.as_deref(), Some("Région"));
        assert_eq!(offer.licence.as_deref(), Some("Licence Ouverte 2.0"));
        let sources: Vec<Option<&str>> =
            offer.ways.iter().map(|way| way.source.as_deref()).collect();
        let wfs =
            "[source.wfs]\nurl = \"https://x.fr/mapserv?map=%2Fa.map\"\ntype = \"adm:communes\"\n";
        let file = "[source]\nurl = \"https://x.fr/communes.zip\"\n";
        assert_eq!(sources, [Some(wfs), Some(file), None]);
    }

    #[test]
    fn records_that_say_nothing_offer_nothing() {
        assert_eq!(offer(&xml::tree(b"<MD_Metadata/>").unwrap()), Offer::default());
    }
}
