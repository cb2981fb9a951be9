//! The form of a published table: which expression gives each property, the id, the geometry.
//! Names of schemas, tables and columns are data: they enter a statement quoted, and nowhere
//! else; values are bound. The text of a statement depends on the form and on the number of
//! conditions, never on what they hold.

use super::super::{
    column::Column,
    names::{Names, quoted},
};
use crate::{
    model::{FieldKind, Schema, Text},
    query::Sort,
};
use std::collections::BTreeMap;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// A table or view as it was found.
#[derive(Debug, Clone)]
pub(in super::super) struct Form {
    /// `"schema"."table"`.
    pub(super) relation: String,
    pub(super) oid: u32,
    /// It, and what it is made of.
    pub(super) relations: Vec<u32>,
    pub(super) fields: Vec<Property>,
    pub(super) geometry: Option<Geometry>,
    pub(super) key: Key,
    /// The field that is the key, when one is.
    pub(super) key_field: Option<String>,
    pub(super) schema: Schema,
    /// 8 hexadecimal digits that name all this.
    pub(super) hash: String,
    /// What the structural part of a look at the table said when it was found.
    pub(super) seen: String,
    /// First line of the comment, and the rest.
    pub(super) title: Option<String>,
    pub(super) description: Option<String>,
    /// Comments of columns, by name.
    pub(super) comments: BTreeMap<String, String>,
    pub(super) notices: Vec<Text>,
    /// Whether every row may be looked at: the table is small.
    pub(super) small: bool,
    /// How many rows the database thinks there are.
    pub(super) estimate: u64,
    /// What the planner thinks reading all of them costs.
    pub(super) cost: f64,
    /// Whether it knows more than their number.
    pub(super) counted: bool,
    /// Whether the relation has rows of its own, that an index can be made on.
    pub(super) own_rows: bool,
    /// When it was found.
    pub(super) found: std::time::Instant,
}

/// A property.
#[derive(Debug, Clone)]
pub(super) struct Property {
    pub(super) column: Column,
    pub(super) kind: FieldKind,
    /// What a scan reads: a value of the column's type.
    pub(super) shown: String,
    /// What a condition compares.
    pub(super) compared: String,
    /// What an index that finds it is made on, where one can be.
    pub(super) index: Option<String>,
}

/// The geometry column.
#[derive(Debug, Clone)]
pub(super) struct Geometry {
    /// `t."geom"`, as an expression of type geometry.
    pub(super) column: String,
    /// What an index of it is made on.
    pub(super) index: String,
    /// The SRID its values bear; 0: whatever it is, they are of the other.
    pub(super) native: i32,
    /// The SRID they are of.
    pub(super) srid: i32,
    /// Whether the column's type names no SRID, so that its values may differ.
    pub(super) bare: bool,
    /// Whether arcs may be among them.
    pub(super) curved: bool,
    /// Whether some rows are known to have no place on the map.
    pub(super) guard: Guard,
}

/// Whether each row of a table is brought to degrees on its own, so that one which cannot be does
/// not fail the others. Raised by the first read that fails, for as long as the form lasts.
#[derive(Clone, Default)]
pub(super) struct Guard(Arc<AtomicBool>);

/// It is no part of the form: forms are named by how they are written.
impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guard")
    }
}

impl Guard {
    pub(super) fn is_up(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// What tells rows apart.
#[derive(Debug, Clone)]
pub(super) enum Key {
    /// Columns, in the order of their index.
    Columns(Vec<KeyColumn>),
    /// A hash of the row: names of the two columns that a query adds.
    Row { hash: String, number: String },
}

/// A column of a key.
#[derive(Debug, Clone)]
pub(super) struct KeyColumn {
    /// Its name in the table.
    pub(super) name: String,
    /// `t."id"`.
    pub(super) column: String,
    /// Its type, as SQL writes it.
    pub(super) kind: String,
    /// How attachments hold it.
    pub(super) held: Held,
    /// Whether the database says that it is never null.
    pub(super) sure: bool,
}

/// The type by which attachments hold a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    Int,
    Text,
    /// Its text.
    Other,
}

impl Held {
    pub(super) fn sql_type(self) -> &'static str {
        match self {
            Self::Int => "bigint",
            Self::Text | Self::Other => "text",
        }
    }
}

/// Geometry types that have no place on a plane map.
pub(super) const SURFACES: &str = "{TIN,POLYHEDRALSURFACE,TRIANGLE}";

/// A column of the table `t`.
pub(super) fn column(name: &str) -> String {
    format!("t.{}", quoted(name))
}

/// The id that the values of a key's columns make, as text.
pub(super) fn written<'a>(columns: impl ExactSizeIterator<Item = &'a str>) -> String {
    let single = columns.len() == 1;
    let parts = columns.map(|column| match single {
        true => format!("{column}::text"),
        false => format!("replace(replace({column}::text, '~', '~0'), ',', '~1')"),
    });
    parts.collect::<Vec<_>>().join(" || ',' || ")
}

