//! Texts inside conditions: compared by code point, folded by the table that all stores share,
//! U+0000 included.

use super::{super::column::Column, Lowering};
use crate::{
    error::{Error, Result},
    model::Value,
    query::cql2::{Fold, Scalar},
};
use std::collections::BTreeSet;
use tokio_postgres::types::Type;

/// Stands for U+0000, which no text of the database holds: a character that no text should hold.
pub(super) const NUL: &str = "\u{ffff}";

/// A text's expression.
pub(super) enum Words {
    /// As the database has it.
    Text(String),
    /// As bytes, for U+0000, which no text of the database holds.
    Bytes(String),
    /// As text with [`NUL`] in its place.
    Stood(String),
}

impl Words {
    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    pub(super) fn into_sql(self) -> String {
        let (Self::Text(sql) | Self::Bytes(sql) | Self::Stood(sql)) = self;
        sql
    }

    pub(super) fn into_bytes(self) -> String {
        match self {
            Self::Bytes(sql) => sql,
            Self::Text(sql) => format!("convert_to({sql}, 'UTF8')"),
            // In UTF-8 these six digits stand between two bytes only.
            Self::Stood(sql) => format!(
                "decode(replace(encode(convert_to({sql}, 'UTF8'), 'hex'), 'efbfbf', '00'), 'hex')"
            ),
        }
    }

    /// As text with [`NUL`] for U+0000.
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Text(sql) | Self::Stood(sql) => sql,
            Self::Bytes(sql) => format!(
                "(SELECT CASE WHEN b IS NOT NULL THEN convert_from(decode(coalesce((SELECT string_agg(
                  CASE get_byte(b, i) WHEN 0 THEN 'efbfbf' ELSE lpad(to_hex(get_byte(b, i)), 2, '0') END, '' ORDER BY i)
                  FROM generate_series(0, length(b) - 1) AS i), ''), 'hex'), 'UTF8') END FROM (SELECT {sql} AS b OFFSET 0) AS v)"
            ),
        }
    }
}

impl Lowering<'_> {
    /// A text, folded where it is; `wanted`: the letters that matter, `None` for all.
    pub(super) fn words(
        &mut self,
        scalar: &Scalar,
        wanted: Option<&BTreeSet<char>>,
    ) -> Result<Words> {
        match scalar {
            Scalar::Field { index, .. } => {
                let (column, _, sql) = self.field(*index)?;
                Ok(match column {
                    Column::Bytes => Words::Bytes(sql),
                    _ => Words::Text(format!("{sql} COLLATE \"C\"")),
                })
            }
            Scalar::Value(Value::Text(t)) if t.contains('\0') => {
                Ok(Words::Bytes(self.bind(t.clone().into_bytes(), Type::BYTEA)))
            }
            Scalar::Value(Value::Text(t)) => {
                let bound = self.bind(t.clone(), Type::TEXT);
                Ok(Words::Text(format!("{bound} COLLATE \"C\"")))
            }
            Scalar::Folded(fold, inner) => {
                let inner = self.words(inner, None)?;
                let kept = if inner.is_text() { Words::Text } else { Words::Stood };
                Ok(kept(self.folded(*fold, inner.into_text(), wanted)))
            }
            _ => Err(Error::broken("a number is compared as a text")),
        }
    }

    fn folded(&mut self, fold: Fold, inner: String, wanted: Option<&BTreeSet<char>>) -> String {
        // A letter that is wanted as it is must not stay what it is.
        let matters = |from: char, becomes: &str| {
            let all = |w: &BTreeSet<char>| becomes.chars().all(|c| w.contains(&c));
            wanted.is_none_or(|w| w.contains(&from) || all(w))
        };
        let (mut from, mut to) = (String::new(), String::new());
        let (mut gone, mut longer) = (String::new(), Vec::new());
        for (c, becomes) in fold.table() {
            let mut each = becomes.chars();
            match (each.next(), each.next()) {
                (None, _) => gone.push(*c),
                (Some(one), None) if matters(*c, becomes) => {
                    from.push(*c);
                    to.push(one);
                }
                // All of them, few as they are: the statement is the same for every text.
                (Some(_), Some(_)) => longer.push((*c, becomes)),
                _ => {}
            }
        }
        // The characters to which nothing corresponds are taken out.
        from.push_str(&gone);
        let mut sql = "x".to_owned();
        for (c, becomes) in longer {
            let (c, becomes) =
                (self.bind(c.to_string(), Type::TEXT), self.bind(becomes.clone(), Type::TEXT));
            sql = format!("replace({sql}, {c}, {becomes})");
        }
        let (from, to) = (self.bind(from, Type::TEXT), self.bind(to, Type::TEXT));
        let plain = if fold.case { "lower(x)" } else { "x" };
        // Most texts are plain letters: they need no table.
        format!(
            "(SELECT CASE WHEN octet_length(x) = char_length(x) THEN {plain} ELSE translate({sql}, {from}, {to}) END
              FROM (SELECT ({inner}) COLLATE \"C\" AS x OFFSET 0) AS v) COLLATE \"C\""
        )
    }
}

/// The letters of some texts.
pub(super) fn letters<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeSet<char> {
    texts.flat_map(str::chars).collect()
}
