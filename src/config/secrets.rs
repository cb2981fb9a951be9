//! Secrets come from the environment: `${NAME}` in a source's address stands for the variable of
//! that name. The text with its `${NAME}` is what definitions keep, logs show and provenance
//! publishes; the value lives only as long as the request that needs it.

use crate::{model::Text, text};

/// The text with each `${NAME}` replaced by what `lookup` gives for it.
///
/// # Errors
/// Says, without any value, which variable is missing or what is malformed.
pub fn expand(template: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<String, Text> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            return Err(text!("« ${{ » sans « }} »", "\"${{\" without \"}}\""));
        };
        if !is_name(name) {
            let name = super::document::clip(name);
            return Err(text!(
                "« {name} » n'est pas un nom de variable d'environnement",
                "\"{name}\" is not the name of an environment variable"
            ));
        }
        let value = lookup(name).ok_or_else(|| {
            text!(
                "la variable d'environnement {name} n'est pas définie",
                "the environment variable {name} is not set"
            )
        })?;
        if value.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(text!(
                "la variable d'environnement {name} contient un espace ou un caractère de contrôle",
                "the environment variable {name} holds a space or a control character"
            ));
        }
        out.push_str(&value);
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

/// Looks in the environment of the process; an empty variable counts as missing.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

pub(super) fn is_name(name: &str) -> bool {
    let head = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    head && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "KEY" => Some("s3cret".into()),
            "NESTED" => Some("${KEY}".into()),
            "BROKEN" => Some("a b".into()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_replaced_once() {
        assert_eq!(expand("https://x/?k=${KEY}&z=$1", lookup).unwrap(), "https://x/?k=s3cret&z=$1");
        // A value is never expanded again: it is data.
        assert_eq!(expand("${NESTED}", lookup).unwrap(), "${KEY}");
        assert_eq!(expand("plain", lookup).unwrap(), "plain");
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(expand("${NOPE}", lookup).unwrap_err().en.contains("NOPE"));
        assert!(expand("${KEY", lookup).unwrap_err().en.contains("without"));
        assert!(expand("${a-b}", lookup).unwrap_err().en.contains("a-b"));
        let broken = expand("${BROKEN}", lookup).unwrap_err();
        assert!(!broken.en.contains("a b"), "the value stays out of messages: {broken}");
    }

    proptest! {
        #[test]
        fn never_panics(template in "[${}A-Z_a-z0-9é]{0,40}") {
            let _ = expand(&template, lookup);
        }
    }
}
