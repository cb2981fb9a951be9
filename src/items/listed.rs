//! Pages of features named by their ids, in the order of the names: each is looked up as the
//! resource of one feature is, within the territory and cut at the border asked for.

use super::{
    Items, Page, PageQuery, collect,
    cut::{PageWork, cutting, done},
    finish, finished,
};
use crate::{
    catalog::{Layer, Outline},
    error::Result,
    query::Start,
};
use std::sync::{Arc, Mutex};

impl Items {
    /// A page of the features with these ids that there are; those of the query's conditions that
    /// are no territory are not looked at. A start is a number of features to skip.
    ///
    /// # Errors
    /// As [`Items::page`] and [`Items::cut_page`].
    pub async fn listed(
        &self,
        layer: &Layer,
        ids: &[String],
        query: PageQuery,
        outline: Option<&Outline>,
    ) -> Result<Page> {
        let at = layer.at()?;
        let skip = match query.start {
            Start::Offset(skip) | Start::Ordinal(skip) => skip,
        };
        let mut seen = std::collections::BTreeSet::new();
        let mut there = Vec::new();
        for id in ids.iter().filter(|id| seen.insert(id.as_str())) {
            if self.has(layer, id, &query).await? {
                there.push(id);
            }
        }
        let shown = there.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX));
        let shown = shown.take(usize::try_from(query.limit).unwrap_or(usize::MAX));
        let (returned, body) = match outline {
            None => {
                let own = &at.version.schema;
                let paper = Arc::new(Mutex::new(Some(self.paper(layer, own, &query)?)));
                let mut returned = 0;
                for id in shown {
                    let found = self.store.feature(at, id, collect(paper.clone())).await?;
                    returned += u64::from(found);
                }
                (returned, finished(&paper).await?)
            }
            Some(outline) => {
                let knife = self.knife(layer, &query.filter, outline).await?;
                let paper = self.paper(layer, &knife.schema, &query)?;
                let work =
                    PageWork { paper, knife, skip: 0, limit: u64::MAX, returned: 0, next: None };
                let work = Arc::new(Mutex::new(Some(work)));
                for id in shown {
                    self.store.feature(at, id, cutting(work.clone())).await?;
                }
                let PageWork { paper, returned, .. } = done(&work)?;
                (returned, finish(paper).await?)
            }
        };
        Ok(Page { body, returned, matched: Some(there.len() as u64), next: None })
    }

    /// Whether a feature is there, within the territory.
    async fn has(&self, layer: &Layer, id: &str, query: &PageQuery) -> Result<bool> {
        let at = layer.at()?;
        match &query.filter.selection {
            Some(selection) => self.store.selects(at, id, selection).await,
            None => {
                let sink =
                    Box::new(|_: &crate::store::Row<'_>| std::ops::ControlFlow::Continue(()));
                self.store.feature(at, id, sink).await
            }
        }
    }
}
