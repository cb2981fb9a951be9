//! The geometry column of a table: which it is, of what kind, in which reference system.

use super::super::{
    link::{Link, Ran, cell},
    load::first,
    names::{Names, quoted},
};
use super::{
    columns::{Found, listed, spatial},
    discover::refused,
    form::{Geometry, Guard, column},
};
use crate::{
    error::Error,
    model::{GeometryKind, TableSource, Text},
    text,
};
use tokio_postgres::types::Type;

/// The geometry column that is shown, and the kind of its values.
pub(super) async fn geometry(
    link: &mut Link,
    names: &Names,
    source: &TableSource,
    found: &[Found],
    notices: &mut Vec<Text>,
) -> Ran<Option<(Geometry, GeometryKind)>> {
    let mut candidates = found.iter().filter(|f| spatial(f) && f.readable);
    let chosen = match &source.geometry {
        Some(name) => {
            let chosen = candidates.find(|f| f.name == *name);
            chosen.ok_or_else(|| {
                let list = listed(found);
                refused(text!(
                    "« {name} » n'est pas une colonne de géométrie lisible. Colonnes : {list}.",
                    "\"{name}\" is no readable geometry column. Columns: {list}."
                ))
            })?
        }
        None => match candidates.next() {
            Some(first) => first,
            None => return Ok(None),
        },
    };
    let chosen_name = &chosen.name;
    for other in found.iter().filter(|f| spatial(f) && f.name != chosen.name) {
        let name = &other.name;
        notices.push(text!(
            "La table a une autre géométrie, « {name} », qui n'est pas montrée.",
            "The table has another geometry, \"{name}\", which is not shown."
        ));
    }
    let sql = names.sql("SELECT {g}postgis_typmod_type($1), {g}postgis_typmod_srid($1)");
    let row = link.row(&sql, &[(&chosen.modifier, Type::INT4)]).await?;
    let row = row.ok_or_else(|| Error::broken("PostGIS says nothing of a column"))?;
    let (kind, mut native) = (kind_of(cell(&row, 0)?), cell::<i32>(&row, 1)?);
    let mut expression = column(&chosen.name);
    let mut index = quoted(chosen_name);
    let mut bare = false;
    if chosen.kind == "geography" {
        // Its own index finds geographies: another has to find what they are read as.
        index = format!("({index}::geometry)");
        expression = format!("({expression})::{}geometry", names.gis);
        native = if native == 0 { 4326 } else { native };
    } else if native == 0 {
        bare = true;
        native = sampled_srid(link, names, source, &expression).await?;
    }
    let declared = source.srid.and_then(|s| i32::try_from(s).ok());
    let srid = declared.unwrap_or(native);
    if srid == 0 {
        return Err(refused(text!(
            "La géométrie « {chosen_name} » n'a pas de SRID : indiquez « srid ».",
            "The geometry \"{chosen_name}\" has no SRID: give \"srid\"."
        )));
    }
    if !known(link, names, srid).await? {
        return Err(refused(text!(
            "Le SRID {srid} n'est pas dans spatial_ref_sys : corrigez « srid », ou déclarez-le à PostGIS.",
            "SRID {srid} is not in spatial_ref_sys: correct \"srid\", or tell PostGIS of it."
        )));
    }
    // Values that bear none may be among those that do: all are taken for the declared one.
    if bare && declared.is_some() {
        native = 0;
    }
    let curved = kind == GeometryKind::Geometry;
    let guard = Guard::default();
    Ok(Some((Geometry { column: expression, index, native, srid, curved, bare, guard }, kind)))
}

/// The SRID of a column whose type names none: that of any of its values.
async fn sampled_srid(
    link: &mut Link,
    names: &Names,
    source: &TableSource,
    expression: &str,
) -> Ran<i32> {
    let (g, schema, table) = (&names.gis, quoted(&source.schema), quoted(&source.table));
    // Which does not matter: whether others bear another is looked at with all of them.
    let sql = format!(
        "SELECT coalesce((SELECT {g}ST_SRID({expression}) FROM {schema}.{table} AS t
           WHERE {expression} IS NOT NULL LIMIT 1), 0)"
    );
    first(link, &sql, &[]).await
}

/// Whether PostGIS knows a reference system.
async fn known(link: &mut Link, names: &Names, srid: i32) -> Ran<bool> {
    let sql = names.sql("SELECT EXISTS (SELECT 1 FROM {g}spatial_ref_sys WHERE srid = $1)");
    match first(link, &sql, &[(&srid, Type::INT4)]).await {
        // Not ours to read: transforming says whether it is known.
        Err(e) if e.is_read_only() => Ok(true),
        other => other,
    }
}

/// PostGIS's name of a type, without Z and M.
pub(super) fn kind_of(name: &str) -> GeometryKind {
    match name.to_ascii_uppercase().trim_end_matches(['Z', 'M']) {
        "POINT" => GeometryKind::Point,
        "MULTIPOINT" => GeometryKind::MultiPoint,
        "LINESTRING" => GeometryKind::LineString,
        "MULTILINESTRING" => GeometryKind::MultiLineString,
        "POLYGON" => GeometryKind::Polygon,
        "MULTIPOLYGON" => GeometryKind::MultiPolygon,
        _ => GeometryKind::Geometry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_from_their_names() {
        assert_eq!(kind_of("MultiPolygonZM"), GeometryKind::MultiPolygon);
        assert_eq!(kind_of("CURVEPOLYGON"), GeometryKind::Geometry);
    }
}
