//! Finds out the form of a table from the database's own catalogue: its [`columns`], its
//! [`shape`], key, comments.
//!
//! [`columns`]: super::columns
//! [`shape`]: super::shape

use super::super::{
    link::{Link, Ran, cell},
    names::{Names, quoted},
};
use super::{
    columns::{Found, columns, listed, properties, spatial},
    form::{Form, Held, Key, KeyColumn, column},
    shape::geometry,
};
use crate::{
    error::Error,
    model::{GeometryKind, LayerDef, Schema, TableSource, Text},
    text,
};
use sha2::{Digest, Sha256};
use tokio_postgres::types::Type;

/// The table, found.
pub(super) async fn discover(
    link: &mut Link,
    names: &Names,
    def: &LayerDef,
    source: &TableSource,
    seen: String,
) -> Ran<Form> {
    let (schema, table) = (&source.schema, &source.table);
    let sql = "SELECT c.oid, c.relkind::text, pg_catalog.obj_description(c.oid, 'pg_class')
               FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind::text = ANY ('{r,p,v,m,f}')";
    let row = link.row(sql, &[(schema, Type::TEXT), (table, Type::TEXT)]).await?;
    let Some(row) = row else {
        return Err(refused(text!(
            "La table {schema}.{table} n'existe pas dans la base.",
            "There is no table {schema}.{table} in the database."
        )));
    };
    let oid: u32 = cell(&row, 0)?;
    let comment: Option<String> = cell(&row, 2)?;
    let found = columns(link, oid).await?;
    let mut notices = Vec::new();
    let geometry = geometry(link, names, source, &found, &mut notices).await?;
    let (fields, properties) = properties(source, &found, &mut notices)?;
    let relation = format!("{}.{}", quoted(schema), quoted(table));
    let materialised = cell::<&str>(&row, 1)? == "m";
    let (key, key_field) = key(link, source, oid, &found, materialised).await?;
    let (title, description) = comment_parts(comment.as_deref());
    let (geometry, kind) = match geometry {
        Some((geometry, kind)) => (Some(geometry), kind),
        None => (None, GeometryKind::None),
    };
    let commented = |f: &Found| Some((f.name.clone(), f.comment.clone()?));
    let mut form = Form {
        comments: found.iter().filter_map(commented).collect(),
        relation,
        oid,
        relations: relations(link, oid).await?,
        key_field: key_field.filter(|k| fields.iter().any(|f| f.name == *k)),
        schema: Schema { fields, geometry: kind },
        fields: properties,
        geometry,
        key,
        hash: String::new(),
        seen,
        title,
        description,
        notices,
        small: false,
        estimate: 0,
        cost: 0.0,
        counted: false,
        own_rows: matches!(cell::<&str>(&row, 1)?, "r" | "p" | "m"),
        found: std::time::Instant::now(),
    };
    super::costs::costs(link, names, source, &mut form).await?;
    form.hash = hash(def, &form);
    Ok(form)
}

pub(super) fn refused(text: Text) -> super::super::link::Failed {
    Error::Refused(text).into()
}

/// What names the form: everything that shapes an answer.
fn hash(def: &LayerDef, form: &Form) -> String {
    let all = format!(
        "2{:?}{:?}{:?}{:?}{:?}{:?}{:?}{:?}",
        def.source,
        def.tiles,
        def.territory,
        form.schema,
        form.fields,
        form.geometry,
        form.key,
        form.comments
    );
    let digest = Sha256::digest(all);
    digest.iter().take(4).map(|b| format!("{b:02x}")).collect()
}

/// The first line of a comment is a title; what follows describes.
fn comment_parts(comment: Option<&str>) -> (Option<String>, Option<String>) {
    let mut lines = comment.unwrap_or_default().trim().splitn(2, '\n');
    let mut next = || lines.next().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned);
    (next(), next())
}

/// What tells rows apart, and the field that does, when one alone does.
async fn key(
    link: &mut Link,
    source: &TableSource,
    oid: u32,
    found: &[Found],
    materialised: bool,
) -> Ran<(Key, Option<String>)> {
    // The columns of a materialised view are never declared to be without nulls.
    let sql = "SELECT array_agg(a.attname::text ORDER BY k.place)
               FROM pg_catalog.pg_index i
               CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
               WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
                 AND i.indexprs IS NULL AND k.place <= i.indnkeyatts
               GROUP BY i.indexrelid, i.indisprimary
               HAVING bool_and(a.attnotnull OR $2) ORDER BY i.indisprimary DESC, count(*), i.indexrelid";
    let mut indexes: Vec<Vec<String>> = Vec::new();
    for row in &link.rows(sql, &[(&oid, Type::OID), (&materialised, Type::BOOL)]).await? {
        indexes.push(cell(row, 0)?);
    }
    let columns = match &source.key {
        Some(key) => vec![key.clone()],
        None => indexes.into_iter().next().unwrap_or_default(),
    };
    if columns.is_empty() {
        let free = |wanted: &str| {
            let mut name = wanted.to_owned();
            while found.iter().any(|f| f.name == name) {
                name.push('_');
            }
            name
        };
        return Ok((Key::Row { hash: free("socle hash"), number: free("socle number") }, None));
    }
    let mut key = Vec::with_capacity(columns.len());
    for name in &columns {
        let Some(one) = found.iter().find(|f| f.name == *name && f.readable) else {
            let list = listed(found);
            return Err(refused(text!(
                "La clé « {name} » n'est pas une colonne lisible de la table. Colonnes : {list}.",
                "The key \"{name}\" is no readable column of the table. Columns: {list}."
            )));
        };
        if spatial(one) {
            return Err(super::costs::no_order(name));
        }
        let held = match one.kind.as_str() {
            "int2" | "int4" | "int8" => Held::Int,
            "text" | "varchar" => Held::Text,
            _ => Held::Other,
        };
        let kind = one.written.clone();
        let (name, column) = (name.clone(), column(name));
        key.push(KeyColumn { name, column, kind, held, sure: one.not_null });
    }
    let single = (columns.len() == 1).then(|| columns.into_iter().next()).flatten();
    Ok((Key::Columns(key), single))
}

/// A relation and what it is made of: the tables under a view, the partitions of a table.
async fn relations(link: &mut Link, oid: u32) -> Ran<Vec<u32>> {
    let sql = "WITH RECURSIVE made (oid) AS (
                 SELECT $1::oid
                 UNION
                 SELECT x.oid FROM made, LATERAL (
                   SELECT d.refobjid AS oid FROM pg_catalog.pg_rewrite w
                   JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass
                     AND d.objid = w.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
                   WHERE w.ev_class = made.oid
                   UNION ALL
                   SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = made.oid) x)
               SELECT array_agg(oid ORDER BY oid) FROM made";
    super::super::load::first(link, sql, &[(&oid, Type::OID)]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_read() {
        assert_eq!(
            comment_parts(Some("Écoles\nPubliques.\nEt privées.")).0.as_deref(),
            Some("Écoles")
        );
        assert_eq!(comment_parts(Some(" ")), (None, None));
    }
}
