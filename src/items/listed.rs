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
    store::RowSink,
};
use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex},
};

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
        let ids = ids.iter().filter(|id| seen.insert(id.as_str()));
        let selection = query.filter.selection.as_ref();
        let mut matched = 0;
        let (returned, body) = match outline {
            None => {
                let own = &at.version.schema;
                let paper = Arc::new(Mutex::new(Some(self.paper(layer, own, &query)?)));
                let mut returned = 0;
                for id in ids {
                    let shown = matched >= skip && returned < query.limit;
                    let there = match (selection, shown) {
                        (Some(selection), _) => self.store.selects(at, id, selection).await?,
                        (None, true) => true,
                        (None, false) => self.store.feature(at, id, looking()).await?,
                    };
                    let there = match there && shown {
                        true => self.store.feature(at, id, collect(paper.clone())).await?,
                        false => there,
                    };
                    matched += u64::from(there);
                    returned += u64::from(there && shown);
                }
                (returned, finished(&paper).await?)
            }
            Some(outline) => {
                let knife = self.knife(layer, &query.filter, outline).await?;
                let paper = self.paper(layer, &knife.schema, &query)?;
                let work = PageWork::new(paper, knife, skip, query.limit);
                let work = Arc::new(Mutex::new(Some(work)));
                for id in ids {
                    let there = match selection {
                        Some(selection) => self.store.selects(at, id, selection).await?,
                        None => true,
                    };
                    if there {
                        self.store.feature(at, id, cutting(work.clone())).await?;
                    }
                }
                let PageWork { paper, returned, left, .. } = done(&work)?;
                // What the border leaves nothing of is not there.
                matched = left;
                (returned, finish(paper).await?)
            }
        };
        Ok(Page { body, returned, matched: Some(matched), next: None })
    }
}

/// A sink that shows nothing: whether there is a row is all that is asked.
fn looking() -> RowSink {
    Box::new(|_| ControlFlow::Continue(()))
}
