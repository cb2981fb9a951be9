//! Failures become answers here and nowhere else: problem documents (RFC 9457) for tools, pages
//! for people, in the language asked for. The list of kinds is closed. What went wrong on our
//! side is logged once with its cause and answered with a fixed sentence.

use super::{
    Site,
    links::{Link, media},
    negotiate::{self, Format},
    pages,
};
use crate::{
    error::Error,
    model::{Lang, Text},
    text,
};
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::sync::Arc;

/// Why a request got no answer of its own.
#[derive(Debug)]
pub enum Failure {
    /// What the services said.
    Domain(Error),
    /// No route has that path.
    NoRoute,
    /// The resource knows GET, HEAD and OPTIONS only.
    Method,
    /// No format that the client accepts.
    NotAcceptable,
    /// The address is longer than allowed.
    TooLong(usize),
    /// The body is larger than so many bytes.
    TooLarge(usize),
    /// The body is of a media type that the resource does not take.
    MediaType,
    /// The answer took too long.
    Timeout,
    /// The token of the operator is missing or is not the one.
    Unauthorized,
    /// The range asked for lies behind the end of a file of so many bytes.
    Range(u64),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Domain(error)
    }
}

/// A failure on its way to [`finish`], which knows language, format and request id.
#[derive(Clone)]
struct Pending(Arc<Failure>);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.kind().status.into_response();
        response.extensions_mut().insert(Pending(Arc::new(self)));
        response
    }
}

/// One member of the closed list.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Last segment of the problem's `type`.
    pub id: &'static str,
    /// Status.
    pub status: StatusCode,
    /// French title.
    pub fr: &'static str,
    /// English title.
    pub en: &'static str,
}

impl Kind {
    const fn new(id: &'static str, status: StatusCode, fr: &'static str, en: &'static str) -> Self {
        Self { id, status, fr, en }
    }

    /// The title in a language.
    pub fn title(&self, lang: Lang) -> &'static str {
        match lang {
            Lang::Fr => self.fr,
            Lang::En => self.en,
        }
    }
}

const INVALID: Kind =
    Kind::new("invalid", StatusCode::BAD_REQUEST, "Demande incorrecte", "Incorrect request");
const NOT_FOUND: Kind = Kind::new("not-found", StatusCode::NOT_FOUND, "Introuvable", "Not found");
const METHOD: Kind = Kind::new(
    "method-not-allowed",
    StatusCode::METHOD_NOT_ALLOWED,
    "Méthode non permise",
    "Method not allowed",
);
const NOT_ACCEPTABLE: Kind = Kind::new(
    "not-acceptable",
    StatusCode::NOT_ACCEPTABLE,
    "Format non disponible",
    "Format not available",
);
const CONFLICT: Kind = Kind::new(
    "conflict",
    StatusCode::CONFLICT,
    "Impossible dans l'état actuel",
    "Not possible in the present state",
);
const GONE: Kind = Kind::new("gone", StatusCode::GONE, "N'existe plus", "Gone");
const TOO_LONG: Kind =
    Kind::new("uri-too-long", StatusCode::URI_TOO_LONG, "Adresse trop longue", "Address too long");
const FAULT: Kind =
    Kind::new("fault", StatusCode::INTERNAL_SERVER_ERROR, "Erreur du service", "Service error");
const BUSY: Kind =
    Kind::new("busy", StatusCode::SERVICE_UNAVAILABLE, "Service saturé", "Service busy");
const UNAVAILABLE: Kind = Kind::new(
    "unavailable",
    StatusCode::SERVICE_UNAVAILABLE,
    "Momentanément indisponible",
    "Unavailable for now",
);
const TIMEOUT: Kind = Kind::new(
    "timeout",
    StatusCode::SERVICE_UNAVAILABLE,
    "Réponse trop longue à préparer",
    "The answer took too long",
);

const TOO_LARGE: Kind = Kind::new(
    "content-too-large",
    StatusCode::PAYLOAD_TOO_LARGE,
    "Contenu trop gros",
    "Content too large",
);
const MEDIA_TYPE: Kind = Kind::new(
    "unsupported-media-type",
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "Type de contenu non accepté",
    "Media type not accepted",
);
const UNAUTHORIZED: Kind =
    Kind::new("unauthorized", StatusCode::UNAUTHORIZED, "Jeton demandé", "Token required");

const FULL: Kind = Kind::new(
    "insufficient-storage",
    StatusCode::INSUFFICIENT_STORAGE,
    "Plus de place sur le disque",
    "No room left on the disk",
);
const RANGE: Kind = Kind::new(
    "range-not-satisfiable",
    StatusCode::RANGE_NOT_SATISFIABLE,
    "Plage hors du fichier",
    "Range outside the file",
);

