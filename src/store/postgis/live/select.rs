//! From a filter to the conditions of a statement, with the values they bind.

use super::super::{
    column::{self, Column, Wanted},
    filter::Target,
    link::Param,
    names::Names,
};
use super::{
    form::{Form, Held, Key, Property},
    unattached,
};
use crate::{
    error::Result,
    model::{BBox, Clause, FieldKind, RankSet, Selection},
    query::Filter,
    store::filter_cost,
};
use tokio_postgres::types::{ToSql, Type};

/// Around a box, so that what its bent sides leave out is looked at too.
const MARGIN: f64 = 0.02;
/// Degrees around a layer's extent: what a box adds beyond is surely empty, and may lie where a
/// projection is not defined.
const AROUND: f64 = 0.5;

/// Conditions, joined by AND, and their values.
#[derive(Default)]
pub(in super::super) struct Conditions {
    parts: Vec<String>,
    values: Vec<Bound>,
}

/// A value with its type.
struct Bound {
    value: Box<dyn ToSql + Sync + Send>,
    kind: Type,
}

impl Conditions {
    /// The number of the next value.
    pub(in super::super) fn next(&self) -> usize {
        self.values.len() + 1
    }

    pub(in super::super) fn bind(&mut self, value: impl ToSql + Sync + Send + 'static, kind: Type) {
        self.values.push(Bound { value: Box::new(value), kind });
    }

    pub(super) fn push(&mut self, sql: String) {
        self.parts.push(sql);
    }

