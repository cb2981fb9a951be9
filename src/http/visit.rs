//! One request as handlers see it: parameters, scope, preferences and the addresses of links.
//! What costs is worked out only when asked: a cached tile needs little of it.

use super::{
    Site,
    archives::no_features,
    negotiate::{self, Format},
    params::{Params, encode, name},
    problem::Failure,
    scope::{self, Scope},
};
use crate::{
    app::World,
    catalog::{Layer, Outline, Snapshot},
    error::{Error, Result},
    model::{Lang, Selection, Text},
    territory::Reference,
    text,
};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, Uri, header, request::Parts},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

/// What the front found in the address before routing; travels in the request's extensions.
#[derive(Clone, Default)]
pub struct Entry {
    /// The scope of `/t/{scope}/…`.
    pub scope: Option<Arc<Scope>>,
    /// Root of the service as a trusted proxy told it.
    pub told: Option<Arc<str>>,
    /// The layers and the reference that the scope was understood by.
    pub world: Option<Arc<World>>,
}

/// A request.
pub struct Visit {
    /// The long-lived parts.
    pub site: Arc<Site>,
    /// Query parameters.
    pub params: Params,
    /// The scope of `/t/{scope}/…`.
    pub scope: Option<Arc<Scope>>,
    /// The address below the service (and scope) root.
    uri: Uri,
    headers: HeaderMap,
    told: Option<Arc<str>>,
    /// How territories inside of filters were understood.
    heard: Mutex<BTreeSet<String>>,
    /// The layers and the territory reference, the same from the first look to the last.
    world: Arc<World>,
}

impl FromRequestParts<Arc<Site>> for Visit {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Failure> {
        let Entry { scope, told, world } =
            parts.extensions.get::<Entry>().cloned().unwrap_or_default();
        Ok(Self {
            site: site.clone(),
            params: Params::parse(parts.uri.query())?,
            scope,
            told,
            world: world.unwrap_or_else(|| site.app.world()),
            uri: parts.uri.clone(),
            headers: std::mem::take(&mut parts.headers),
            heard: Mutex::default(),
        })
    }
}

impl Visit {
    /// Path below the service (and scope) root, without leading slash, still encoded.
    pub fn path(&self) -> &str {
        self.uri.path().trim_start_matches('/')
    }

    /// A request header, when it is readable text.
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// The language to answer in.
    pub fn lang(&self) -> Lang {
        negotiate::lang(self.header(header::ACCEPT_LANGUAGE))
    }

