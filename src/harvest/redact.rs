//! Addresses without their secrets, for logs, messages and provenance. Works on text, not on a
//! parsed address: what is shown is the operator's own template, `${NAME}` included.

/// Query parameters whose value is a secret, by their names in lower case without `-` and `_`.
const SECRET: &[&str] = &[
    "key",
    "apikey",
    "token",
    "accesstoken",
    "authtoken",
    "auth",
    "secret",
    "clientsecret",
    "password",
    "passwd",
    "pwd",
    "sig",
    "signature",
    "xamzsignature",
    "xamzcredential",
    "xamzsecuritytoken",
    "xgoogsignature",
    "credential",
    "session",
    "sessionid",
];

/// The address without credentials, with the values of secret parameters replaced by `***`, and
/// without its fragment.
pub(super) fn redact(address: &str) -> String {
    let address = address.split('#').next().unwrap_or_default();
    let (place, query) = match address.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (address, None),
    };
    let mut out = without_credentials(place);
    if let Some(query) = query {
        out.push('?');
        let mut rest = query;
        while !rest.is_empty() {
            let end = rest.find(['&', ';']).unwrap_or(rest.len());
            let (pair, tail) = rest.split_at(end);
            out.push_str(&without_value(pair));
            let mut tail = tail.chars();
            out.extend(tail.next());
            rest = tail.as_str();
        }
    }
    out.chars().filter(|c| !c.is_control()).collect()
}

/// `https://user:password@host/…` as `https://host/…`.
fn without_credentials(place: &str) -> String {
    let Some((scheme, rest)) = place.split_once("://") else { return place.to_owned() };
    let end = rest.find(['/', '\\']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

fn without_value(pair: &str) -> String {
    let Some((name, value)) = pair.split_once('=') else { return pair.to_owned() };
    let plain: String = name
        .chars()
        .filter(|c| !matches!(c, '-' | '_' | '.'))
        .flat_map(char::to_lowercase)
        .collect();
    // A `${NAME}` says which variable holds the secret, and nothing of it.
    let is_variable = value
        .strip_prefix("${")
        .and_then(|v| v.strip_suffix('}'))
        .is_some_and(|v| v.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    if SECRET.contains(&plain.as_str()) && !is_variable {
        return format!("{name}=***");
    }
    pair.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        let cases = [
            ("https://x.fr/a.csv", "https://x.fr/a.csv"),
            ("https://u:p@x.fr/a?b=1", "https://x.fr/a?b=1"),
            ("https://u:p@q@x.fr", "https://x.fr"),
            ("https://x.fr/?key=abc&z=1", "https://x.fr/?key=***&z=1"),
            ("https://x.fr/?a=1;API_KEY=abc", "https://x.fr/?a=1;API_KEY=***"),
            ("https://x.fr/?X-Amz-Signature=ab", "https://x.fr/?X-Amz-Signature=***"),
            ("https://x.fr/?token=${T}#frag", "https://x.fr/?token=${T}"),
            ("https://x.fr/?token=${T}abc${U}", "https://x.fr/?token=***"),
            ("https://x.fr/@home?key", "https://x.fr/@home?key"),
            ("https://x.fr/?", "https://x.fr/?"),
            ("${URL}", "${URL}"),
        ];
        for (from, to) in cases {
            assert_eq!(redact(from), to);
        }
    }

    proptest! {
        #[test]
        fn a_secret_never_survives(user in "[a-z:]{1,8}", tail in "[a-z/&=]{0,10}") {
            let shown = redact(&format!("https://{user}HUNTER2@host/{tail}?a&token=HUNTER2&b"));
            prop_assert!(!shown.contains("HUNTER2"), "{shown}");
        }

        #[test]
        fn any_text_is_shown_the_same_twice(text in any::<String>()) {
            let once = redact(&text);
            prop_assert_eq!(redact(&once), once);
        }
    }
}