    /// ` WHERE …`, or nothing.
    pub(super) fn text(&self) -> String {
        match self.parts.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", self.parts.join(" AND ")),
        }
    }

    pub(in super::super) fn params(&self) -> Vec<Param<'_>> {
        self.values.iter().map(|b| (&*b.value as _, b.kind.clone())).collect()
    }

    /// Four sides.
    pub(in super::super) fn bind_box(&mut self, b: &BBox) {
        for side in b.to_array() {
            self.bind(side, Type::FLOAT8);
        }
    }

    /// The rows with these ids; ids that are none of this form are left out.
    pub(super) fn ids(&mut self, form: &Form, ids: &[String]) {
        let next = self.next();
        let Key::Columns(columns) = &form.key else {
            self.bind(ids.to_vec(), Type::TEXT_ARRAY);
            return self.push(format!("{} = ANY (${next})", form.id()));
        };
        let mut parts: Vec<Vec<String>> = vec![Vec::with_capacity(ids.len()); columns.len()];
        for id in ids {
            for (part, value) in parts.iter_mut().zip(form.key_parts(id).unwrap_or_default()) {
                part.push(value);
            }
        }
        match columns.as_slice() {
            [one] => self.push(format!("{} = ANY (${next}::{}[])", one.column, one.kind)),
            many => {
                let left: Vec<&str> = many.iter().map(|c| c.column.as_str()).collect();
                let bound: Vec<String> =
                    many.iter().zip(next..).map(|(c, n)| format!("${n}::{}[]", c.kind)).collect();
                let (left, bound) = (left.join(", "), bound.join(", "));
                self.push(format!("({left}) IN (SELECT * FROM unnest({bound}))"));
            }
        }
        parts.into_iter().for_each(|part| self.bind(part, Type::TEXT_ARRAY));
    }

    /// All of a filter; `false` when nothing can match it.
    pub(super) fn filter(
        &mut self,
        names: &Names,
        form: &Form,
        extent: Option<&BBox>,
        reach: Option<i64>,
        filter: &Filter,
    ) -> Result<bool> {
        if let Some(sql) = form.with_key() {
            self.push(sql);
        }
        if let Some(bbox) = &filter.bbox {
            self.bbox(names, form, extent, bbox);
        }
        if let Some(selection) = &filter.selection {
            let Some(reach) = reach else { return Ok(false) };
            self.selection(names, form, reach, selection);
        }
        self.expression(names, form, extent, reach, filter)?;
        for equals in &filter.equals {
            let Some(property) = form.fields.get(equals.field) else { return Ok(false) };
            let Some(Wanted { value, kind }) = column::wanted(property.column, &equals.value)
            else {
                return Ok(false);
            };
            let next = self.next();
            self.values.push(Bound { value, kind });
            self.push(format!("{} = ${next}", property.compared));
        }
        Ok(true)
    }

    /// The CQL2 part of a filter.
    pub(super) fn expression(
        &mut self,
        names: &Names,
        form: &Form,
        extent: Option<&BBox>,
        reach: Option<i64>,
        filter: &Filter,
    ) -> Result<()> {
        let Some(expression) = &filter.expression else { return Ok(()) };
        filter_cost::admit(expression, form.estimate)?;
        let table = Table { form, extent, reach };
        let sql = super::super::filter::lower(&expression.root, names, &table, self)?;
        self.push(sql);
        Ok(())
    }

    /// Rows whose geometry meets the box, and those without geometry.
    fn bbox(&mut self, names: &Names, form: &Form, extent: Option<&BBox>, bbox: &BBox) {
        let (Some(geometry), g) = (&form.geometry, &names.gis) else { return };
        let mut any = vec![format!("{} IS NULL", geometry.column)];
        for part in bbox.parts() {
            let Some(looked) = extent.and_then(|e| within(&part, e)) else { continue };
            let next = self.next();
            self.bind_box(&widened(&looked));
            self.bind_box(&looked);
            let [w, s, e, n] = [next + 4, next + 5, next + 6, next + 7];
            let meets = geometry.meets(names, next);
            let shape = geometry.in_crs84(names);
            // The envelope of two corners is a point or a line where the box has no width.
            any.push(format!(
                "({meets} AND {g}ST_Intersects({shape}, {g}ST_Envelope({g}ST_SetSRID({g}ST_MakeLine({g}ST_MakePoint(${w}, ${s}), {g}ST_MakePoint(${e}, ${n})), 4326))))"
            ));
        }
        self.push(format!("({})", any.join(" OR ")));
    }

    /// Rows that a territory selects, through their attachments.
    pub(super) fn selection(
        &mut self,
        names: &Names,
        form: &Form,
        reach: i64,
        selection: &Selection,
    ) {
        let sql = self.concerns(names, form, reach, selection);
        self.push(sql);
    }

    fn concerns(
        &mut self,
        names: &Names,
        form: &Form,
        reach: i64,
        selection: &Selection,
    ) -> String {
        let (key, _) = form.held();
        let any: Vec<String> =
            selection.any.iter().map(|c| self.clause(names, &key, reach, c)).collect();
        match any.is_empty() {
            true => "false".to_owned(),
            false => format!("({})", any.join(" OR ")),
        }
    }

    fn clause(&mut self, names: &Names, key: &str, reach: i64, clause: &Clause) -> String {
        let (communes, others) = (attached(names, reach), other(names, reach));
        let mut all = Vec::new();
        if let Some(set) = &clause.meets {
            let ranks = self.ranks(set);
            all.push(format!("{key} IN (SELECT a.key FROM {communes} a, {ranks})"));
        }
        if let Some(set) = &clause.within {
            let ranks = self.ranks(set);
            all.push(format!(
                "{key} IN (SELECT a.key FROM {communes} a, {ranks} GROUP BY a.key, a.degree HAVING count(*) = a.degree)"
            ));
        }
        for territory in &clause.others {
            let next = self.next();
            self.bind(territory.to_string(), Type::TEXT);
            all.push(format!(
                "{key} IN (SELECT o.key FROM {others} o WHERE o.territory = ${next})"
            ));
        }
        match all.is_empty() {
            true => "false".to_owned(),
            false => format!("({})", all.join(" AND ")),
        }
    }

    /// The attachments to a set of communes: a join with its ranges.
    fn ranks(&mut self, set: &RankSet) -> String {
        let next = self.next();
        let side = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        let low: Vec<i32> = set.ranges().iter().map(|r| side(r.start)).collect();
        let high: Vec<i32> = set.ranges().iter().map(|r| side(r.end)).collect();
        self.bind(low, Type::INT4_ARRAY);
        self.bind(high, Type::INT4_ARRAY);
        format!(
            "unnest(${next}, ${}) AS r (low, high) WHERE a.rank >= r.low AND a.rank < r.high",
            next + 1
        )
    }
}

