//! The view of a layer's current version, for analysts: under the fields' own names, quoted by the
//! database itself.

use super::{
    link::{Link, Param, Ran, cell},
    load::first,
    names::Names,
};
use crate::{
    error::Error,
    model::{Field, LayerId},
};
use std::collections::HashSet;
use tokio_postgres::types::Type;

/// Longest name in PostgreSQL, bytes.
const MAX_NAME: usize = 63;

/// Makes the layer's view show its current version, unless it does. What keeps it from that — a
/// long query on the view, another view built on it — must not keep the version from being
/// published: the view is tried again with the next one.
pub(super) async fn show(link: &mut Link, names: &Names, layer: &LayerId) -> Ran<()> {
    let sql = names.sql(
        "SELECT v.serial, v.description -> 'schema' -> 'fields', v.comment, v.storage ->> 'spatial'
         FROM {s}layers l JOIN {s}versions v ON v.serial = l.version
         WHERE l.layer = $1 AND l.shown IS DISTINCT FROM l.version",
    );
    let sql = sql.replace("-> 'fields',", "->> 'fields',");
    let name = layer.as_str();
    let Some(row) = link.row(&sql, &[(&name, Type::TEXT)]).await? else { return Ok(()) };
    let serial: i64 = cell(&row, 0)?;
    let fields: Vec<Field> =
        serde_json::from_str(cell(&row, 1)?).map_err(|e| Error::fault("a version's fields", e))?;
    let (columns, shown) = view_columns(&fields, cell::<Option<&str>>(&row, 3)? == Some("true"));
    let sql = names.sql("SELECT {s}show_layer($1, $2, $3, $4, $5, $6, $7)");
    let params: [Param<'_>; 7] = [
        (&names.views, Type::TEXT),
        (&names.store, Type::TEXT),
        (&view_name(layer), Type::TEXT),
        (&serial, Type::INT8),
        (&columns, Type::TEXT_ARRAY),
        (&shown, Type::TEXT_ARRAY),
        (&cell::<&str>(&row, 2)?, Type::TEXT),
    ];
    let kept: Option<String> = first(link, &sql, &params).await?;
    if let Some(why) = kept {
        tracing::warn!(layer = name, cause = why, "the layer's view still shows an older version");
        return Ok(());
    }
    let sql = names.sql("UPDATE {s}layers SET shown = version WHERE layer = $1");
    link.run(&sql, &[(&name, Type::TEXT)]).await.map(drop)
}

/// The name of a layer's view: its id, unless PostgreSQL would cut it.
fn view_name(layer: &LayerId) -> String {
    let id = layer.as_str();
    if id.len() <= MAX_NAME {
        return id.to_owned();
    }
    // FNV-1a: the same in every release.
    let hash =
        id.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    format!("{}_{hash:08x}", cut(id, MAX_NAME - 9))
}

/// The columns of a version's view: stored names and those shown. A field keeps its own name,
/// unless it is too long or taken; those the store adds give way.
fn view_columns(fields: &[Field], spatial: bool) -> (Vec<String>, Vec<String>) {
    let mut taken: HashSet<String> = HashSet::new();
    let mut free = |wanted: &str| {
        let wanted: String = wanted.chars().filter(|c| *c != '\0').collect();
        let wanted = if wanted.is_empty() { "_".to_owned() } else { wanted };
        let mut name = cut(&wanted, MAX_NAME).to_owned();
        let mut n = 2;
        while !taken.insert(name.clone()) {
            let suffix = format!("_{n}");
            name = format!("{}{suffix}", cut(&wanted, MAX_NAME - suffix.len()));
            n += 1;
        }
        name
    };
    let named: Vec<String> = fields.iter().map(|f| free(&f.name)).collect();
    let mut columns = vec!["fid".to_owned(), "id".to_owned()];
    let mut shown = vec![free("fid"), free("socle_id")];
    columns.extend((0..fields.len()).map(|i| format!("c{i}")));
    shown.extend(named);
    if spatial {
        columns.push("geom".to_owned());
        shown.push(free("geom"));
    }
    (columns, shown)
}

/// The longest beginning of at most `bytes` bytes.
fn cut(text: &str, bytes: usize) -> &str {
    let fits = |(at, c): &(usize, char)| at + c.len_utf8() <= bytes;
    let end = text.char_indices().take_while(fits).last().map_or(0, |(at, c)| at + c.len_utf8());
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FieldKind;
    use proptest::prelude::*;

    fn field(name: &str) -> Field {
        Field { name: name.to_owned(), kind: FieldKind::Text }
    }

    #[test]
    fn fields_keep_their_names_and_ours_give_way() {
        let fields = ["fid", "nom", "NOM", "geom", ""].map(field);
        let (columns, shown) = view_columns(&fields, true);
        assert_eq!(columns, ["fid", "id", "c0", "c1", "c2", "c3", "c4", "geom"]);
        assert_eq!(shown, ["fid_2", "socle_id", "fid", "nom", "NOM", "geom", "_", "geom_2"]);
    }

    proptest! {
        #[test]
        fn names_are_distinct_and_fit(names in proptest::collection::vec(any::<String>(), 0..20)) {
            let fields: Vec<Field> = names.iter().map(|n| field(n)).collect();
            let (columns, shown) = view_columns(&fields, true);
            prop_assert_eq!(columns.len(), shown.len());
            let distinct: HashSet<&String> = shown.iter().collect();
            prop_assert_eq!(distinct.len(), shown.len());
            prop_assert!(shown.iter().all(|n| !n.is_empty() && n.len() <= MAX_NAME && !n.contains('\0')));
        }
    }
}
