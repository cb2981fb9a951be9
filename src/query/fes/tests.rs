use super::*;
use crate::{
    model::{Field, GeometryKind},
    query::cql2,
};
use proptest::prelude::*;

struct Plain;

impl Around for Plain {
    fn name(&self, reference: &str) -> String {
        reference.rsplit([':', '/']).next().unwrap_or_default().to_owned()
    }
    fn is_void(&self, reference: &Element) -> bool {
        reference.text == "gml:name"
    }
    fn geometry(&self, element: &Element) -> Option<Result<Kind>> {
        (element.name == "Envelope").then_some(Ok(Kind::Box([1.0, 2.0, 3.0, 4.0])))
    }
}

fn schema() -> Schema {
    let field = |name: &str, kind| Field { name: name.into(), kind };
    let fields = vec![
        field("nom", FieldKind::Text),
        field("n", FieldKind::Int),
        field("jour", FieldKind::Date),
        field("ok", FieldKind::Bool),
    ];
    Schema { fields, geometry: GeometryKind::Point }
}

fn leaf(name: &str, text: &str) -> Element {
    Element { name: name.into(), text: text.into(), ..Element::default() }
}

fn around(name: &str, children: Vec<Element>) -> Element {
    Element { name: name.into(), children, ..Element::default() }
}

fn with(mut element: Element, attributes: &[(&str, &str)]) -> Element {
    element.attributes = attributes.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
    element
}

/// A condition as CQL2 says it.
fn cql(condition: Element) -> String {
    match lower(&around("Filter", vec![condition]), &schema(), &Plain).unwrap() {
        Lowered::Condition(node) => cql2::to_text(&node),
        other => panic!("{other:?}"),
    }
}

fn is(op: &str, name: &str, value: &str) -> Element {
    around(op, vec![leaf("ValueReference", name), leaf("Literal", value)])
}

#[test]
fn every_operator_has_its_twin_in_cql2() {
    let same = |condition: Element, text: &str| {
        let wanted = cql2::to_text(&cql2::parse(cql2::Dialect::Text, text).unwrap());
        assert_eq!(cql(condition), wanted);
    };
    same(is("PropertyIsEqualTo", "socle:nom", "12"), "nom = '12'");
    same(is("PropertyIsNotEqualTo", "n", " 12 "), "n <> 12");
    same(is("PropertyIsLessThan", "n", "1.5"), "n < 1.5");
    same(is("PropertyIsEqualTo", "ok", "1"), "ok = true");
    let both = vec![is("PropertyIsGreaterThan", "n", "1"), is("PropertyIsEqualTo", "nom", "a'b")];
    same(around("And", both.clone()), "n > 1 AND nom = 'a''b'");
    same(around("Not", vec![around("Or", both)]), "NOT (n > 1 OR nom = 'a''b')");
    same(around("PropertyIsNull", vec![leaf("PropertyName", "nom")]), "nom IS NULL");
    let like = with(
        is("PropertyIsLike", "nom", "a*b?!*%"),
        &[("wildCard", "*"), ("singleChar", "?"), ("escapeChar", "!")],
    );
    same(like, "nom LIKE 'a%b_*\\\\%'");
    let insensitive = with(is("PropertyIsEqualTo", "nom", "LILLE"), &[("matchCase", "false")]);
    same(insensitive, "CASEI(nom) = CASEI('LILLE')");
    same(with(is("PropertyIsEqualTo", "n", "1"), &[("matchCase", "false")]), "n = 1");
    let low = around("LowerBoundary", vec![leaf("Literal", "1")]);
    let high = around("UpperBoundary", vec![leaf("Literal", "9")]);
    same(
        around("PropertyIsBetween", vec![leaf("PropertyName", "n"), low, high]),
        "n BETWEEN 1 AND 9",
    );
    let place = leaf("Envelope", "");
    same(around("BBOX", vec![place.clone()]), "S_INTERSECTS(geometry,BBOX(1,2,3,4))");
    same(
        around("Within", vec![leaf("ValueReference", "geometry"), place]),
        "S_WITHIN(geometry,BBOX(1,2,3,4))",
    );
    let sum = around("Add", vec![leaf("PropertyName", "n"), leaf("Literal", "1")]);
    same(around("PropertyIsEqualTo", vec![sum, leaf("Literal", "3")]), "n + 1 = 3");
    let period = around(
        "TimePeriod",
        vec![leaf("beginPosition", "2020-01-01"), leaf("endPosition", "2021-01-01")],
    );
    assert!(
        cql(around("During", vec![leaf("ValueReference", "jour"), period]))
            .starts_with("T_DURING(")
    );
}

