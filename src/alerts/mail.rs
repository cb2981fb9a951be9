//! Mail over SMTP: one letter for all that is due, in plain text.

use super::{authorities, unusable_authorities};
use crate::{
    config::{MailSecurity, MailSettings},
    model::Text,
    text,
};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::header::{ContentType, HeaderName, HeaderValue},
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};
use std::{error::Error as _, path::PathBuf, time::Duration};

/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(10);
/// How long one letter may take, whatever the server says meanwhile.
const LIMIT: Duration = Duration::from_secs(30);

/// Where letters go, and how.
#[derive(Debug)]
pub(super) struct Mail {
    pub(super) settings: MailSettings,
    pub(super) ca_file: Option<PathBuf>,
}

/// A letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter {
    /// Names it, so that one that comes twice is seen to be the same: hexadecimal.
    pub(super) id: String,
    pub(super) subject: String,
    pub(super) body: String,
}

impl Mail {
    /// Sends one letter to all addresses.
    ///
    /// # Errors
    /// Why the server did not take it, without credentials.
    pub(super) async fn send(&self, letter: &Letter) -> Result<(), Text> {
        let message = self.message(letter)?;
        let transport = self.transport()?;
        match tokio::time::timeout(LIMIT, transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(e)) => Err(refused(&e)),
            Err(_) => {
                let limit = LIMIT.as_secs();
                Err(text!("pas envoyé en {limit} s", "not sent within {limit} s"))
            }
        }
    }

    fn message(&self, letter: &Letter) -> Result<Message, Text> {
        let MailSettings { from, to, .. } = &self.settings;
        let id = format!("<{}@{}>", letter.id, from.email.domain());
        // RFC 3834: nobody's absence is answered to it.
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let mut message = Message::builder()
            .from(from.clone())
            .subject(letter.subject.as_str())
            .date_now()
            .message_id(Some(id))
            .header(ContentType::TEXT_PLAIN)
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()));
        for to in to {
            message = message.to(to.clone());
        }
        message.body(letter.body.clone()).map_err(|e| {
            tracing::warn!("a letter cannot be written: {e}");
            text!("lettre impossible à écrire", "the letter cannot be written")
        })
    }

    fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, Text> {
        let MailSettings { server, port, security, login, .. } = &self.settings;
        let tls = match security {
            MailSecurity::StartTls => Tls::Required(self.tls()?),
            MailSecurity::Tls => Tls::Wrapper(self.tls()?),
            MailSecurity::None => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.as_str())
            .port(*port)
            .tls(tls)
            .timeout(Some(SILENCE));
        if let Some(login) = login {
            let read = |secret: &crate::config::Secret| {
                secret.read().map_err(|e| Text::same(e.to_string()))
            };
            builder =
                builder.credentials(Credentials::new(read(&login.user)?, read(&login.password)?));
        }
        Ok(builder.build())
    }

    fn tls(&self) -> Result<TlsParameters, Text> {
        let mut builder = TlsParameters::builder(self.settings.server.clone());
        if let Some(pem) = authorities(self.ca_file.as_deref())? {
            let all = Certificate::from_pem(&pem).map_err(|_| unusable_authorities())?;
            builder = builder.add_root_certificate(all);
        }
        builder.build().map_err(|e| refused(&e))
    }
}

/// What the server said, or why it could not be reached.
fn refused(error: &lettre::transport::smtp::Error) -> Text {
    let mut cause = error.to_string();
    let mut deeper = error.source();
    while let Some(source) = deeper {
        let words = source.to_string();
        if !cause.contains(&words) {
            cause = format!("{cause}: {words}");
        }
        deeper = source.source();
    }
    let cause: String = cause.chars().filter(|c| !c.is_control()).take(300).collect();
    text!(
        "le serveur de courriel ne l'a pas pris ({cause})",
        "the mail server did not take it ({cause})"
    )
}
