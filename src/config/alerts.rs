//! `[alerts]`: when a source is worth a word, and who is told.

use super::{
    relative,
    services::address,
    store::{Secret, variable},
    table::Table,
};
use crate::{
    model::{AlertRules, Lang, Text},
    text,
};
use jiff::SignedDuration;
use lettre::message::Mailbox;
use std::path::{Path, PathBuf};

/// `[alerts]`.
#[derive(Debug, Clone, Default)]
pub struct AlertSettings {
    /// When a source that fails is told of. Default: after 3 failures in a row, or 24 hours.
    pub rules: AlertRules,
    /// Language of webhooks and mail. Default French.
    pub lang: Lang,
    /// PEM file of authorities that certificates may come from, besides those of the machine.
    pub ca_file: Option<PathBuf>,
    /// Addresses that are sent JSON.
    pub webhooks: Vec<WebhookSettings>,
    /// Who is sent mail, and how.
    pub mail: Option<MailSettings>,
}

/// `[[alerts.webhooks]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// The address with its `${NAME}`.
    pub url: String,
    /// A header that is sent along, and where its value is.
    pub header: Option<SecretHeader>,
}

/// A header whose value is a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretHeader {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Secret,
}

/// `[alerts.mail]`.
#[derive(Debug, Clone, PartialEq)]
pub struct MailSettings {
    /// Host of the SMTP server.
    pub server: String,
    /// Its port. Default 587, 465 with TLS from the start, 25 without any.
    pub port: u16,
    /// How the connection is kept from others.
    pub security: MailSecurity,
    /// Who writes.
    pub from: Mailbox,
    /// Who is written to; never empty.
    pub to: Vec<Mailbox>,
    /// Who to log in as, and with what.
    pub login: Option<Login>,
}

/// Credentials for a server of mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Where the user's name is.
    pub user: Secret,
    /// Where the password is.
    pub password: Secret,
}

/// How a connection is kept from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailSecurity {
    /// In clear first, then TLS, or nothing is sent.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// In clear: for a relay on the same machine.
    None,
}

pub(super) const KEYS: &[&str] = &["tries", "after_s", "lang", "ca_file", "webhooks", "mail"];
const WEBHOOK_KEYS: &[&str] = &["url", "header", "header_env"];
const MAIL_KEYS: &[&str] =
    &["server", "port", "security", "from", "to", "user_env", "password_env"];

/// Webhooks at most: each event is sent to each.
const MOST_WEBHOOKS: usize = 20;

impl AlertSettings {
    /// Reads the table; what is wrong is reported to its document and left at its default.
    pub(super) fn read(table: &Table<'_>, base: &Path) -> Self {
        let d = AlertRules::default();
        let tries = table.integer("tries", 1..=1000).and_then(|n| n.try_into().ok());
        let after = table.seconds("after_s", 1.0..=31_536_000.0);
        let patience = after.and_then(|after| SignedDuration::try_from(after).ok());
        let webhooks = table.tables("webhooks", WEBHOOK_KEYS);
        if webhooks.len() > MOST_WEBHOOKS {
            table.report("webhooks", text!("au plus {MOST_WEBHOOKS}", "at most {MOST_WEBHOOKS}"));
        }
        Self {
            rules: AlertRules {
                tries: tries.unwrap_or(d.tries),
                patience: patience.unwrap_or(d.patience),
            },
            lang: table.parsed("lang", lang).unwrap_or_default(),
            ca_file: relative(table, "ca_file", base),
            webhooks: webhooks.iter().filter_map(webhook).collect(),
            mail: table.table("mail", MAIL_KEYS).and_then(|table| mail(&table)),
        }
    }
}

fn webhook(table: &Table<'_>) -> Option<WebhookSettings> {
    if !table.has("url") {
        table.missing("url");
    }
    let value = table.parsed("header_env", variable).map(Secret::Variable);
    let name = table.parsed("header", header);
    if table.has("header") && !table.has("header_env") {
        table.missing("header_env");
    }
    let name = name.unwrap_or_else(|| "Authorization".to_owned());
    let header = value.map(|value| SecretHeader { name, value });
    Some(WebhookSettings { url: address(table, "url")?, header })
}