impl Form {
    /// What stands after `FROM`.
    pub(super) fn source(&self) -> String {
        match &self.key {
            Key::Columns(_) => format!("{} AS t", self.relation),
            Key::Row { hash, number } => {
                let (hash, number, relation) = (quoted(hash), quoted(number), &self.relation);
                format!(
                    "(SELECT t.*, row_number() OVER (PARTITION BY t.{hash}) AS {number} FROM
                      (SELECT t.*, left(md5((t.*)::text), 16) AS {hash} FROM {relation} AS t) AS t) AS t"
                )
            }
        }
    }

    /// The feature's id, as text.
    pub(super) fn id(&self) -> String {
        match &self.key {
            Key::Columns(columns) => written(columns.iter().map(|c| c.column.as_str())),
            Key::Row { hash, number } => {
                let (hash, number) = (quoted(hash), quoted(number));
                format!("t.{hash} || CASE WHEN t.{number} > 1 THEN '-' || t.{number} ELSE '' END")
            }
        }
    }

    /// The order of rows: that of the key.
    pub(super) fn order(&self) -> String {
        match &self.key {
            Key::Columns(columns) => {
                columns.iter().map(|c| c.column.as_str()).collect::<Vec<_>>().join(", ")
            }
            Key::Row { hash, number } => format!("t.{}, t.{}", quoted(hash), quoted(number)),
        }
    }

    /// What rows are ordered by: properties, then the key.
    pub(super) fn order_by(&self, sort: Option<&Sort>) -> String {
        let mut order = String::new();
        for key in sort.iter().flat_map(|sort| sort.keys()) {
            let Some(property) = self.fields.get(key.field) else { continue };
            let value = super::select::sorted(property);
            let direction = if key.descending { "DESC" } else { "ASC" };
            order.push_str(&format!("{value} {direction} NULLS LAST, "));
        }
        order + &self.order()
    }

    /// Rows that have a key, where the database does not say that all have.
    pub(super) fn with_key(&self) -> Option<String> {
        let Key::Columns(columns) = &self.key else { return None };
        let unsure: Vec<String> = columns
            .iter()
            .filter(|c| !c.sure)
            .map(|c| format!("{} IS NOT NULL", c.column))
            .collect();
        (!unsure.is_empty()).then(|| unsure.join(" AND "))
    }

    /// The parts of a key, from the text of an id; `None` when it is none of this form.
    pub(super) fn key_parts(&self, id: &str) -> Option<Vec<String>> {
        let Key::Columns(columns) = &self.key else { return None };
        if id.contains('\0') {
            return None;
        }
        if columns.len() == 1 {
            return Some(vec![id.to_owned()]);
        }
        let parts: Vec<String> =
            id.split(',').map(|p| p.replace("~1", ",").replace("~0", "~")).collect();
        (parts.len() == columns.len()).then_some(parts)
    }

    /// The key's columns beside values bound from `$next` on, compared by `operator`.
    pub(super) fn key_compared(&self, operator: &str, next: usize) -> String {
        let Key::Columns(columns) = &self.key else { return "false".to_owned() };
        let left: Vec<&str> = columns.iter().map(|c| c.column.as_str()).collect();
        let right: Vec<String> =
            columns.iter().zip(next..).map(|(c, n)| format!("${n}::text::{}", c.kind)).collect();
        format!("({}) {operator} ({})", left.join(", "), right.join(", "))
    }

    /// Names of the key's columns; none where rows have no key.
    pub(super) fn key_names(&self) -> Vec<&str> {
        match &self.key {
            Key::Columns(columns) => columns.iter().map(|c| c.name.as_str()).collect(),
            Key::Row { .. } => Vec::new(),
        }
    }

    /// Whether rows are brought to degrees one by one.
    pub(super) fn guarded(&self) -> bool {
        self.geometry.as_ref().is_some_and(|g| g.guard.is_up())
    }

    /// Has them so from now on.
    pub(super) fn guard(&self) {
        if let Some(geometry) = &self.geometry {
            geometry.guard.raise();
        }
    }

    /// What the attachments are joined by, and its type there.
    pub(super) fn held(&self) -> (String, Held) {
        match &self.key {
            Key::Columns(columns) => match columns.as_slice() {
                [one] if one.held != Held::Other => (one.column.clone(), one.held),
                _ => (self.id(), Held::Other),
            },
            Key::Row { .. } => (self.id(), Held::Other),
        }
    }

    /// The list that a scan reads: id, properties, geometry.
    pub(super) fn list(&self, names: &Names) -> String {
        let mut list = format!("({})::text", self.id());
        for property in &self.fields {
            list.push_str(", ");
            list.push_str(&property.shown);
        }
        if let Some(geometry) = &self.geometry {
            list.push_str(&format!(
                ", CASE WHEN NOT {g}ST_IsEmpty({c}) THEN {g}ST_AsBinary({x}, 'NDR') END",
                g = names.gis,
                c = geometry.column,
                x = geometry.in_crs84(names)
            ));
        }
        list
    }
}