    /// The wording in that language.
    pub fn say<'a>(&self, text: &'a Text) -> &'a str {
        text.get(self.lang())
    }

    /// Whether gzip may be sent.
    pub fn gzip(&self) -> bool {
        negotiate::gzip(self.header(header::ACCEPT_ENCODING))
    }

    /// JSON or page: `f`, else `Accept`.
    pub fn format(&self) -> Result<Format, Failure> {
        let asked = self.params.get(name::F);
        let form = if asked == Some("geojson") { "json" } else { self.form(&["json", "html"])? };
        Ok(if form == "html" { Format::Html } else { Format::Json })
    }

    /// The form of the answer, of those that a resource has: `f`, else JSON or page by `Accept`.
    ///
    /// # Errors
    /// [`Error::Invalid`], listing them; [`Failure::NotAcceptable`].
    pub fn form(&self, forms: &[&'static str]) -> Result<&'static str, Failure> {
        let Some(asked) = self.params.get(name::F) else {
            let format = negotiate::format(self.header(header::ACCEPT));
            return format.map(Format::id).ok_or(Failure::NotAcceptable);
        };
        forms.iter().find(|form| **form == asked).copied().ok_or_else(|| {
            let (shown, list): (String, _) = (asked.chars().take(40).collect(), forms.join(", "));
            Error::Invalid(text!(
                "Paramètre « f » : « {shown} ». Formats possibles : {list}.",
                "Parameter \"f\": \"{shown}\". Possible formats: {list}."
            ))
            .into()
        })
    }

    /// The territory reference in force.
    pub fn reference(&self) -> &Arc<Reference> {
        &self.world.reference
    }

    /// The layers at this moment.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.world.snapshot.clone()
    }

    /// A layer by its id in the path.
    pub fn layer(&self, id: &str) -> Result<Arc<Layer>> {
        self.world.snapshot.layer(id).cloned().map_err(|unknown| {
            match self.site.app.archives.get(id) {
                Some(_) => no_features(id),
                None => unknown,
            }
        })
    }

    /// The layer as documents of the scope describe it: with the extent of what is selected.
    pub async fn described(&self, layer: &Arc<Layer>) -> Result<Arc<Layer>> {
        let Some(selection) = self.selection(None) else { return Ok(layer.clone()) };
        let items = &self.site.app.items;
        let extent = match self.outline(None)? {
            None => items.extent(layer, &selection).await?,
            Some(outline) => items.cut_extent(layer, Some(&selection), &outline).await?,
        };
        let mut described = Layer::clone(layer);
        if let Some(at) = &mut described.current {
            Arc::make_mut(&mut at.version).bbox = extent;
        }
        Ok(Arc::new(described))
    }

    /// Root of the whole service, ending in `/`: `public_url`, else what a trusted proxy told, else
    /// the `Host` asked for.
    pub fn base(&self) -> String {
        self.site.base(self.told.as_deref(), self.header(header::HOST))
    }

    /// Root of the service within the scope, ending in `/`.
    pub fn root(&self) -> String {
        let mut root = self.base();
        if let Some(scope) = &self.scope {
            root.push_str("t/");
            root.push_str(&scope.written);
            root.push('/');
        }
        root
    }

    /// An absolute address within the scope; `path` has no leading slash.
    pub fn url(&self, path: &str) -> String {
        let mut url = self.root();
        url.push_str(path);
        url
    }

    /// This resource's own address with the parameters received, but for credentials and those
    /// in `without`; `with` is added at the end.
    pub fn address(&self, without: &[&str], with: &[(&str, &str)]) -> String {
        let mut url = self.url(self.path());
        let kept = self.params.iter().filter(|(n, _)| {
            !super::params::SECRETS.contains(n)
                && !without.contains(n)
                && !with.iter().any(|(w, _)| w == n)
        });
        let mut separator = '?';
        for (name, value) in kept.chain(with.iter().copied()) {
            url.push(separator);
            url.push_str(&encode(name));
            url.push('=');
            url.push_str(&encode(value));
            separator = '&';
        }
        url
    }

    /// Territories of the `territory` parameter (or `territoire`), understood.
    pub fn asked_territory(&self) -> Result<Option<Arc<Scope>>> {
        let mode = scope::mode(self.params.get(name::MODE))?;
        let (fr, en) = (self.params.get(name::TERRITOIRE), self.params.get(name::TERRITORY));
        if fr.is_some() && en.is_some() {
            return Err(Error::Invalid(text!(
                "« territory » et « territoire » sont le même paramètre : n'en donnez qu'un.",
                "\"territory\" and \"territoire\" are the same parameter: give one of them."
            )));
        }
        let vintage = self.params.number(name::VINTAGE)?.map(|n| n.try_into().unwrap_or(u16::MAX));
        let Some(value) = en.or(fr) else {
            return match mode {
                _ if vintage.is_some() => Err(Error::Invalid(text!(
                    "« vintage » dit de quelle année sont les codes de « territory » : donnez les deux, ou l'année dans l'adresse (/t/epci-200012060@2019/).",
                    "\"vintage\" says of which year the codes in \"territory\" are: give both, or the year in the address (/t/epci-200012060@2019/)."
                ))),
                // Never uncut features in place of cut ones.
                scope::Asked::Clip => Err(Error::Invalid(text!(
                    "« territory-mode=clip » demande un territoire : « territory=dep:59 », ou l'adresse /t/dep-59-clip/.",
                    "\"territory-mode=clip\" wants a territory: \"territory=dep:59\", or the address /t/dep-59-clip/."
                ))),
                _ => Ok(None),
            };
        };
        self.site.scopes.parameter(self.reference(), value, mode, vintage).map(Some)
    }

    /// Notes how territories inside of a filter were understood.
    pub fn hear(&self, notices: &[String]) {
        if !notices.is_empty() {
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.extend(notices.iter().cloned());
        }
    }

    /// `Socle-Territory-Notice`: how codes that are no longer current were understood, of the
    /// parameter and of filters; `None` when all were taken as written.
    pub fn notice(&self, asked: Option<&Scope>) -> Option<String> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let of_parameter = asked.and_then(|asked| asked.notice.as_ref());
        let all: Vec<&str> = of_parameter.into_iter().chain(&*heard).map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// The filter of the scope, of the parameter, or of both met.
    pub fn selection(&self, asked: Option<&Arc<Scope>>) -> Option<Arc<Selection>> {
        match (&self.scope, asked) {
            (None, None) => None,
            (Some(one), None) | (None, Some(one)) => Some(one.selection.clone()),
            (Some(scope), Some(asked)) => {
                Some(self.site.scopes.meet(self.reference(), scope, asked))
            }
        }
    }

    /// The border to cut at, of the scope, of the parameter, or of both; `None` when nothing is to
    /// be cut.
    ///
    /// # Errors
    /// [`Error::Conflict`] when no layer gives it.
    pub fn outline(&self, asked: Option<&Arc<Scope>>) -> Result<Option<Outline>> {
        let perimeters = [self.scope.as_ref(), asked].into_iter().flatten();
        let mut outline: Option<Outline> = None;
        for perimeter in perimeters.filter_map(|s| s.clip.as_ref()) {
            let new = self.snapshot().outline(perimeter)?;
            outline = Some(match outline {
                None => new,
                Some(other) => other.and(&new),
            });
        }
        Ok(outline)
    }

    /// The scope's words for titles: « Nord (dep 59), sélectionné ».
    pub fn scope_title(&self) -> Option<Text> {
        self.scope.as_ref().map(|scope| self.site.scope_title(scope))
    }

    /// A title with the scope's words after it.
    pub fn titled(&self, title: &Text) -> String {
        match self.scope_title() {
            None => self.say(title).to_owned(),
            Some(scope) => format!("{} — {}", self.say(title), self.say(&scope)),
        }
    }
}