/// A property's value.
fn value(property: &Property) -> String {
    let compared = &property.compared;
    match property.column {
        // What no number is (NaN, infinity) is none, as rows show it.
        Column::Float => {
            format!("NULLIF(NULLIF(NULLIF({compared}, 'NaN'), 'Infinity'), '-Infinity')")
        }
        Column::Text => format!("({compared})::text"),
        _ => compared.clone(),
    }
}

/// The same as rows are sorted by it: texts by code point.
pub(super) fn sorted(property: &Property) -> String {
    match property.column {
        Column::Text => format!("{} COLLATE \"C\"", value(property)),
        _ => value(property),
    }
}

/// A published table as filters see it.
struct Table<'a> {
    form: &'a Form,
    extent: Option<&'a BBox>,
    reach: Option<i64>,
}

impl Target for Table<'_> {
    fn field(&self, index: usize) -> Option<(Column, FieldKind, String)> {
        let property = self.form.fields.get(index)?;
        Some((property.column, property.kind, value(property)))
    }

    fn geometry(&self, names: &Names) -> Option<String> {
        let geometry = self.form.geometry.as_ref()?;
        let (g, column) = (&names.gis, &geometry.column);
        let shape = geometry.in_crs84(names);
        Some(format!("(CASE WHEN NOT {g}ST_IsEmpty({column}) THEN {shape} END)"))
    }

    fn meets(&self, names: &Names, bounds: &BBox, to: &mut Conditions) -> Option<String> {
        let geometry = self.form.geometry.as_ref()?;
        let looked = within(bounds, self.extent?)?;
        let meets = geometry.meets(names, to.next());
        to.bind_box(&widened(&looked));
        Some(meets)
    }

    fn territory(
        &self,
        names: &Names,
        selection: &Selection,
        to: &mut Conditions,
    ) -> Result<String> {
        let reach = self.reach.ok_or_else(unattached)?;
        Ok(to.concerns(names, self.form, reach, selection))
    }
}

/// The table of a layer's attachments to communes.
pub(super) fn attached(names: &Names, reach: i64) -> String {
    names.sql(&format!("{{s}}a{reach}"))
}

/// The table of its attachments to other territories.
pub(super) fn other(names: &Names, reach: i64) -> String {
    names.sql(&format!("{{s}}o{reach}"))
}

/// The table of what each row held when it was attached.
pub(super) fn prints(names: &Names, reach: i64) -> String {
    names.sql(&format!("{{s}}k{reach}"))
}

/// `CREATE TABLE` of attachments.
pub(super) fn create(names: &Names, reach: i64, held: Held) -> String {
    format!(
        "CREATE TABLE {} (rank integer NOT NULL, degree integer NOT NULL, key {kind} NOT NULL);
         CREATE TABLE {} (territory text NOT NULL, key {kind} NOT NULL)",
        attached(names, reach),
        other(names, reach),
        kind = held.sql_type()
    )
}

/// The part of an ordinary box that may hold something of a layer; `None` when none may.
pub(super) fn within(bbox: &BBox, extent: &BBox) -> Option<BBox> {
    let cut = BBox {
        west: bbox.west.max(extent.west - AROUND),
        south: bbox.south.max((extent.south - AROUND).max(-90.0)),
        east: bbox.east.min(extent.east + AROUND),
        north: bbox.north.min((extent.north + AROUND).min(90.0)),
    };
    (cut.west <= cut.east && cut.south <= cut.north).then_some(cut)
}

/// The box, a little larger.
pub(super) fn widened(b: &BBox) -> BBox {
    let (dx, dy) = ((b.east - b.west) * MARGIN + 1e-6, (b.north - b.south) * MARGIN + 1e-6);
    BBox {
        west: b.west - dx,
        south: (b.south - dy).max(-90.0),
        east: b.east + dx,
        north: (b.north + dy).min(90.0),
    }
}