#[test]
fn what_no_feature_has_is_null_and_equals_nothing() {
    struct Nowhere;
    impl cql2::Context for Nowhere {
        fn territory(
            &self,
            _: &str,
            _: crate::model::Mode,
        ) -> Result<std::sync::Arc<crate::model::Selection>> {
            Err(Error::broken("no territory"))
        }
        fn place(&self, geometry: geo_types::Geometry<f64>) -> Result<geo_types::Geometry<f64>> {
            Ok(geometry)
        }
        fn place_box(&self, _: [f64; 4]) -> Result<geo_types::Geometry<f64>> {
            Err(Error::broken("no box"))
        }
    }
    let root = |condition: Element| {
        let filter = around("Filter", vec![condition]);
        let Lowered::Condition(node) = lower(&filter, &schema(), &Plain).unwrap() else { panic!() };
        cql2::check(&node, &schema(), &Nowhere).unwrap().root
    };
    let void = || leaf("ValueReference", "gml:name");
    let known = |condition: Element| match root(condition) {
        cql2::Expr::Constant(known) => known,
        other => panic!("{other:?}"),
    };
    assert_eq!(known(around("PropertyIsNull", vec![void()])), Some(true));
    assert_eq!(known(around("PropertyIsEqualTo", vec![void(), leaf("Literal", "a")])), None);
    let differs = around("PropertyIsNotEqualTo", vec![void(), leaf("Literal", "1")]);
    assert_eq!(known(around("Not", vec![differs])), None);
}

#[test]
fn ids_stand_alone() {
    let id = |name: &str, key: &str, id: &str| with(leaf(name, ""), &[(key, id)]);
    let filter =
        around("Filter", vec![id("ResourceId", "rid", "a.1"), id("FeatureId", "fid", "a.2")]);
    let ids = Lowered::Ids(vec!["a.1".into(), "a.2".into()]);
    assert_eq!(lower(&filter, &schema(), &Plain).unwrap(), ids);
    let attribute = is("PropertyIsEqualTo", "socle:a/@gml:id", "a.1");
    let one = lower(&around("Filter", vec![attribute]), &schema(), &Plain).unwrap();
    assert_eq!(one, Lowered::Ids(vec!["a.1".into()]));
    let mixed =
        around("And", vec![id("ResourceId", "rid", "a.1"), is("PropertyIsEqualTo", "n", "1")]);
    assert!(lower(&around("Filter", vec![mixed]), &schema(), &Plain).is_err());
}

#[test]
fn what_means_nothing_is_refused() {
    for bad in [
        around("Filter", vec![]),
        around("And", vec![is("PropertyIsEqualTo", "n", "1")]),
        around("Filter", vec![is("PropertyIsEqualTo", "n", "un")]),
        around("Filter", vec![around("PropertyIsEqualTo", vec![leaf("Literal", "1")])]),
        around("Filter", vec![around("Or", vec![])]),
        around("Filter", vec![around("DWithin", vec![])]),
        around("Filter", vec![around("PropertyIsNull", vec![leaf("Function", "")])]),
        around(
            "Filter",
            vec![is("PropertyIsEqualTo", "n", "1"), is("PropertyIsEqualTo", "n", "1")],
        ),
        around("Filter", vec![leaf("ResourceId", "")]),
    ] {
        assert!(matches!(lower(&bad, &schema(), &Plain), Err(Error::Invalid(_))), "{bad:?}");
    }
}

fn tree() -> impl Strategy<Value = Element> {
    let names = vec![
        "And",
        "Or",
        "Not",
        "PropertyIsEqualTo",
        "PropertyIsLike",
        "PropertyIsBetween",
        "LowerBoundary",
        "UpperBoundary",
        "BBOX",
        "Envelope",
        "During",
        "TimePeriod",
        "Add",
        "ResourceId",
        "x",
    ];
    let leaf = (
        prop::sample::select(vec!["Literal", "ValueReference", "beginPosition"]),
        "[a-z0-9. ]{0,6}",
    );
    leaf.prop_map(|(name, text)| super::tests::leaf(name, &text)).prop_recursive(
        5,
        40,
        3,
        move |inner| {
            (prop::sample::select(names.clone()), prop::collection::vec(inner, 0..3))
                .prop_map(|(name, children)| super::tests::around(name, children))
        },
    )
}

proptest! {
    #[test]
    fn any_tree_is_read_or_refused(inner in tree()) {
        let _ = lower(&super::tests::around("Filter", vec![inner]), &schema(), &Plain);
    }
}
