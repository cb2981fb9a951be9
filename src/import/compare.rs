//! A version that was read set against the one in force, and judged by the rules of its layer.

use crate::{
    model::{
        BBox, ChangesHead, Comparison, FieldKind, GeometryKind, HoldReason, HoldRule, HoldRules,
        Report, Retyped, Schema, Text, Version,
    },
    text,
};

/// What is added around extents before they are compared, degrees (about 10 km): a handful of
/// points that move in their own town did not leave it.
const MARGIN: f64 = 0.1;

/// Columns named in one reason; beyond, they are counted.
const NAMED: usize = 10;

/// What moved from one version to the next, as their descriptions tell.
pub fn compare(base: &Version, new: &Version) -> Comparison {
    let lost = |from: &Schema, to: &Schema| -> Vec<String> {
        let names = from.fields.iter().map(|f| &f.name);
        names.filter(|name| to.index(name).is_none()).cloned().collect()
    };
    let retyped = base.schema.fields.iter().filter_map(|old| {
        let now = new.schema.fields.iter().find(|f| f.name == old.name)?;
        let other = now.kind != old.kind;
        other.then(|| Retyped { column: old.name.clone(), from: old.kind, to: now.kind })
    });
    Comparison {
        base: base.id.clone(),
        rows_before: base.count,
        rows_after: new.count,
        refused_before: refused(&base.report),
        refused_after: refused(&new.report),
        columns_added: lost(&new.schema, &base.schema),
        columns_lost: lost(&base.schema, &new.schema),
        columns_retyped: retyped.collect(),
        geometry_before: base.schema.geometry,
        geometry_after: new.schema.geometry,
        extent_before: base.bbox,
        extent_after: new.bbox,
        extent_kept: base.bbox.zip(new.bbox).map(|(old, now)| kept(&old, &now)),
    }
}

/// Every rule that holds the delivery; none: it may take the place of the one in force. `changes`
/// is what publishing it would change, by key.
pub fn judge(
    rules: &HoldRules,
    found: &Comparison,
    changes: Option<&ChangesHead>,
) -> Vec<HoldReason> {
    let mut reasons = Vec::new();
    let mut hold = |rule, text| reasons.push(HoldReason { rule, text });
    let (before, after) = (found.rows_before, found.rows_after);
    let fewer = share(before.saturating_sub(after), before);
    if beyond(fewer, rules.fewer_rows) {
        let (lost, limit) = (percent(fewer), rules.fewer_rows);
        hold(
            HoldRule::FewerRows,
            text!(
                "elle passerait de {before} à {after} entités (−{lost} %, permis : {limit} %)",
                "it would go from {before} to {after} features (−{lost} %, allowed: {limit} %)"
            ),
        );
    }
    if rules.lost_columns {
        schema(found, &mut hold);
    }
    if let Some(kept) = found.extent_kept.filter(|kept| beyond(1.0 - kept, rules.moved_extent)) {
        let (left, limit) = (percent(1.0 - kept), rules.moved_extent);
        hold(
            HoldRule::MovedExtent,
            text!(
                "elle laisserait {left} % de l'emprise en place sans entité (permis : {limit} %)",
                "it would leave {left} % of the extent in force without features (allowed: {limit} %)"
            ),
        );
    }
    if beyond(found.refused_after, rules.refused) && found.refused_after > found.refused_before {
        let (now, then) = (percent(found.refused_after), percent(found.refused_before));
        let limit = rules.refused;
        hold(
            HoldRule::Refused,
            text!(
                "{now} % de ses lignes sont refusées, {then} % la dernière fois (permis : {limit} %)",
                "{now} % of its rows are refused, {then} % last time (allowed: {limit} %)"
            ),
        );
    }
    if let Some(changes) = changes {
        by_key(rules, found, changes, &mut hold);
    }
    reasons
}

fn by_key(
    rules: &HoldRules,
    found: &Comparison,
    changes: &ChangesHead,
    hold: &mut impl FnMut(HoldRule, Text),
) {
    let removed = share(changes.removed, found.rows_before);
    if beyond(removed, rules.removed) {
        let (gone, limit) = (percent(removed), rules.removed);
        hold(
            HoldRule::Removed,
            text!(
                "{gone} % des entités en place n'y sont plus (permis : {limit} %)",
                "{gone} % of the features in force are gone (allowed: {limit} %)"
            ),
        );
    }
    let changed = share(changes.changed, found.rows_before);
    if beyond(changed, rules.changed) {
        let (other, limit) = (percent(changed), rules.changed);
        hold(
            HoldRule::Changed,
            text!(
                "{other} % des entités en place sont modifiées (permis : {limit} %)",
                "{other} % of the features in force are changed (allowed: {limit} %)"
            ),
        );
    }
}

