//! What is asked of a portal's API, and what it answers.

use super::super::{failed, pages::Asking, services::with_query};
use super::choose;
use crate::{
    error::{Error, Result},
    model::{DatagouvSource, Fault, Format, Text, Wanted},
    text,
};
use reqwest::Url;
use serde::{Deserialize, de::DeserializeOwned};

/// A portal.
pub(super) struct Portal<'a> {
    /// Its address.
    pub(super) address: Url,
    /// How it is asked.
    pub(super) asking: Asking<'a>,
}

/// A dataset and the resource taken of it.
pub(super) struct Found {
    pub(super) dataset: DatasetAnswer,
    pub(super) resource: Resource,
}

/// A dataset as the portal tells it.
#[derive(Debug, Deserialize)]
pub(super) struct DatasetAnswer {
    #[serde(default)]
    slug: String,
    #[serde(default)]
    pub(super) title: String,
    pub(super) page: Option<String>,
    pub(super) license: Option<String>,
    organization: Option<Organization>,
    owner: Option<Owner>,
    pub(super) temporal_coverage: Option<Coverage>,
    #[serde(default)]
    pub(super) resources: Vec<Resource>,
}

#[derive(Debug, Deserialize)]
struct Organization {
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
}

#[derive(Debug, Deserialize)]
struct Owner {
    #[serde(default)]
    first_name: String,
    #[serde(default)]
    last_name: String,
}

/// The days that a dataset tells of.
#[derive(Debug, Deserialize)]
pub(super) struct Coverage {
    pub(super) start: Option<String>,
    pub(super) end: Option<String>,
}

/// A file of a dataset.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Resource {
    #[serde(default)]
    pub(super) id: String,
    #[serde(default)]
    pub(super) title: String,
    pub(super) format: Option<String>,
    #[serde(default)]
    pub(super) url: String,
    #[serde(rename = "type", default)]
    pub(super) kind: Option<String>,
    pub(super) checksum: Option<Checksum>,
    pub(super) last_modified: Option<String>,
    pub(super) schema: Option<Schema>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Checksum {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) value: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Schema {
    pub(super) name: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    data: Vec<DatasetAnswer>,
    #[serde(default)]
    total: u64,
}

/// The second version's answer for a resource by its id alone.
#[derive(Deserialize)]
struct ResourceAnswer {
    resource: Resource,
    dataset_id: String,
}

impl DatasetAnswer {
    /// Who publishes it.
    pub(super) fn producer(&self) -> Option<String> {
        let organization = self.organization.as_ref().map(|o| o.name.clone());
        let owner = self.owner.as_ref().map(|o| format!("{} {}", o.first_name, o.last_name));
        organization.or(owner).map(|n| n.trim().to_owned()).filter(|n| !n.is_empty())
    }
}

impl Portal<'_> {
    /// Finds the dataset and its resource.
    pub(super) async fn find(
        &mut self,
        source: &DatagouvSource,
        format: Option<Format>,
    ) -> Result<Found> {
        match &source.wanted {
            Wanted::Dataset(id) => {
                let dataset = self.dataset(id).await?;
                choose::resource(vec![dataset], source, format, None)
            }
            Wanted::Resource(id) => {
                let answer: ResourceAnswer =
                    self.get(&["api", "2", "datasets", "resources", id, ""], &[]).await?;
                let dataset = self.dataset(&answer.dataset_id).await?;
                Ok(Found { dataset, resource: answer.resource })
            }
            Wanted::Search { organization, tags, schema } => {
                let schema = schema.as_deref();
                let datasets = self.search(organization.as_deref(), tags, schema).await?;
                let datasets = only(datasets, source)?;
                choose::resource(datasets, source, format, schema)
            }
        }
    }

    async fn dataset(&mut self, id: &str) -> Result<DatasetAnswer> {
        self.get(&["api", "1", "datasets", id, ""], &[]).await
    }

    async fn search(
        &mut self,
        organization: Option<&str>,
        tags: &[String],
        schema: Option<&str>,
    ) -> Result<Listed> {
        let organization = match organization {
            Some(name) if !is_id(name) => {
                let found: Organization =
                    self.get(&["api", "1", "organizations", name, ""], &[]).await?;
                Some(found.id)
            }
            id => id.map(str::to_owned),
        };
        let mut query = vec![("sort", "-last_update"), ("page_size", "20")];
        query.extend(organization.as_deref().map(|id| ("organization", id)));
        query.extend(tags.iter().map(|tag| ("tag", tag.as_str())));
        query.extend(schema.map(|name| ("schema", name)));
        self.get(&["api", "1", "datasets", ""], &query).await
    }

    async fn get<T: DeserializeOwned>(
        &mut self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T> {
        let mut url = self.address.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url = with_query(&url, query);
        }
        self.asking.page(&url).await?.json()
    }
}

/// The datasets of a search: one, or several when the newest may be taken.
fn only(found: Listed, source: &DatagouvSource) -> Result<Vec<DatasetAnswer>> {
    if found.data.is_empty() {
        return Err(refused(text!(
            "aucun jeu de données du portail ne répond à la recherche",
            "no dataset of the portal answers the search"
        )));
    }
    if found.data.len() > 1 && !source.latest {
        let total = found.total;
        let names: Vec<&str> = found.data.iter().take(10).map(|d| d.slug.as_str()).collect();
        let names = names.join(", ");
        return Err(refused(text!(
            "{total} jeux de données répondent à la recherche : nommer le bon (dataset), ou « latest = true » pour le plus récent ; par exemple : {names}",
            "{total} datasets answer the search: name the right one (dataset), or \"latest = true\" for the newest; for example: {names}"
        )));
    }
    Ok(found.data)
}

/// What a portal does not have, or not in a form that is read.
pub(super) fn refused(text: Text) -> Error {
    failed(Fault::Refused, text)
}

/// Ids are those of MongoDB; everything else is a slug.
fn is_id(name: &str) -> bool {
    name.len() == 24 && name.bytes().all(|b| b.is_ascii_hexdigit())
}
