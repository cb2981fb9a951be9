//! TLS towards the database, by libpq's `sslmode`: `disable`, `prefer` (default) and `require`
//! encrypt without asking who answers, `verify-ca` and `verify-full` check the certificate and
//! the host's name, against the machine's authorities or the file of `sslrootcert`.

use crate::{
    config::PostgisSettings,
    error::{Error, Result},
    model::Text,
    text,
};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use rustls_platform_verifier::BuilderVerifierExt;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

/// What `sslmode` and `sslrootcert` ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    /// No TLS.
    Disable,
    /// TLS where the server offers it.
    Prefer,
    /// TLS with anyone.
    Require,
    /// TLS with the host named in the address; authorities from a file, else the machine's.
    Verify(Option<PathBuf>),
}

impl Mode {
    /// Authorities of the settings, where the address names none.
    pub(super) fn with_settings(self, settings: &PostgisSettings) -> Self {
        match self {
            Self::Verify(None) => Self::Verify(settings.ca_file.clone()),
            other => other,
        }
    }

    pub(super) fn driver(&self) -> SslMode {
        match self {
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Require | Self::Verify(_) => SslMode::Require,
        }
    }
}

/// Takes `sslmode` and `sslrootcert` out of an address: the driver knows fewer of them.
pub(super) fn take_mode(words: &str) -> (String, Mode) {
    let (mut mode, mut root) = (None, None);
    let mut kept = Vec::new();
    let url = words.contains("://");
    let (head, separator, rest) = match words.split_once('?') {
        Some((head, query)) if url => (head, '&', query),
        _ if url => (words, '&', ""),
        _ => ("", ' ', words),
    };
    for pair in rest.split(separator).filter(|p| !url || !p.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value.trim_matches('\'').to_owned()),
            Some(("sslrootcert", value)) => root = Some(value.trim_matches('\'').to_owned()),
            _ => kept.push(pair),
        }
    }
    let rest = kept.join(&separator.to_string());
    let words = match (url, rest.is_empty()) {
        (true, true) => head.to_owned(),
        (true, false) => format!("{head}?{rest}"),
        (false, _) => rest,
    };
    let root = root
        .filter(|r| r != "system")
        .map(|r| PathBuf::from(r.replace("%2F", "/").replace("%2f", "/")));
    let mode = match mode.as_deref() {
        Some("disable") => Mode::Disable,
        Some("require") => Mode::Require,
        Some("verify-ca" | "verify-full") => Mode::Verify(root),
        // As in libpq, `allow` ends up like `prefer` where the server offers TLS.
        _ => Mode::Prefer,
    };
    (words, mode)
}

/// The connector for a mode.
pub(super) fn connector(mode: &Mode) -> Result<MakeRustlsConnect> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::fault("TLS versions", e))?;
    let config = match mode {
        Mode::Verify(Some(file)) => {
            builder.with_root_certificates(roots(file)?).with_no_client_auth()
        }
        Mode::Verify(None) => {
            let verified = builder.with_platform_verifier();
            verified.map_err(|e| Error::fault("TLS authorities", e))?.with_no_client_auth()
        }
        _ => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
            .with_no_client_auth(),
    };
    Ok(MakeRustlsConnect::new(config))
}

fn roots(file: &Path) -> Result<RootCertStore> {
    let refused = || {
        Error::Invalid(text!(
            "« ca_file » ou « sslrootcert » : fichier illisible ou sans certificat",
            "\"ca_file\" or \"sslrootcert\": file unreadable or without a certificate"
        ))
    };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|_| refused())? {
        let certificate = certificate.map_err(|_| refused())?;
        store.add(certificate).map_err(|_| refused())?;
    }
    if store.is_empty() { Err(refused()) } else { Ok(store) }
}

/// Why a certificate was refused, where that is what a failure to connect comes from.
pub(super) fn refusal(e: &tokio_postgres::Error) -> Option<Text> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(e);
    while let Some(c) = cause {
        // An I/O error shows the error it wraps as none of its causes.
        let inner = c.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = inner.and_then(|i| i.downcast_ref::<rustls::Error>());
        if let Some(e) = tls.or_else(|| c.downcast_ref::<rustls::Error>()) {
            return words(e);
        }
        cause = c.source();
    }
    None
}

fn words(e: &rustls::Error) -> Option<Text> {
    use rustls::CertificateError as Bad;
    let rustls::Error::InvalidCertificate(why) = e else { return None };
    Some(match why {
        Bad::UnknownIssuer => text!(
            "Le certificat de la base de données n'est d'aucune autorité connue : donnez la sienne (« ca_file »).",
            "The database's certificate is of no known authority: name its own (\"ca_file\")."
        ),
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => text!(
            "Le certificat de la base de données est d'un autre hôte que celui de l'adresse.",
            "The database's certificate is of another host than the address's."
        ),
        Bad::Expired | Bad::ExpiredContext { .. } => text!(
            "Le certificat de la base de données a expiré.",
            "The database's certificate has expired."
        ),
        _ => text!(
            "Le certificat de la base de données est refusé ; le journal dit pourquoi.",
            "The database's certificate is refused; the log says why."
        ),
    })
}

/// Accepts any certificate, as `sslmode=require` means; the handshake itself is checked.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_taken_out_of_addresses() {
        let take = |s: &str| take_mode(s);
        assert_eq!(take("postgres://h/db"), ("postgres://h/db".into(), Mode::Prefer));
        assert_eq!(
            take("postgres://h/db?sslmode=verify-full&application_name=x&sslrootcert=/ca.pem"),
            ("postgres://h/db?application_name=x".into(), Mode::Verify(Some("/ca.pem".into())))
        );
        assert_eq!(take("host=h sslmode=disable").1, Mode::Disable);
        assert_eq!(take("postgres://h/db?sslmode=require").1.driver(), SslMode::Require);
        for mode in [Mode::Prefer, Mode::Require, Mode::Verify(None)] {
            assert!(connector(&mode).is_ok());
        }
        assert!(connector(&Mode::Verify(Some("/no/such/file.pem".into()))).is_err());
    }
}
