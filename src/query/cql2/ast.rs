//! What a filter says, before anything is known of the layer it is asked of. Text and JSON give
//! the same tree.

use crate::model::Relation;
use geo_types::Geometry;
use jiff::{Timestamp, civil::Date};

/// A part of a filter.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it begins in the text, in characters from 1; `None` in JSON.
    pub at: Option<usize>,
    /// What it is.
    pub kind: Kind,
}

/// Two parts are equal when they say the same, wherever they stood.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// What a part of a filter is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `TRUE` or `FALSE`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number; finite.
    Float(f64),
    /// A character literal.
    Text(String),
    /// `DATE('…')`.
    Date(Date),
    /// `TIMESTAMP('…')`.
    Timestamp(Timestamp),
    /// `INTERVAL(…, …)`: each end a date, a timestamp, a property or `..`.
    Interval(Box<[Node; 2]>),
    /// `'..'`, an end of an interval that is open.
    Open,
    /// A property by its name, or the geometry.
    Property(String),
    /// A geometry, in the filter's CRS and axis order.
    Geometry(Geometry<f64>),
    /// `BBOX(…)`: its four numbers (of six, heights are left out), in the same CRS.
    Box([f64; 4]),
    /// A list of values.
    Array(Vec<Node>),
    /// An operator or function with its arguments.
    Call(Op, Vec<Node>),
}

impl Node {
    /// A part that stood nowhere.
    pub fn new(kind: Kind) -> Self {
        Self { at: None, kind }
    }
}

/// An operator or function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// All of two or more.
    And,
    /// Any of two or more.
    Or,
    /// Negation.
    Not,
    /// Comparison of two values.
    Compare(Comparison),
    /// A text and its pattern.
    Like,
    /// A value, its least and its most.
    Between,
    /// A value and a list.
    In,
    /// Whether there is no value.
    IsNull,
    /// Calculation with two numbers.
    Arithmetic(Arithmetic),
    /// Text without regard to case.
    Casei,
    /// Text without regard to accents.
    Accenti,
    /// How two geometries lie to each other.
    Spatial(Relation),
    /// Whether two geometries share no point.
    Disjoint,
    /// How two instants or intervals lie to each other.
    Temporal(Temporal),
    /// How two lists lie to each other.
    Array(ArrayRelation),
    /// Whether a feature concerns a territory.
    Territory,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the signs say it")]
pub enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// A calculation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the signs say it")]
pub enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
    /// Division cut towards zero.
    IntDiv,
    /// What that division leaves, with the sign of the dividend.
    Mod,
    Pow,
}

/// A temporal relation (CQL2, clause 7.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the standard's own names")]
pub enum Temporal {
    After,
    Before,
    Contains,
    Disjoint,
    During,
    Equals,
    FinishedBy,
    Finishes,
    Intersects,
    Meets,
    MetBy,
    OverlappedBy,
    Overlaps,
    StartedBy,
    Starts,
}

/// A relation of two lists, taken as sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArrayRelation {
    /// They hold the same.
    Equals,
    /// The first holds all of the second.
    Contains,
    /// The second holds all of the first.
    ContainedBy,
    /// They share a value.
    Overlaps,
}

