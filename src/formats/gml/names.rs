//! Names of XML. Layers and properties are named as their producers please, with spaces, accents
//! and signs: what XML does not take in a name is written `_xHHHH_` (its code point, as ISO 9075-14
//! does), and every name is found again.

/// A name as XML takes it (an NCName).
pub fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name.chars();
    while let Some(c) = rest.next() {
        // What reads like an escape is one otherwise.
        let escape = c == '_' && escaped(rest.as_str()).is_some();
        if !escape && (starts(c) || (!out.is_empty() && goes_on(c))) {
            out.push(c);
        } else {
            out.push_str(&format!("_x{:04X}_", u32::from(c)));
        }
    }
    if out.is_empty() {
        out.push_str("_x_");
    }
    out
}

/// The name that [`encode`] was given.
pub fn decode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    if name == "_x_" {
        return out;
    }
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        match (c, escaped(after)) {
            ('_', Some((meant, length))) => {
                out.push(meant);
                rest = after.get(length..).unwrap_or_default();
            }
            _ => {
                out.push(c);
                rest = after;
            }
        }
    }
    out
}

/// The character of an escape behind its first `_`, and how long that is.
fn escaped(rest: &str) -> Option<(char, usize)> {
    let (digits, _) = rest.strip_prefix('x')?.split_once('_')?;
    let plain = (4..=6).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b));
    let code = u32::from_str_radix(digits, 16).ok().filter(|_| plain)?;
    Some((char::from_u32(code)?, digits.len() + 2))
}

/// Letters that every edition of XML takes at the start of a name.
fn starts(c: char) -> bool {
    c.is_ascii_alphabetic()
        || c == '_'
        || matches!(c, '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{131}' | '\u{14a}'..='\u{17e}')
}

fn goes_on(c: char) -> bool {
    starts(c) || c.is_ascii_digit() || matches!(c, '-' | '.' | '\u{b7}')
}

/// The `gml:id` of a feature: `layer.id`.
pub fn feature_id(layer: &str, id: &str) -> String {
    format!("{}.{}", encode(layer), tail(id))
}

/// Layer and id of a `gml:id`.
pub fn feature_of(gml_id: &str) -> Option<(String, String)> {
    let (layer, id) = gml_id.split_once('.')?;
    Some((decode(layer), untail(id)))
}

/// An id behind the layer's name, where a digit may come first.
fn tail(id: &str) -> String {
    encode(&format!("i{id}")).chars().skip(1).collect()
}

fn untail(id: &str) -> String {
    decode(&format!("i{id}")).chars().skip(1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_readable_where_they_can_be() {
        assert_eq!(encode("LINE_NUMB-SEG"), "LINE_NUMB-SEG");
        assert_eq!(encode("nom de l'été"), "nom_x0020_de_x0020_l_x0027_été");
        assert_eq!(encode("2018"), "_x0032_018");
        assert_eq!(encode("a:b"), "a_x003A_b");
        assert_eq!(encode("_x0020_"), "_x005F_x0020_");
        assert_eq!(encode(""), "_x_");
        assert_eq!(feature_id("communes", "59350"), "communes.59350");
        assert_eq!(feature_id("qpv-2024", "a/1"), "qpv-2024.a_x002F_1");
        assert_eq!(feature_of("communes.59350"), Some(("communes".into(), "59350".into())));
        assert_eq!(feature_of("59350"), None);
    }

    proptest! {
        #[test]
        fn names_are_found_again(name in "(_x[0-9A-F]{3,5}_|_|x|\\PC){0,12}") {
            prop_assume!(name != "_x_");
            let written = encode(&name);
            prop_assert!(written.chars().all(goes_on) && written.starts_with(starts), "{}", written);
            prop_assert_eq!(decode(&written), name);
        }

        #[test]
        fn features_are_found_again(layer in "[a-z0-9][a-z0-9_-]{0,8}", id in "\\PC{1,10}") {
            prop_assert_eq!(feature_of(&feature_id(&layer, &id)), Some((layer, id)));
        }
    }
}
