//! Features cut at a border: pages of them, one alone, their number and extent. What the border
//! leaves out is not there: no page shows it, no number counts it.

use super::{
    COUNTING, Form, Items, Page, PageQuery, System, View, finish,
    paper::{Paper, Sheet},
    viewed,
};
use crate::{
    catalog::Layer,
    error::{Error, Result},
    model::{BBox, Schema, Selection, ValueRef},
    query::{Cursor, Filter, Scan, Start},
    store::{
        Row, RowSink,
        border::{Border, Cut, Outline, Shares, cut_schema},
    },
};
use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

impl Items {
    /// As [`Items::page`], cut.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the border is not in its layer or a geometry cannot be cut; what
    /// the store fails with.
    pub async fn cut_page(
        &self,
        layer: &Layer,
        query: PageQuery,
        outline: &Outline,
    ) -> Result<Page> {
        let at = layer.at()?;
        let knife = self.knife(layer, &query.filter, outline).await?;
        let (skip, start) = match query.start {
            Start::Offset(skip) => (skip, Start::Ordinal(0)),
            start => (0, start),
        };
        let paper = self.paper(layer, &knife.schema, &query)?;
        let work = PageWork::new(paper, knife, skip, query.limit);
        let work = Arc::new(Mutex::new(Some(work)));
        let scan = Scan { filter: query.filter.clone(), start, limit: None };
        // What is cut is looked at whether it is shown or not.
        let view = View { no_geometry: false, ..query.view.clone() };
        viewed(&self.store, at, scan, &view, cutting(work.clone())).await?;
        let PageWork { paper, returned, next, .. } = done(&work)?;
        let body = finish(paper).await?;
        let matched = match next {
            None if matches!(query.start, Start::Offset(0)) => Some(returned),
            _ => self.cut_count(layer, &query.filter, outline).await?,
        };
        let sort = query.view.sort_key();
        let next = next.map(|ordinal| Cursor { state: at.key(), ordinal, sort });
        Ok(Page { body, returned, matched, next })
    }

    /// As [`Items::feature_within`], cut; `None` too when the border leaves nothing of it.
    ///
    /// # Errors
    /// As [`Items::cut_page`].
    pub async fn cut_feature(
        &self,
        layer: &Layer,
        id: &str,
        selection: Option<Arc<Selection>>,
        outline: &Outline,
        system: System,
    ) -> Result<Option<Vec<u8>>> {
        let at = layer.at()?;
        if let Some(selection) = &selection
            && !self.store.selects(at, id, selection).await?
        {
            return Ok(None);
        }
        let filter = Filter { selection, ..Filter::default() };
        let knife = self.knife(layer, &filter, outline).await?;
        let (form, view) = (Form::Features, View::default());
        let sheet = Sheet { layer, schema: &knife.schema, form, system, view };
        let paper = Paper::new(sheet, &self.scratch)?;
        let work = Arc::new(Mutex::new(Some(PageWork::new(paper, knife, 0, 1))));
        self.store.feature(at, id, cutting(work.clone())).await?;
        let PageWork { paper, returned, .. } = done(&work)?;
        let bytes = finish(paper).await?.into_bytes()?;
        Ok((returned > 0).then_some(bytes))
    }

    /// As [`Items::count`], cut: exact where only a territory filters, else counted soon enough.
    ///
    /// # Errors
    /// As [`Items::cut_page`].
    pub async fn cut_count(
        &self,
        layer: &Layer,
        filter: &Filter,
        outline: &Outline,
    ) -> Result<Option<u64>> {
        self.cut_count_within(layer, filter, outline, COUNTING).await
    }

