//! The `crs` member of GeoJSON before RFC 7946, still written by most GIS tools.

/// What a `crs` member says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// `null`, or CRS84 under one of its names: the default.
    Default,
    /// `EPSG:n`; positions are easting or longitude first, as every tool writes them.
    Epsg(String),
    /// Something else, as spelt.
    Unknown(String),
}

/// Reads the member's JSON text.
pub(super) fn named(raw: &str) -> Named {
    let value: serde_json::Value = match serde_json::from_str(raw) {
        Ok(serde_json::Value::Null) => return Named::Default,
        Ok(value) => value,
        Err(_) => return unknown(raw),
    };
    let name = match &value {
        serde_json::Value::String(s) => Some(s.clone()),
        _ => {
            let part = |key: &str| value.get("properties").and_then(|p| p.get(key));
            let code = part("code").map(|c| c.to_string().trim_matches('"').to_owned());
            let name = part("name").and_then(|n| n.as_str()).map(str::to_owned);
            name.or_else(|| code.map(|c| format!("EPSG:{c}")))
        }
    };
    name.map_or_else(|| unknown(raw), |name| from_name(&name))
}

/// The usual spellings: `urn:ogc:def:crs:EPSG::2154`, `EPSG:2154`,
/// `http://www.opengis.net/def/crs/EPSG/0/2154`, `urn:ogc:def:crs:OGC:1.3:CRS84`.
fn from_name(name: &str) -> Named {
    let upper = name.trim().to_ascii_uppercase();
    let last = upper.rsplit([':', '/', '#']).next().unwrap_or_default();
    if last == "CRS84" || last == "CRS84H" {
        return Named::Default;
    }
    let number = !last.is_empty() && last.len() <= 7 && last.bytes().all(|b| b.is_ascii_digit());
    if upper.contains("EPSG") && number {
        return Named::Epsg(format!("EPSG:{last}"));
    }
    unknown(name)
}

fn unknown(raw: &str) -> Named {
    Named::Unknown(raw.chars().take(120).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_spellings() {
        let of =
            |name: &str| named(&format!(r#"{{"type":"name","properties":{{"name":"{name}"}}}}"#));
        let lambert = Named::Epsg("EPSG:2154".into());
        assert_eq!(of("urn:ogc:def:crs:EPSG::2154"), lambert);
        assert_eq!(of("urn:ogc:def:crs:EPSG:6.18.3:2154"), lambert);
        assert_eq!(of("EPSG:2154"), lambert);
        assert_eq!(of("http://www.opengis.net/def/crs/EPSG/0/2154"), lambert);
        assert_eq!(of("http://www.opengis.net/gml/srs/epsg.xml#2154"), lambert);
        assert_eq!(of("urn:ogc:def:crs:OGC:1.3:CRS84"), Named::Default);
        assert_eq!(named("null"), Named::Default);
        assert_eq!(named(r#"{"type":"EPSG","properties":{"code":2154}}"#), lambert);
        assert!(matches!(of("IGNF:LAMB93"), Named::Unknown(_)));
        assert!(matches!(named(r#"{"type":"link"}"#), Named::Unknown(_)));
    }
}