/// Every kind of problem, for the API definition and `/problems/{id}`.
pub const KINDS: [Kind; 16] = [
    INVALID,
    NOT_FOUND,
    METHOD,
    NOT_ACCEPTABLE,
    CONFLICT,
    GONE,
    TOO_LONG,
    TOO_LARGE,
    MEDIA_TYPE,
    FAULT,
    BUSY,
    UNAVAILABLE,
    TIMEOUT,
    UNAUTHORIZED,
    FULL,
    RANGE,
];

impl Failure {
    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Domain(error) => match error {
                Error::Invalid(_) => INVALID,
                Error::NotFound(_) => NOT_FOUND,
                Error::Gone { .. } => GONE,
                Error::Conflict(_) | Error::Refused(_) | Error::Source(_) => CONFLICT,
                Error::Busy { .. } => BUSY,
                Error::Unavailable(_) => UNAVAILABLE,
                Error::Full(_) => FULL,
                Error::Fault { .. } => FAULT,
            },
            Self::NoRoute => NOT_FOUND,
            Self::Method => METHOD,
            Self::NotAcceptable => NOT_ACCEPTABLE,
            Self::TooLong(_) => TOO_LONG,
            Self::TooLarge(_) => TOO_LARGE,
            Self::MediaType => MEDIA_TYPE,
            Self::Timeout => TIMEOUT,
            Self::Unauthorized => UNAUTHORIZED,
            Self::Range(_) => RANGE,
        }
    }

    /// What was wrong, where, and what is allowed.
    pub fn detail(&self) -> Text {
        match self {
            Self::Domain(
                Error::Invalid(text)
                | Error::NotFound(text)
                | Error::Gone { text, .. }
                | Error::Conflict(text)
                | Error::Refused(text)
                | Error::Full(text)
                | Error::Unavailable(text),
            ) => text.clone(),
            Self::Domain(Error::Source(failure)) => failure.text.clone(),
            Self::Domain(Error::Busy { .. }) => text!(
                "Trop de demandes en même temps. Réessayez dans un instant.",
                "Too many requests at once. Try again in a moment."
            ),
            Self::Domain(Error::Fault { .. }) => text!(
                "Une erreur s'est produite de notre côté. Elle est consignée sous le numéro de cette demande.",
                "An error occurred on our side. It is logged under this request's id."
            ),
            Self::NoRoute => {
                text!("Aucune ressource à cette adresse.", "No resource at this address.")
            }
            Self::Method => text!(
                "Méthode que cette ressource ne connaît pas : l'en-tête Allow donne celles qu'elle connaît.",
                "A method this resource does not know: the Allow header lists those it knows."
            ),
            Self::Unauthorized => text!(
                "Réservé à l'exploitant : donnez son jeton (Authorization: Bearer, mot de passe Basic, ou « key »).",
                "For the operator: give the token (Authorization: Bearer, Basic password, or \"key\")."
            ),
            Self::NotAcceptable => text!(
                "Aucun des formats demandés (en-tête Accept) n'est disponible. Formats : JSON et HTML.",
                "None of the formats asked for (Accept header) is available. Formats: JSON and HTML."
            ),
            Self::TooLong(max) => {
                text!("L'adresse dépasse {max} octets.", "The address is longer than {max} bytes.")
            }
            Self::TooLarge(max) => text!(
                "Le contenu envoyé dépasse {max} octets : coupez la table en plusieurs.",
                "The content sent is larger than {max} bytes: cut the table into several."
            ),
            Self::MediaType => text!(
                "Ce type de contenu (Content-Type) n'est pas accepté. Acceptés : text/csv, application/vnd.openxmlformats-officedocument.spreadsheetml.sheet, application/json, multipart/form-data. Avec curl : -H 'Content-Type: text/csv' --data-binary @table.csv.",
                "This media type (Content-Type) is not accepted. Accepted: text/csv, application/vnd.openxmlformats-officedocument.spreadsheetml.sheet, application/json, multipart/form-data. With curl: -H 'Content-Type: text/csv' --data-binary @table.csv."
            ),
            Self::Range(size) => text!(
                "Le fichier a {size} octets : cette plage n'en fait pas partie.",
                "The file has {size} bytes: this range is not among them."
            ),
            Self::Timeout => text!(
                "La réponse n'a pas pu être préparée à temps. Réduisez la demande ou réessayez.",
                "The answer could not be prepared in time. Ask for less or try again."
            ),
        }
    }

    /// Seconds after which trying again makes sense.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Domain(Error::Busy { retry_after }) => Some(retry_after.as_secs().max(1)),
            Self::Domain(Error::Unavailable(_)) => Some(10),
            Self::Timeout => Some(5),
            _ => None,
        }
    }
}