/// Columns and geometry.
fn schema(found: &Comparison, hold: &mut impl FnMut(HoldRule, Text)) {
    if !found.columns_lost.is_empty() {
        let names = named(&found.columns_lost);
        hold(
            HoldRule::LostColumn,
            text!("colonnes perdues : {fr}", "columns lost: {en}", fr = names.fr, en = names.en),
        );
    }
    // Text that became numbers: « 01001 » is 1001 now, and joins nothing any more.
    let number = |kind| matches!(kind, FieldKind::Int | FieldKind::Float);
    let numbers = found.columns_retyped.iter().filter(|c| c.from == FieldKind::Text);
    let numbers: Vec<String> = numbers.filter(|c| number(c.to)).map(|c| c.column.clone()).collect();
    if !numbers.is_empty() {
        let names = named(&numbers);
        hold(
            HoldRule::RetypedColumn,
            text!(
                "colonnes de texte devenues des nombres : {fr}",
                "columns of text that became numbers: {en}",
                fr = names.fr,
                en = names.en
            ),
        );
    }
    let (from, to) = (found.geometry_before, found.geometry_after);
    if other_geometry(from, to) {
        let (now, then) = (shape(to), shape(from));
        hold(
            HoldRule::OtherGeometry,
            text!("géométrie : {now}, {then} jusqu'ici", "geometry: {now}, {then} until now"),
        );
    }
}

/// Whether geometry is of another dimension; where there was none, some is no loss.
fn other_geometry(from: GeometryKind, to: GeometryKind) -> bool {
    match (from, to) {
        (GeometryKind::None, _) => false,
        (_, GeometryKind::None) => true,
        (from, to) => from.dimension() != to.dimension(),
    }
}

fn shape(kind: GeometryKind) -> &'static str {
    match kind {
        GeometryKind::None => "NONE",
        kind => kind.ogc_name(),
    }
}

fn named(columns: &[String]) -> Text {
    let list = columns.iter().take(NAMED).map(|c| format!("« {c} »")).collect::<Vec<_>>();
    let list = list.join(", ");
    match columns.len().checked_sub(NAMED).filter(|more| *more > 0) {
        Some(more) => text!("{list} et {more} autres", "{list} and {more} more"),
        None => Text::same(list),
    }
}

