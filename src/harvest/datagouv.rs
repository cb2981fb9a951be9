//! A dataset of data.gouv.fr, or of a portal with its API (udata): the right file of it is found by
//! format and date, fetched only when the portal says that it moved, and checked against the
//! portal's checksum. What the portal says of the dataset goes with the file.

mod api;
mod choose;

use super::{
    Fetch, Harvester, failed,
    http::{self, held},
    pages::Asking,
    redact::redact,
};
use crate::{
    config,
    error::{Error, Result},
    model::{DatagouvSource, Dataset, Fault, Harvested, Progress, SourceDef, Wanted},
    text,
};
use api::{Found, Portal};
use jiff::{Timestamp, civil::Date};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::{io::Read, path::Path};

/// Most bytes of what the portal says.
const MAX_API: u64 = 64 << 20;

/// Fetches the file of a dataset.
pub(super) async fn fetch(
    wanted: &DatagouvSource,
    source: &SourceDef,
    harvester: &Harvester,
    previous: Option<&Harvested>,
    progress: &dyn Progress,
) -> Result<Fetch> {
    let portal = http::resolve(&wanted.portal)?;
    let found = {
        let _turn = harvester.hosts.turn(portal.host_str().unwrap_or_default()).await;
        let asking = Asking::new(harvester, "application/json", MAX_API);
        Portal { address: portal, asking }.find(wanted, source.format).await?
    };
    let dataset = Box::new(describe(&found));
    let origin = stable(wanted, &found.resource.id);
    let previous = previous.filter(|p| p.origin == origin);
    if let Some(unchanged) = unchanged(harvester, previous, &dataset).await? {
        return Ok(unchanged);
    }
    let address = &found.resource.url;
    let fetched = http::get(address, origin, source, harvester, previous, progress).await?;
    let (Fetch::New(file) | Fetch::Unchanged(file)) = &fetched;
    check(&file.path, dataset.checksum.as_deref()).await?;
    Ok(match fetched {
        Fetch::New(file) => Fetch::New(Harvested { dataset: Some(dataset), ..file }),
        Fetch::Unchanged(file) => Fetch::Unchanged(Harvested { dataset: Some(dataset), ..file }),
    })
}

/// The place for people: what is looked for.
pub(super) fn shown(source: &DatagouvSource) -> String {
    let portal = redact(source.portal.trim_end_matches('/'));
    match &source.wanted {
        Wanted::Dataset(id) => format!("{portal}/datasets/{id}/"),
        Wanted::Resource(id) => stable(source, id),
        Wanted::Search { organization, tags, schema } => {
            let words = organization.iter().chain(schema).chain(tags);
            let words: Vec<&str> = words.map(String::as_str).collect();
            format!("{portal}/ ({})", words.join(", "))
        }
    }
}

/// The address of a resource that stays when its file is replaced.
fn stable(source: &DatagouvSource, resource: &str) -> String {
    redact(&format!("{}/api/1/datasets/r/{resource}", source.portal.trim_end_matches('/')))
}

/// What the portal says, as it goes with the file.
fn describe(Found { dataset, resource }: &Found) -> Dataset {
    let checksum = resource.checksum.as_ref().filter(|c| !c.value.is_empty());
    let licence = dataset.license.as_deref().filter(|id| !id.is_empty());
    Dataset {
        title: dataset.title.clone(),
        producer: dataset.producer(),
        licence: licence.map(config::licence),
        page: dataset.page.clone(),
        temporal: dataset.temporal_coverage.as_ref().and_then(|covered| {
            let day = |words: &Option<String>| -> Option<Date> {
                words.as_deref()?.get(..10)?.parse().ok()
            };
            Some((day(&covered.start)?, day(&covered.end)))
        }),
        resource: resource.title.clone(),
        url: redact(&resource.url),
        checksum: checksum.map(|c| format!("{}:{}", c.kind.to_lowercase(), c.value.to_lowercase())),
        modified: resource.last_modified.as_deref().and_then(moment),
    }
}

/// Portals write instants with and without their zone.
fn moment(words: &str) -> Option<Timestamp> {
    words.parse().ok().or_else(|| format!("{words}Z").parse().ok())
}

/// The file of before, when the portal says by its checksum that it is still the one. One without
/// (on another site) moves without the portal knowing: it is asked itself.
async fn unchanged(
    harvester: &Harvester,
    previous: Option<&Harvested>,
    now: &Dataset,
) -> Result<Option<Fetch>> {
    let known = previous.and_then(|p| Some((p, p.dataset.as_deref()?)));
    let same = |before: &Dataset| before.checksum.is_some() && before.checksum == now.checksum;
    let Some((file, _)) = known.filter(|(_, before)| same(before)) else { return Ok(None) };
    Ok(held(&harvester.blobs, file).await?.map(|path| {
        Fetch::Unchanged(Harvested {
            path,
            checked_at: Timestamp::now(),
            dataset: Some(Box::new(now.clone())),
            ..file.clone()
        })
    }))
}

/// Refuses a file that is not the one the portal tells of.
async fn check(path: &Path, checksum: Option<&str>) -> Result<()> {
    let Some((kind, told)) = checksum.and_then(|c| c.split_once(':')) else { return Ok(()) };
    let (kind, told, path) = (kind.to_owned(), told.to_owned(), path.to_owned());
    let found = tokio::task::spawn_blocking(move || match kind.as_str() {
        "sha1" => digest::<Sha1>(&path).map(Some),
        "sha256" => digest::<Sha256>(&path).map(Some),
        // Others are only compared from one run to the next.
        _ => Ok(None),
    });
    let found = found.await.map_err(|e| Error::fault("computing a checksum", e))??;
    if found.is_none_or(|found| found == told) {
        return Ok(());
    }
    Err(failed(
        Fault::Cut,
        text!(
            "le fichier reçu n'est pas celui que décrit le portail : sa somme de contrôle est autre",
            "the file received is not the one that the portal describes: its checksum is another"
        ),
    ))
}

fn digest<D: Digest>(path: &Path) -> Result<String> {
    let mut file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
    let mut hasher = D::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut chunk).map_err(|e| Error::io(path, e))?;
        if n == 0 {
            return Ok(super::file::hex(&hasher.finalize()));
        }
        hasher.update(chunk.get(..n).unwrap_or_default());
    }
}