/// Every operator and function by its name in JSON; in text, functions bear it in capitals.
pub(super) const NAMES: [(&str, Op); 50] = {
    use Arithmetic as A;
    use ArrayRelation as L;
    use Comparison as C;
    use Relation as R;
    use Temporal as T;
    [
        ("and", Op::And),
        ("or", Op::Or),
        ("not", Op::Not),
        ("=", Op::Compare(C::Eq)),
        ("<>", Op::Compare(C::Ne)),
        ("<", Op::Compare(C::Lt)),
        ("<=", Op::Compare(C::Le)),
        (">", Op::Compare(C::Gt)),
        (">=", Op::Compare(C::Ge)),
        ("like", Op::Like),
        ("between", Op::Between),
        ("in", Op::In),
        ("isNull", Op::IsNull),
        ("+", Op::Arithmetic(A::Add)),
        ("-", Op::Arithmetic(A::Sub)),
        ("*", Op::Arithmetic(A::Mul)),
        ("/", Op::Arithmetic(A::Div)),
        ("div", Op::Arithmetic(A::IntDiv)),
        ("%", Op::Arithmetic(A::Mod)),
        ("^", Op::Arithmetic(A::Pow)),
        ("casei", Op::Casei),
        ("accenti", Op::Accenti),
        ("s_intersects", Op::Spatial(R::Intersects)),
        ("s_equals", Op::Spatial(R::Equals)),
        ("s_disjoint", Op::Disjoint),
        ("s_touches", Op::Spatial(R::Touches)),
        ("s_crosses", Op::Spatial(R::Crosses)),
        ("s_within", Op::Spatial(R::Within)),
        ("s_contains", Op::Spatial(R::Contains)),
        ("s_overlaps", Op::Spatial(R::Overlaps)),
        ("t_after", Op::Temporal(T::After)),
        ("t_before", Op::Temporal(T::Before)),
        ("t_contains", Op::Temporal(T::Contains)),
        ("t_disjoint", Op::Temporal(T::Disjoint)),
        ("t_during", Op::Temporal(T::During)),
        ("t_equals", Op::Temporal(T::Equals)),
        ("t_finishedBy", Op::Temporal(T::FinishedBy)),
        ("t_finishes", Op::Temporal(T::Finishes)),
        ("t_intersects", Op::Temporal(T::Intersects)),
        ("t_meets", Op::Temporal(T::Meets)),
        ("t_metBy", Op::Temporal(T::MetBy)),
        ("t_overlappedBy", Op::Temporal(T::OverlappedBy)),
        ("t_overlaps", Op::Temporal(T::Overlaps)),
        ("t_startedBy", Op::Temporal(T::StartedBy)),
        ("t_starts", Op::Temporal(T::Starts)),
        ("a_equals", Op::Array(L::Equals)),
        ("a_contains", Op::Array(L::Contains)),
        ("a_containedBy", Op::Array(L::ContainedBy)),
        ("a_overlaps", Op::Array(L::Overlaps)),
        ("territory", Op::Territory),
    ]
};

impl Op {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, op)| *op == self).map_or("", |(name, _)| name)
    }

    /// An operator or function by its name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, op)| *op)
    }

    /// Whether text writes it as a function, `NAME(…)`.
    pub fn is_function(self) -> bool {
        matches!(
            self,
            Self::Casei
                | Self::Accenti
                | Self::Spatial(_)
                | Self::Disjoint
                | Self::Temporal(_)
                | Self::Array(_)
                | Self::Territory
        )
    }

    /// The fewest and the most arguments it takes.
    pub(super) fn arguments(self) -> (usize, usize) {
        match self {
            Self::And | Self::Or => (2, usize::MAX),
            Self::Not | Self::IsNull | Self::Casei | Self::Accenti => (1, 1),
            Self::Between => (3, 3),
            Self::Territory => (1, 2),
            _ => (2, 2),
        }
    }
}

impl Comparison {
    /// The comparison with its sides exchanged.
    pub fn turned(self) -> Self {
        match self {
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
            other => other,
        }
    }

    /// The comparison that holds where this one does not; unknown where this one is.
    pub fn negated(self) -> Self {
        match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Lt => Self::Ge,
            Self::Le => Self::Gt,
            Self::Gt => Self::Le,
            Self::Ge => Self::Lt,
        }
    }

    /// Its sign, the same in CQL2 and SQL.
    pub fn sign(self) -> &'static str {
        Op::Compare(self).name()
    }

    /// Whether it holds of two values in the given order.
    pub fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::Ge => order.is_ge(),
        }
    }
}