fn mail(table: &Table<'_>) -> Option<MailSettings> {
    for key in ["server", "from", "to"] {
        if !table.has(key) {
            table.missing(key);
        }
    }
    let server = table.parsed("server", server);
    let security = table.parsed("security", security).unwrap_or(MailSecurity::StartTls);
    let port = table.integer("port", 1..=65_535).and_then(|n| n.try_into().ok());
    let to = table.strings("to").map(|all| addresses(table, &all)).unwrap_or_default();
    let secret = |key| table.parsed(key, variable).map(Secret::Variable);
    let login = match (secret("user_env"), secret("password_env")) {
        (Some(user), Some(password)) => Some(Login { user, password }),
        (Some(_), None) if !table.has("password_env") => {
            table.missing("password_env");
            None
        }
        (None, Some(_)) if !table.has("user_env") => {
            table.missing("user_env");
            None
        }
        _ => None,
    };
    let here = server.as_deref().is_some_and(|host| {
        host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    });
    if security == MailSecurity::None && login.is_some() && !here {
        table.report(
            "security",
            text!(
                "« none » enverrait le mot de passe en clair : \"starttls\" ou \"tls\"",
                "\"none\" would send the password in clear: \"starttls\" or \"tls\""
            ),
        );
    }
    let default = match security {
        MailSecurity::StartTls => 587,
        MailSecurity::Tls => 465,
        MailSecurity::None => 25,
    };
    let from = table.parsed("from", mailbox);
    let (server, from) = (server?, from?);
    if to.is_empty() {
        return None;
    }
    Some(MailSettings { server, port: port.unwrap_or(default), security, from, to, login })
}

fn addresses(table: &Table<'_>, words: &[String]) -> Vec<Mailbox> {
    if words.is_empty() {
        table.report("to", text!("est vide", "is empty"));
    }
    let read = words.iter().map(|word| mailbox(word.trim()));
    read.filter_map(|read| read.map_err(|why| table.report("to", why)).ok()).collect()
}

fn mailbox(words: &str) -> Result<Mailbox, Text> {
    words.parse().map_err(|_| {
        let words = super::document::clip(words);
        text!(
            "« {words} » n'est pas une adresse de courriel, comme sig@example.fr ou « Socle <socle@example.fr> »",
            "\"{words}\" is not an address of mail such as sig@example.fr or \"Socle <socle@example.fr>\""
        )
    })
}

/// A host's name or address; a port has a key of its own.
fn server(words: &str) -> Result<String, Text> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':');
    let numbered = words.contains(':') && words.parse::<std::net::IpAddr>().is_err();
    if numbered || !words.bytes().all(plain) {
        return Err(text!(
            "attendu un nom d'hôte, comme smtp.example.fr ; le port a sa clé",
            "expected the name of a host such as smtp.example.fr; the port has a key of its own"
        ));
    }
    Ok(words.to_owned())
}

fn security(words: &str) -> Result<MailSecurity, Text> {
    match words {
        "starttls" => Ok(MailSecurity::StartTls),
        "tls" => Ok(MailSecurity::Tls),
        "none" => Ok(MailSecurity::None),
        other => Err(super::document::hint(other, &["starttls", "tls", "none"])),
    }
}

fn lang(words: &str) -> Result<Lang, Text> {
    match words {
        "fr" => Ok(Lang::Fr),
        "en" => Ok(Lang::En),
        other => Err(super::document::hint(other, &["fr", "en"])),
    }
}

fn header(words: &str) -> Result<String, Text> {
    let ours = ["content-type", "content-length", "host", "connection", "user-agent"];
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let taken = ours.contains(&words.to_ascii_lowercase().as_str());
    if taken || words.len() > 100 || !words.bytes().all(plain) {
        return Err(text!(
            "attendu le nom d'un en-tête HTTP, comme Authorization ou X-Api-Key",
            "expected the name of an HTTP header such as Authorization or X-Api-Key"
        ));
    }
    Ok(words.to_owned())
}
