//! One archive: the state it was last seen in, looked at again from time to time by whoever asks
//! for it next.

use super::reader::Reader;
use crate::{
    blobs::{Manners, Ranged, Sight},
    error::{Error, Result},
    formats::tile_archive::Described,
    model::{ArchiveDef, push_hex, stable_hash},
    text,
};
use arc_swap::ArcSwap;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// How long a failure is told again before the archive is asked once more.
const AGAIN: Duration = Duration::from_secs(2);

/// How often it is looked at again when it is replaced meanwhile.
pub(super) const ATTEMPTS: usize = 3;

/// An archive that is declared.
pub struct Archive {
    /// What the operator declares.
    pub def: ArchiveDef,
    place: Arc<Ranged>,
    seen: ArcSwap<Seen>,
    /// Held by whoever looks.
    looking: Mutex<()>,
}

/// An archive in one state.
pub struct Opened {
    /// The name of the state.
    pub state: Arc<str>,
    /// What it says of itself.
    pub described: Described,
    pub(super) reader: Reader,
    sight: Sight,
}

/// What is known.
#[derive(Default, Clone)]
struct Seen {
    opened: Option<Arc<Opened>>,
    /// When it was looked at last.
    at: Option<Instant>,
    /// What that look failed with.
    failure: Option<Arc<Error>>,
}

impl Seen {
    /// What can be told without looking; `None` when it is time to look.
    fn told(&self, refresh: Duration) -> Option<Result<Arc<Opened>>> {
        let age = self.at?.elapsed();
        match (&self.opened, &self.failure) {
            // Better what was seen before than nothing; reading it will tell.
            (Some(opened), Some(_)) if age < AGAIN => Some(Ok(opened.clone())),
            (Some(opened), None) if age < refresh => Some(Ok(opened.clone())),
            (None, Some(failure)) if age < AGAIN => Some(Err(failure.again())),
            _ => None,
        }
    }
}

impl Archive {
    pub(super) fn new(def: ArchiveDef, web: Manners<'_>) -> Result<Self> {
        let place = Arc::new(Ranged::open(&def.place, web)?);
        let (seen, looking) = (ArcSwap::default(), Mutex::default());
        Ok(Self { def, place, seen, looking })
    }

    /// The archive in the state it is in now, as far as is known.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it is not there, out of reach or damaged, and was not seen
    /// before.
    pub async fn opened(&self) -> Result<Arc<Opened>> {
        let seen = self.seen.load_full();
        if let Some(told) = seen.told(self.def.refresh) {
            return told;
        }
        // One looks; the others take what was seen before, if anything was.
        let _turn = match (&seen.opened, self.looking.try_lock()) {
            (_, Ok(turn)) => turn,
            (Some(opened), Err(_)) => return Ok(opened.clone()),
            (None, Err(_)) => self.looking.lock().await,
        };
        let seen = self.seen.load_full();
        if let Some(told) = seen.told(self.def.refresh) {
            return told;
        }
        let looked = self.look(seen.opened.as_ref()).await;
        let now = Some(Instant::now());
        match looked {
            Ok(opened) => {
                let seen = Seen { opened: Some(opened.clone()), at: now, failure: None };
                self.seen.store(Arc::new(seen));
                Ok(opened)
            }
            Err(error) => {
                let error = unavailable(error);
                tracing::warn!(archive = %self.def.id, cause = error.chain(), "archive of tiles");
                let failure = Some(Arc::new(error.again()));
                self.seen.store(Arc::new(Seen { opened: seen.opened.clone(), at: now, failure }));
                seen.opened.clone().ok_or(error)
            }
        }
    }

    /// Looks at the file, and opens it when it is another than `before`.
    async fn look(&self, before: Option<&Arc<Opened>>) -> Result<Arc<Opened>> {
        for _ in 0..ATTEMPTS {
            let sight = self.place.look().await?;
            if let Some(same) = before.filter(|opened| opened.sight.state == sight.state) {
                return Ok(same.clone());
            }
            let opened = Reader::open(&self.def.place, &self.place, &sight).await?;
            let Some((reader, described)) = opened else { continue };
            // Sizes and times of a machine are nobody's business.
            let mut state = String::new();
            push_hex(stable_hash(&format!("{} {}", self.def.id, sight.state)), 16, &mut state);
            tracing::info!(archive = %self.def.id, state, "archive of tiles opened");
            return Ok(Arc::new(Opened { state: state.into(), described, reader, sight }));
        }
        Err(replaced())
    }

    /// Notes that a state is no longer the archive's, so that it is looked at again at once.
    pub(super) fn outdated(&self, opened: &Arc<Opened>) {
        let seen = self.seen.load_full();
        if seen.opened.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, opened)) {
            self.seen.store(Arc::default());
        }
    }
}

pub(super) fn replaced() -> Error {
    Error::Unavailable(text!(
        "L'archive de tuiles est en cours de remplacement.",
        "The archive of tiles is being replaced."
    ))
}

/// An archive that cannot be taken as it is cannot be served: that is no fault of who asks.
pub(super) fn unavailable(error: Error) -> Error {
    match error {
        Error::Refused(text) => Error::Unavailable(text),
        other => other,
    }
}