    pub(super) async fn cut_count_within(
        &self,
        layer: &Layer,
        filter: &Filter,
        outline: &Outline,
        time: Duration,
    ) -> Result<Option<u64>> {
        let knife = self.knife(layer, filter, outline).await?;
        if filter.is_territory_alone() {
            return Ok(Some(knife.shares.kept));
        }
        let counted = Arc::new(Mutex::new((Ok(Some(0u64)), Instant::now())));
        let count = counted.clone();
        let sink: RowSink = Box::new(move |row| {
            let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
            let late = count.1.elapsed() > time;
            count.0 = match (&count.0, late, knife.left(row)) {
                (_, true, _) => Ok(None),
                (_, _, Err(e)) => Err(e),
                (Ok(Some(n)), _, Ok(left)) => Ok(Some(n + u64::from(left.is_some()))),
                _ => Ok(None),
            };
            match count.0 {
                Ok(Some(_)) => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            }
        });
        let scan = Scan { filter: filter.clone(), start: Start::Ordinal(0), limit: None };
        self.store.scan(layer.at()?, scan, sink).await?;
        let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut counted.0, Ok(None))
    }

    /// The extent of what the border leaves of a territory's selection, degrees.
    ///
    /// # Errors
    /// As [`Items::cut_page`].
    pub async fn cut_extent(
        &self,
        layer: &Layer,
        selection: Option<&Arc<Selection>>,
        outline: &Outline,
    ) -> Result<Option<BBox>> {
        let shares = self.borders.shares(layer.at()?, selection, outline).await?;
        Ok(shares.extent)
    }

    pub(super) async fn knife(
        &self,
        layer: &Layer,
        filter: &Filter,
        outline: &Outline,
    ) -> Result<Knife> {
        let at = layer.at()?;
        let shares = self.borders.shares(at, filter.selection.as_ref(), outline).await?;
        let border = self.borders.border(outline, None).await?;
        let schema = cut_schema(&at.version.schema);
        Ok(Knife { shares, border, schema, bbox: filter.bbox })
    }
}

/// Cuts rows.
pub(super) struct Knife {
    shares: Arc<Shares>,
    border: Arc<Border>,
    pub(super) schema: Schema,
    bbox: Option<BBox>,
}

/// What is left of a row.
struct Left {
    share: f64,
    /// The geometry, when it was cut.
    wkb: Option<Vec<u8>>,
}

impl Knife {
    /// What is left of a row; `None` when nothing is, or nothing inside of the box asked for.
    fn left(&self, row: &Row<'_>) -> Result<Option<Left>> {
        let Some(share) = self.shares.of(row.id) else { return Ok(None) };
        let Some(wkb) = row.wkb.filter(|_| self.shares.is_cut(row.id)) else {
            return Ok(Some(Left { share, wkb: None }));
        };
        match self.border.cut(wkb)? {
            Cut::Inside => Ok(Some(Left { share, wkb: None })),
            Cut::Outside => Ok(None),
            Cut::Part { wkb, share } => {
                // The scan looked at the whole feature's box; what counts is what is left.
                if let (Some(asked), Some(left)) = (&self.bbox, Shares::bounds(&wkb)?)
                    && !asked.parts().iter().any(|part| part.meets(&left))
                {
                    return Ok(None);
                }
                Ok(Some(Left { share, wkb: Some(wkb) }))
            }
        }
    }
}

/// A page being written.
pub(super) struct PageWork {
    pub(super) paper: Paper,
    knife: Knife,
    skip: u64,
    limit: u64,
    pub(super) returned: u64,
    /// How many of them nobody looked at yet.
    pub(super) came: u64,
    /// How many rows it saw that the border leaves something of, shown or not.
    pub(super) left: u64,
    /// Ordinal of the first match beyond the page.
    next: Option<u64>,
}

impl PageWork {
    /// A page of `limit` rows, behind `skip` of them.
    pub(super) fn new(paper: Paper, knife: Knife, skip: u64, limit: u64) -> Self {
        Self { paper, knife, skip, limit, returned: 0, came: 0, left: 0, next: None }
    }

    fn row(&mut self, row: &Row<'_>) -> ControlFlow<()> {
        let left = match self.knife.left(row) {
            Ok(Some(left)) => left,
            Ok(None) => return ControlFlow::Continue(()),
            Err(e) => return self.paper.fail(e),
        };
        self.left += 1;
        if self.skip > 0 {
            self.skip -= 1;
            return ControlFlow::Continue(());
        }
        if self.returned == self.limit {
            self.next = Some(row.ordinal);
            return ControlFlow::Break(());
        }
        let mut values = row.values.to_vec();
        values.resize(self.knife.schema.fields.len() - 1, ValueRef::Null);
        values.push(ValueRef::Float(left.share));
        self.returned += 1;
        self.came += 1;
        self.paper.add(row.id, &values, left.wkb.as_deref().or(row.wkb))
    }
}

/// A sink that cuts rows and writes what is left of them.
pub(super) fn cutting(work: Arc<Mutex<Option<PageWork>>>) -> RowSink {
    Box::new(move |row| match work.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        Some(work) => work.row(row),
        None => ControlFlow::Break(()),
    })
}

/// The work, when its scan is over.
pub(super) fn done(work: &Mutex<Option<PageWork>>) -> Result<PageWork> {
    let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
    work.ok_or_else(|| Error::broken("a page lost its paper"))
}