impl Geometry {
    /// The column without arcs, and without what has no place on a plane map: what functions take.
    pub(super) fn straight(&self, names: &Names) -> String {
        let (g, c) = (&names.gis, &self.column);
        match self.curved {
            true => format!(
                "CASE WHEN {g}GeometryType({c}) <> ALL ('{SURFACES}') THEN {g}ST_CurveToLine({c}) END"
            ),
            false => c.clone(),
        }
    }

    /// The column in CRS84, plane and without arcs.
    pub(super) fn in_crs84(&self, names: &Names) -> String {
        self.brought(names, &self.straight(names))
    }

    /// The same of what was made of [`Geometry::straight`].
    pub(super) fn brought(&self, names: &Names, expression: &str) -> String {
        let g = &names.gis;
        if self.guard.is_up() {
            return format!("{}.place({expression}, {})", quoted(&names.store), self.srid);
        }
        let mut sql = format!("{g}ST_Force2D({expression})");
        if self.native != self.srid {
            sql = format!("{g}ST_SetSRID({sql}, {})", self.srid);
        }
        if self.srid != 4326 {
            sql = format!("{g}ST_Transform({sql}, 4326)");
        }
        sql
    }

    /// The column meets a box in degrees, bound from `$next` on: west, south, east, north.
    /// Straight sides in degrees are bent in the column's CRS: they are cut in short pieces first.
    pub(super) fn meets(&self, names: &Names, next: usize) -> String {
        self.meets_sides(names, [0, 1, 2, 3].map(|i| format!("${}", next + i)))
    }

    /// The same for sides that are expressions already.
    pub(super) fn meets_sides(&self, names: &Names, [w, s, e, n]: [String; 4]) -> String {
        let g = &names.gis;
        let mut envelope = format!("{g}ST_MakeEnvelope({w}, {s}, {e}, {n}, 4326)");
        if self.srid != 4326 {
            envelope = format!(
                "{g}ST_Transform({g}ST_Segmentize({envelope}, greatest({e} - {w}, {n} - {s}) / 8 + 1e-9), {})",
                self.srid
            );
        }
        if self.native != self.srid {
            envelope = format!("{g}ST_SetSRID({envelope}, {})", self.native);
        }
        format!("{} OPERATOR({g}&&) {envelope}", self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::GeometryKind;
    use proptest::prelude::*;

    fn form(name: &str) -> Form {
        let c = column(name);
        let geometry = Geometry {
            column: c.clone(),
            native: 2154,
            srid: 2154,
            bare: false,
            index: quoted(name),
            curved: true,
            guard: Guard::default(),
        };
        let key = KeyColumn {
            name: name.into(),
            column: c.clone(),
            kind: "text".into(),
            held: Held::Text,
            sure: false,
        };
        let (column, kind) = (Column::Text, FieldKind::Text);
        Form {
            relation: format!("{}.{}", quoted(name), quoted(name)),
            oid: 1,
            relations: vec![1],
            fields: vec![Property {
                column,
                kind,
                shown: format!("{c}::text"),
                compared: c,
                index: None,
            }],
            geometry: Some(geometry),
            key: Key::Columns(vec![key.clone(), key]),
            key_field: None,
            schema: Schema { fields: Vec::new(), geometry: GeometryKind::Point },
            hash: String::new(),
            seen: String::new(),
            title: None,
            description: None,
            comments: BTreeMap::new(),
            notices: Vec::new(),
            small: true,
            estimate: 0,
            cost: 0.0,
            counted: true,
            own_rows: true,
            found: std::time::Instant::now(),
        }
    }

    /// A statement with all that stands between double quotes taken out.
    fn bare(sql: &str) -> String {
        let (mut out, mut inside) = (String::new(), false);
        for c in sql.chars() {
            inside ^= c == '"';
            if !inside && c != '"' {
                out.push(c);
            }
        }
        assert!(!inside, "{sql}");
        out
    }

    fn statement(form: &Form) -> String {
        let names = Names::new("socle");
        let geometry = form.geometry.as_ref().unwrap();
        [
            form.list(&names),
            form.source(),
            form.order(),
            form.id(),
            form.key_compared(">", 1),
            form.with_key().unwrap_or_default(),
            geometry.meets(&names, 3),
        ]
        .join(" ")
    }

    proptest! {
        #[test]
        fn names_are_nothing_but_quoted_names(name in "[^\0]{1,20}", guarded: bool) {
            let (odd, plain) = (form(&name), form("plain"));
            if guarded {
                odd.guard();
                plain.guard();
            }
            prop_assert_eq!(bare(&statement(&odd)), bare(&statement(&plain)));
        }

        #[test]
        fn keys_of_several_columns_survive_their_id(a in "[^\0]{0,8}", b in "[^\0]{0,8}") {
            let written = |s: &str| s.replace('~', "~0").replace(',', "~1");
            let id = format!("{},{}", written(&a), written(&b));
            prop_assert_eq!(form("k").key_parts(&id), Some(vec![a, b]));
        }
    }
}
