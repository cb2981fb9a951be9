//! What went wrong, as an OWS exception report: clients of WFS read no other.

use super::version::Version;
use crate::{
    error::Error,
    http::{feed::xml, problem::Failure, visit::Visit},
    model::Text,
};
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};

/// A failure with its code of the standard.
#[derive(Debug)]
pub struct Fail {
    code: &'static str,
    /// The parameter at fault.
    locator: Option<String>,
    failure: Failure,
}

/// The result of what an operation does.
pub type Result<T> = std::result::Result<T, Fail>;

impl Fail {
    /// A parameter is wrong.
    pub fn invalid(locator: &str, text: Text) -> Self {
        Self::new("InvalidParameterValue", locator, Error::Invalid(text))
    }

    /// A parameter is missing.
    pub fn missing(locator: &str) -> Self {
        let text = crate::text!(
            "Le paramètre « {locator} » manque.",
            "Parameter \"{locator}\" is missing."
        );
        Self::new("MissingParameterValue", locator, Error::Invalid(text))
    }

    /// A failure with a code and the parameter at fault.
    pub fn new(code: &'static str, locator: &str, error: Error) -> Self {
        Self { code, locator: Some(locator.to_owned()), failure: error.into() }
    }

    /// What a parameter made fail.
    pub fn at(locator: &str) -> impl Fn(Error) -> Self {
        let locator = locator.to_owned();
        move |error| {
            let mut fail = Self::from(error);
            fail.locator = Some(locator.clone());
            fail
        }
    }

    /// The report, in the words of a version.
    pub fn report(&self, visit: &Visit, version: Version) -> Response {
        if let Failure::Domain(error @ Error::Fault { .. }) = &self.failure {
            tracing::error!(cause = error.chain(), "a WFS request failed");
        }
        let lang = visit.lang();
        let detail = self.failure.detail();
        let (text, code) = (xml(detail.get(lang)), self.code);
        let place = |name: &str| {
            let place = self.locator.as_deref().map(|l| format!(" {name}=\"{}\"", xml(l)));
            place.unwrap_or_default()
        };
        let tag = lang.tag();
        let body = match version {
            Version::V20 => format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ows:ExceptionReport xmlns:ows=\"http://www.opengis.net/ows/1.1\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:schemaLocation=\"http://www.opengis.net/ows/1.1 http://schemas.opengis.net/ows/1.1.0/owsExceptionReport.xsd\" version=\"2.0.0\" xml:lang=\"{tag}\"><ows:Exception exceptionCode=\"{code}\"{}><ows:ExceptionText>{text}</ows:ExceptionText></ows:Exception></ows:ExceptionReport>\n",
                place("locator")
            ),
            Version::V11 => format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ows:ExceptionReport xmlns:ows=\"http://www.opengis.net/ows\" version=\"1.1.0\" language=\"{tag}\"><ows:Exception exceptionCode=\"{code}\"{}><ows:ExceptionText>{text}</ows:ExceptionText></ows:Exception></ows:ExceptionReport>\n",
                place("locator")
            ),
            Version::V10 => format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ServiceExceptionReport xmlns=\"http://www.opengis.net/ogc\" version=\"1.2.0\"><ServiceException code=\"{code}\"{}>{text}</ServiceException></ServiceExceptionReport>\n",
                place("locator")
            ),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(super::XML));
        headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(tag));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.failure.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    fn status(&self) -> StatusCode {
        self.failure.kind().status
    }
}

/// The code of the standard that says it best (OGC 09-025r2, annex D).
impl From<Failure> for Fail {
    fn from(failure: Failure) -> Self {
        let code = match &failure {
            Failure::Domain(Error::Invalid(_)) => "InvalidParameterValue",
            Failure::Domain(Error::NotFound(_)) => "NotFound",
            Failure::Domain(Error::Fault { .. }) => "NoApplicableCode",
            Failure::TooLarge(_) | Failure::MediaType => "OperationParsingFailed",
            _ => "OperationProcessingFailed",
        };
        Self { code, locator: None, failure }
    }
}

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}
