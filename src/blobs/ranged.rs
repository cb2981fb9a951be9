//! A file that others keep, read by ranges where it is: on this machine, at a web address, in
//! object storage. What is read is of one state of the file or is not given at all: whoever
//! replaces it while it is being read cannot make old and new bytes meet.

mod file;
mod web;

use super::s3::Bucket;
use crate::{
    config::{Allowed, S3Settings},
    error::{Error, Result},
    model::{ArchivePlace, ObjectPlace},
    text,
};
use bytes::Bytes;
use std::{ops::Range, path::PathBuf};

/// The file, wherever it is.
#[derive(Debug)]
pub struct Ranged(Place);

#[derive(Debug)]
enum Place {
    File(PathBuf),
    Web(web::Address),
    Bucket { bucket: Box<Bucket>, key: String },
}

/// How the web is asked for it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manners<'a> {
    /// What we call ourselves.
    pub user_agent: &'a str,
    /// What redirects may lead to, besides public addresses and the host that is named.
    pub allow: &'a [Allowed],
}

/// The file as it was when it was looked at.
#[derive(Debug, Clone)]
pub struct Sight {
    /// Its size.
    pub bytes: u64,
    /// What names this state of it; another when its bytes may be others.
    pub state: String,
    /// The file itself, where it is one of this machine.
    file: Option<file::Held>,
}

impl Ranged {
    /// Prepares to read; nothing is asked yet. `web` says how the web is asked, and where redirects
    /// may lead.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the place cannot be used as the settings and the environment
    /// describe it.
    pub fn open(place: &ArchivePlace, web: Manners<'_>) -> Result<Self> {
        Ok(Self(match place {
            ArchivePlace::File(path) => Place::File(path.clone()),
            ArchivePlace::Http(template) => Place::Web(web::Address::new(template, web)?),
            ArchivePlace::S3(ObjectPlace { bucket, key, endpoint, region }) => {
                let settings = S3Settings {
                    bucket: bucket.clone(),
                    prefix: String::new(),
                    endpoint: endpoint.clone(),
                    region: region.clone(),
                };
                Place::Bucket { bucket: Box::new(Bucket::open(&settings)?), key: key.clone() }
            }
        }))
    }

    /// Sees what there is now.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it is not there or out of reach.
    pub async fn look(&self) -> Result<Sight> {
        match &self.0 {
            Place::File(path) => {
                let held = file::Held::open(path.clone()).await?;
                Ok(Sight { bytes: held.bytes(), state: held.state(), file: Some(held) })
            }
            Place::Web(address) => address.look().await,
            Place::Bucket { bucket, key } => match bucket.see(key).await? {
                Some((bytes, state)) => Ok(Sight { bytes, state, file: None }),
                None => Err(absent()),
            },
        }
    }

    /// Whether a file of this machine is still as it was at that sight; `true` of others, whose
    /// every reading tells.
    pub async fn same(&self, sight: &Sight) -> bool {
        match &self.0 {
            Place::File(path) => {
                let now = file::Held::open(path.clone()).await;
                now.is_ok_and(|now| now.state() == sight.state)
            }
            Place::Web(_) | Place::Bucket { .. } => true,
        }
    }

    /// The bytes of a range, all of them, as they were at that sight; `None` when the file is
    /// another by now.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it is out of reach, [`Error::Refused`] for a range outside it.
    pub async fn read(&self, sight: &Sight, range: Range<u64>) -> Result<Option<Bytes>> {
        if range.start >= range.end || range.end > sight.bytes {
            return Err(Error::Refused(text!(
                "une partie du fichier est dite hors du fichier",
                "a part of the file is said to be outside of it"
            )));
        }
        match &self.0 {
            Place::File(_) => match &sight.file {
                Some(held) => held.read(range).await,
                None => Ok(None),
            },
            Place::Web(address) => address.read(sight, range).await,
            Place::Bucket { bucket, key } => {
                bucket.read_as(key, range, sight.bytes, &sight.state).await
            }
        }
    }
}

fn absent() -> Error {
    Error::Unavailable(text!(
        "Le fichier de tuiles n'est pas là, ou ne peut pas être lu.",
        "The file of tiles is not there, or cannot be read."
    ))
}