/// What [`finish`] must know of the request.
pub struct Asked<'a> {
    /// Request id.
    pub id: &'a str,
    /// `Accept`.
    pub accept: Option<&'a str>,
    /// `Accept-Language`.
    pub language: Option<&'a str>,
    /// Raw query, for `f`.
    pub query: Option<&'a str>,
    /// Path below the service root.
    pub path: &'a str,
    /// Root of the service, ending in `/`.
    pub base: String,
    /// Root within the scope, ending in `/`.
    pub root: String,
}

/// Gives the failure a response carries, if it carries one; answers of the framework itself
/// (unreadable path, wrong method) count as failures too.
pub fn pending(response: &mut Response) -> Option<Arc<Failure>> {
    let status = response.status();
    if status.is_success() || status.is_redirection() {
        return None;
    }
    if let Some(Pending(failure)) = response.extensions_mut().remove::<Pending>() {
        return Some(failure);
    }
    if response.headers().contains_key(header::CONTENT_LANGUAGE) {
        return None; // already a document of ours (readiness)
    }
    Some(Arc::new(match status {
        StatusCode::METHOD_NOT_ALLOWED => Failure::Method,
        StatusCode::NOT_FOUND => Failure::NoRoute,
        status if status.is_client_error() => Failure::Domain(Error::Invalid(text!(
            "L'adresse est illisible.",
            "The address is unreadable."
        ))),
        status => Failure::Domain(Error::broken(format!("framework answered {status}"))),
    }))
}

/// The document of a failure.
pub fn finish(site: &Site, failure: &Failure, asked: &Asked<'_>) -> Response {
    if let Failure::Domain(error @ Error::Fault { .. }) = failure {
        tracing::error!(request_id = asked.id, cause = error.chain(), "request failed");
    }
    let kind = failure.kind();
    let lang = negotiate::lang(asked.language);
    let problem = Problem {
        kind,
        lang,
        detail: failure.detail().get(lang).to_owned(),
        id: asked.id.to_owned(),
        type_url: format!("{}problems/{}", asked.base, kind.id),
        links: links(failure, asked),
    };
    let explicit = asked.query.unwrap_or_default().split('&').find_map(|p| p.strip_prefix("f="));
    let html = match explicit {
        Some("html") => true,
        Some(_) => false,
        None => negotiate::format(asked.accept) == Some(Format::Html),
    };
    let mut response = if html {
        Response::new(Body::from(pages::problem::page(site, &asked.base, &problem)))
    } else {
        Response::new(Body::from(problem.json()))
    };
    *response.status_mut() = kind.status;
    let headers = response.headers_mut();
    let content = if html { "text/html; charset=utf-8" } else { media::PROBLEM };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(lang.tag()));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Language"));
    if let Some(seconds) = failure.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Failure::Range(size) = failure
        && let Ok(value) = HeaderValue::from_str(&format!("bytes */{size}"))
    {
        headers.insert(header::CONTENT_RANGE, value);
    }
    if matches!(failure, Failure::Method) {
        let allowed = super::router::methods(asked.path);
        headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
    }
    if matches!(failure, Failure::Unauthorized) {
        // Basic, so that browsers and spreadsheets ask their user; the token is the password.
        for way in ["Bearer realm=\"socle\"", "Basic realm=\"socle\", charset=\"UTF-8\""] {
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(way));
        }
    }
    let listed: Vec<String> = problem.links.iter().map(Link::header).collect();
    if let Ok(value) = HeaderValue::from_str(&listed.join(", "))
        && !listed.is_empty()
    {
        headers.insert(header::LINK, value);
    }
    response
}

/// Where to go on: the start of a page whose version is gone, routes near an unknown one.
fn links(failure: &Failure, asked: &Asked<'_>) -> Vec<Link> {
    match failure {
        Failure::Domain(Error::Gone { follow: Some(path), .. }) => {
            vec![Link::new("start", media::JSON, format!("{}{path}", asked.root))]
        }
        Failure::NoRoute => super::router::near(asked.path)
            .into_iter()
            .map(|path| Link::new("related", media::JSON, format!("{}{path}", asked.root)))
            .collect(),
        _ => Vec::new(),
    }
}

/// A problem, worded.
pub struct Problem {
    /// Its kind.
    pub kind: Kind,
    /// The language of its words.
    pub lang: Lang,
    /// What was wrong, where, and what is allowed.
    pub detail: String,
    /// Request id.
    pub id: String,
    /// Absolute address of the kind's page.
    pub type_url: String,
    /// Where to go on.
    pub links: Vec<Link>,
}

impl Problem {
    fn json(&self) -> Vec<u8> {
        let mut body = serde_json::json!({
            "type": self.type_url,
            "title": self.kind.title(self.lang),
            "status": self.kind.status.as_u16(),
            "detail": self.detail,
            "instance": self.id,
            "request_id": self.id,
        });
        if !self.links.is_empty() {
            body["links"] = serde_json::json!(self.links);
        }
        body.to_string().into_bytes()
    }
}
