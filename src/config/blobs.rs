//! `[blobs]`: where files that replicas share are kept, in a folder or in object storage.
//! Credentials have no key here: they come from the environment.

use super::{relative, server::web_address, table::Table};
use crate::{model::Text, text};
use std::path::{Path, PathBuf};

/// `[blobs]`.
#[derive(Debug, Clone)]
pub struct BlobSettings {
    /// The folder. With object storage, where files are made and local copies kept. Default
    /// `data/blobs` beside the configuration.
    pub path: PathBuf,
    /// Object storage, where that is what is shared.
    pub s3: Option<S3Settings>,
}

/// A place in S3-compatible object storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Settings {
    /// The bucket.
    pub bucket: String,
    /// What every key begins with: empty, or segments without a final `/`.
    pub prefix: String,
    /// `http(s)` address of the service; `None`: that of the environment, else AWS.
    pub endpoint: Option<String>,
    /// Region; `None`: that of the environment, else `us-east-1`.
    pub region: Option<String>,
}

pub(super) const KEYS: &[&str] = &["path", "s3", "endpoint", "region"];

impl BlobSettings {
    /// The defaults, for a configuration in `base`.
    pub fn default_in(base: &Path) -> Self {
        Self { path: base.join("data/blobs"), s3: None }
    }

    /// Reads the table; what is wrong is reported to its document and left at its default.
    pub(super) fn read(table: &Table<'_>, base: &Path) -> Self {
        let endpoint = table.parsed("endpoint", endpoint);
        let region = table.string("region");
        let s3 = table.parsed("s3", S3Settings::parse);
        for key in ["endpoint", "region"] {
            if table.has(key) && !table.has("s3") {
                table.report(key, text!("ne va qu'avec « s3 »", "only goes with \"s3\""));
            }
        }
        let path = relative(table, "path", base).unwrap_or(Self::default_in(base).path);
        Self { path, s3: s3.map(|s3| S3Settings { endpoint, region, ..s3 }) }
    }
}

impl S3Settings {
    /// Reads `s3://bucket/prefix`, without endpoint and region.
    ///
    /// # Errors
    /// Says what is allowed.
    pub fn parse(words: &str) -> Result<Self, Text> {
        let refused = || {
            text!(
                "attendu s3://seau ou s3://seau/préfixe : seau en a-z, 0-9, « . » et « - », préfixe en lettres, chiffres, « . », « _ » et « - »",
                "expected s3://bucket or s3://bucket/prefix: bucket of a-z, 0-9, \".\" and \"-\", prefix of letters, digits, \".\", \"_\" and \"-\""
            )
        };
        let rest = words.strip_prefix("s3://").ok_or_else(refused)?.trim_end_matches('/');
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
        let segment = |s: &str| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
            !s.is_empty() && !s.starts_with('.') && s.bytes().all(allowed)
        };
        let good = (3..=63).contains(&bucket.len())
            && bucket.bytes().all(plain)
            && (prefix.is_empty() || prefix.split('/').all(segment))
            && prefix.len() <= 400;
        if !good {
            return Err(refused());
        }
        let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
        Ok(Self { bucket, prefix, endpoint: None, region: None })
    }
}

pub(super) fn endpoint(words: &str) -> Result<String, Text> {
    let url = web_address(words)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(text!(
            "l'adresse ne porte pas d'identifiants : ils viennent de l'environnement",
            "the address bears no credentials: they come from the environment"
        ));
    }
    Ok(String::from(url).trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_a_bucket_and_a_plain_prefix() {
        let s3 = S3Settings::parse("s3://socle-blobs/region/hdf/").unwrap();
        assert_eq!((s3.bucket.as_str(), s3.prefix.as_str()), ("socle-blobs", "region/hdf"));
        assert_eq!(S3Settings::parse("s3://abc").unwrap().prefix, "");
        for bad in
            ["", "s3://", "s3://ab", "s3://A-B-C", "https://x/", "s3://abc/../x", "s3://abc//x"]
        {
            assert!(S3Settings::parse(bad).is_err(), "{bad}");
        }
        assert!(
            endpoint("https://key:s3cret@s3.example.fr").unwrap_err().en.contains("environment")
        );
        assert_eq!(endpoint("http://127.0.0.1:9000/").unwrap(), "http://127.0.0.1:9000");
    }
}