fn refused(report: &Report) -> f64 {
    share(report.refused, report.read)
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn beyond(share: f64, limit: u8) -> bool {
    share * 100.0 > f64::from(limit)
}

/// Hundredths, one decimal at most, never rounded up to a whole that it is not.
fn percent(share: f64) -> f64 {
    (share * 1000.0).floor() / 10.0
}

/// The share of an extent that another covers, both with a margin around.
fn kept(old: &BBox, now: &BBox) -> f64 {
    let wide = |b: BBox| BBox {
        west: b.west - MARGIN,
        south: b.south - MARGIN,
        east: b.east + MARGIN,
        north: b.north + MARGIN,
    };
    let parts = |b: &BBox| b.parts().into_iter().map(wide).collect::<Vec<_>>();
    let area = |b: &BBox| (b.east - b.west).max(0.0) * (b.north - b.south).max(0.0);
    let (old, now) = (parts(old), parts(now));
    let common = |a: &BBox, b: &BBox| BBox {
        west: a.west.max(b.west),
        south: a.south.max(b.south),
        east: a.east.min(b.east),
        north: a.north.min(b.north),
    };
    let met = |a: &BBox| now.iter().map(|b| area(&common(a, b))).sum::<f64>();
    let whole: f64 = old.iter().map(area).sum();
    (old.iter().map(met).sum::<f64>() / whole).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Field;
    use proptest::prelude::*;

    fn boxed(west: f64, south: f64, east: f64, north: f64) -> BBox {
        BBox { west, south, east, north }
    }

    fn found() -> Comparison {
        Comparison {
            base: "20260101T000000Z-3f9a01c2".parse().unwrap(),
            rows_before: 200,
            rows_after: 200,
            refused_before: 0.0,
            refused_after: 0.0,
            columns_added: vec![],
            columns_lost: vec![],
            columns_retyped: vec![],
            geometry_before: GeometryKind::Polygon,
            geometry_after: GeometryKind::MultiPolygon,
            extent_before: None,
            extent_after: None,
            extent_kept: Some(1.0),
        }
    }

    fn rules_met(found: &Comparison) -> Vec<HoldRule> {
        judge(&HoldRules::default(), found, None).into_iter().map(|r| r.rule).collect()
    }

    #[test]
    fn each_rule_holds_beyond_its_limit_and_not_at_it() {
        assert_eq!(rules_met(&found()), []);
        assert_eq!(rules_met(&Comparison { rows_after: 100, ..found() }), []);
        let fewer = Comparison { rows_after: 99, ..found() };
        assert_eq!(rules_met(&fewer), [HoldRule::FewerRows]);
        let words = judge(&HoldRules::default(), &fewer, None).remove(0).text;
        assert_eq!(words.en, "it would go from 200 to 99 features (−50.5 %, allowed: 50 %)");
        let lost = Comparison { columns_lost: vec!["nom".into()], ..found() };
        assert_eq!(rules_met(&lost), [HoldRule::LostColumn]);
        let lenient = HoldRules { lost_columns: false, ..HoldRules::default() };
        assert_eq!(judge(&lenient, &lost, None), []);
        let moved = Comparison { extent_kept: Some(0.49), ..found() };
        assert_eq!(rules_met(&moved), [HoldRule::MovedExtent]);
        let refused = Comparison { refused_after: 0.21, ..found() };
        assert_eq!(rules_met(&refused), [HoldRule::Refused]);
        // What was as bad before is no news.
        assert_eq!(rules_met(&Comparison { refused_before: 0.21, ..refused }), []);
        let gone = Comparison { geometry_after: GeometryKind::None, ..found() };
        assert_eq!(rules_met(&gone), [HoldRule::OtherGeometry]);
        let points = Comparison { geometry_after: GeometryKind::Point, ..found() };
        assert_eq!(rules_met(&points), [HoldRule::OtherGeometry]);
    }

    #[test]
    fn features_are_judged_by_their_key_where_a_rule_says_so() {
        let changes = ChangesHead {
            at: jiff::Timestamp::UNIX_EPOCH,
            version: "20260102T000000Z-3f9a01c2".parse().unwrap(),
            base: None,
            added: 150,
            changed: 40,
            removed: 150,
            listed: 0,
        };
        assert_eq!(judge(&HoldRules::default(), &found(), Some(&changes)), []);
        let strict = HoldRules { removed: 74, changed: 19, ..HoldRules::default() };
        let rules: Vec<HoldRule> =
            judge(&strict, &found(), Some(&changes)).into_iter().map(|r| r.rule).collect();
        assert_eq!(rules, [HoldRule::Removed, HoldRule::Changed]);
    }

    #[test]
    fn only_text_that_became_numbers_is_a_loss() {
        let retyped = |from, to| Comparison {
            columns_retyped: vec![Retyped { column: "code".into(), from, to }],
            ..found()
        };
        assert_eq!(rules_met(&retyped(FieldKind::Text, FieldKind::Int)), [HoldRule::RetypedColumn]);
        assert_eq!(rules_met(&retyped(FieldKind::Int, FieldKind::Float)), []);
        assert_eq!(rules_met(&retyped(FieldKind::Int, FieldKind::Text)), []);
    }

    #[test]
    fn schemas_are_compared_by_name() {
        let version = |fields: &[(&str, FieldKind)]| {
            let of = |(name, kind): &(&str, FieldKind)| Field { name: (*name).into(), kind: *kind };
            let when = "2026-01-01T00:00:00Z";
            let described = serde_json::json!({
                "id": "20260101T000000Z-3f9a01c2", "options_hash": "", "count": 1, "max_zoom": 12,
                "min_zoom": 0, "report": Report::default(),
                "source": { "name": "", "origin": "", "bytes": 0, "sha256": "",
                            "fetched_at": when, "checked_at": when },
                "schema": Schema { fields: fields.iter().map(of).collect(), ..Schema::default() },
            });
            serde_json::from_value::<Version>(described).unwrap()
        };
        let old = version(&[("a", FieldKind::Text), ("b", FieldKind::Int)]);
        let new = version(&[("b", FieldKind::Float), ("c", FieldKind::Text)]);
        let found = compare(&old, &new);
        assert_eq!((found.columns_lost, found.columns_added), (vec!["a".into()], vec!["c".into()]));
        assert_eq!(found.columns_retyped.len(), 1);
    }

    #[test]
    fn extents_keep_what_they_share() {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        let old = boxed(0.0, 0.0, 9.8, 9.8);
        assert!(near(kept(&old, &old), 1.0));
        assert!(near(kept(&old, &boxed(20.0, 0.0, 30.0, 10.0)), 0.0));
        assert!(near(kept(&old, &boxed(5.0, 0.0, 9.8, 9.8)), 0.5));
        // A point is where it was when it moves by less than a town.
        assert!(kept(&boxed(3.0, 50.0, 3.0, 50.0), &boxed(3.05, 50.0, 3.05, 50.0)) > 0.7);
        // Across the antimeridian.
        let fiji = boxed(179.0, -20.0, -179.0, -15.0);
        assert!(near(kept(&fiji, &fiji), 1.0));
        assert!(near(kept(&fiji, &boxed(179.0, -20.0, 180.0, -15.0)), 0.5));
    }

    proptest! {
        #[test]
        fn a_share_of_an_extent_is_a_share(
            a in prop::array::uniform4(-80.0..80.0f64), b in prop::array::uniform4(-80.0..80.0f64)
        ) {
            let of = |v: [f64; 4]| {
                boxed(v[0].min(v[1]), v[2].min(v[3]), v[0].max(v[1]), v[2].max(v[3]))
            };
            let (a, b) = (of(a), of(b));
            let mut both = a;
            both.merge(&b);
            prop_assert!((0.0..=1.0).contains(&kept(&a, &b)));
            prop_assert!((kept(&a, &both) - 1.0).abs() < 1e-9);
        }
    }
}
