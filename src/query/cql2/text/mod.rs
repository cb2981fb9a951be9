//! CQL2 text to a tree, by precedence. What nests in the parser is what stands between
//! parentheses, which the scan has bounded; chains of AND, OR and NOT are loops.

mod primary;

use super::{
    ast::{Arithmetic, Comparison, Kind, Node, Op},
    error::{at, shown},
    moment,
    token::{Placed, Token, tokens},
};
use crate::{error::Result, text};

/// Deepest tree: chains of calculations count as well.
const MAX_DEPTH: usize = 160;

/// How strongly operators bind.
mod bind {
    pub(super) const OR: u8 = 1;
    pub(super) const AND: u8 = 2;
    pub(super) const NOT: u8 = 3;
    pub(super) const COMPARE: u8 = 4;
    pub(super) const ADD: u8 = 5;
    pub(super) const MULTIPLY: u8 = 6;
    pub(super) const POWER: u8 = 7;
}

/// Reads a text that the scan has passed.
pub(super) fn parse(filter: &str) -> Result<Node> {
    let tokens = tokens(filter)?;
    let end = filter.chars().count() + 1;
    let mut parser = Parser { tokens, next: 0, end };
    let tree = parser.expression(0)?;
    match parser.peek() {
        None => Ok(tree.node),
        Some(_) => Err(parser.unexpected("un opérateur ou la fin", "an operator or the end")),
    }
}

/// A part and how deep it is.
pub(super) struct Tree {
    pub(super) node: Node,
    depth: usize,
}

pub(super) struct Parser {
    tokens: Vec<Placed>,
    next: usize,
    end: usize,
}

/// An operator between two operands.
enum Infix {
    Chain(Op),
    Compare(Comparison),
    Arithmetic(Arithmetic),
    Like { nocase: bool },
    Between,
    In,
    IsNull,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|p| &p.token)
    }

    /// The place of the next token.
    pub(super) fn here(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |p| p.at)
    }

    fn is_word(&self, ahead: usize, word: &str) -> bool {
        let token = self.tokens.get(self.next + ahead).map(|p| &p.token);
        matches!(token, Some(Token::Word(w)) if w.eq_ignore_ascii_case(word))
    }

    pub(super) fn is_sign(&self, ahead: usize, sign: &str) -> bool {
        let token = self.tokens.get(self.next + ahead).map(|p| &p.token);
        matches!(token, Some(Token::Sign(s)) if *s == sign)
    }

    /// Takes a word, when it is the next.
    pub(super) fn word(&mut self, word: &str) -> bool {
        let there = self.is_word(0, word);
        self.next += usize::from(there);
        there
    }

    /// Takes a sign, when it is the next.
    pub(super) fn sign(&mut self, sign: &str) -> bool {
        let there = self.is_sign(0, sign);
        self.next += usize::from(there);
        there
    }

    pub(super) fn expect(&mut self, sign: &'static str) -> Result<()> {
        match self.sign(sign) {
            true => Ok(()),
            false => Err(self.unexpected(&format!("« {sign} »"), &format!("\"{sign}\""))),
        }
    }

    /// The next token is not what may stand here.
    pub(super) fn unexpected(&self, fr: &str, en: &str) -> crate::error::Error {
        let found = match self.peek() {
            None => {
                return at(
                    self.here(),
                    text!("{fr} attendu, le filtre s'arrête.", "{en} expected, the filter ends."),
                );
            }
            Some(Token::Word(w)) => shown(w),
            Some(Token::Quoted(w)) => format!("\"{}\"", shown(w)),
            Some(Token::Text(t)) => format!("'{}'", shown(t)),
            Some(Token::Number(n)) => shown(n),
            Some(Token::Sign(s)) => (*s).to_owned(),
        };
        at(
            self.here(),
            text!("{fr} attendu, trouvé « {found} ».", "{en} expected, found \"{found}\"."),
        )
    }

    /// An operator over its arguments; AND and OR take in those that stand first in them.
    fn call(&self, place: usize, op: Op, parts: Vec<Tree>) -> Result<Tree> {
        let depth = 1 + parts.iter().map(|t| t.depth).max().unwrap_or(0);
        let mut nodes = Vec::with_capacity(parts.len());
        let mut chained = false;
        for (i, part) in parts.into_iter().enumerate() {
            match part.node.kind {
                Kind::Call(inner, args) if i == 0 && inner == op && is_chain(op) => {
                    chained = true;
                    nodes.extend(args);
                }
                kind => nodes.push(Node { at: part.node.at, kind }),
            }
        }
        let depth = if chained { depth - 1 } else { depth };
        if depth > MAX_DEPTH {
            return Err(at(
                place,
                text!(
                    "filtre trop imbriqué (plus de {MAX_DEPTH} opérations l'une dans l'autre) ; simplifiez-le.",
                    "filter too deeply nested (more than {MAX_DEPTH} operations one in another); simplify it."
                ),
            ));
        }
        Ok(Tree { node: Node { at: Some(place), kind: Kind::Call(op, nodes) }, depth })
    }

    fn leaf(place: usize, kind: Kind) -> Tree {
        Tree { node: Node { at: Some(place), kind }, depth: 1 }
    }

    fn negate(&self, place: usize, tree: Tree) -> Result<Tree> {
        self.call(place, Op::Not, vec![tree])
    }

    fn expression(&mut self, least: u8) -> Result<Tree> {
        let place = self.here();
        let mut left = if least <= bind::NOT && self.is_word(0, "NOT") {
            let mut odd = false;
            while self.word("NOT") {
                odd = !odd;
            }
            let inner = self.expression(bind::COMPARE)?;
            if odd { self.negate(place, inner)? } else { inner }
        } else {
            self.unary()?
        };
        let mut compared = false;
        loop {
            let at = self.here();
            let Some((infix, strength, negated, words)) = self.infix() else { break };
            if strength < least {
                break;
            }
            if strength == bind::COMPARE && std::mem::replace(&mut compared, true) {
                return Err(self.unexpected("AND, OR ou la fin", "AND, OR or the end"));
            }
            self.next += words;
            left = self.joined(at, left, infix)?;
            if negated {
                left = self.negate(place, left)?;
            }
        }
        Ok(left)
    }

    /// The operator that comes next, how strongly it binds, whether it is negated, and how many
    /// tokens it takes.
    fn infix(&self) -> Option<(Infix, u8, bool, usize)> {
        let found = match self.peek()? {
            Token::Sign(sign) => match Op::named(sign)? {
                Op::Compare(c) => (Infix::Compare(c), bind::COMPARE),
                Op::Arithmetic(a) => (Infix::Arithmetic(a), strength(a)),
                _ => return None,
            },
            Token::Word(_) if self.is_word(0, "AND") => (Infix::Chain(Op::And), bind::AND),
            Token::Word(_) if self.is_word(0, "OR") => (Infix::Chain(Op::Or), bind::OR),
            Token::Word(_) if self.is_word(0, "DIV") => {
                (Infix::Arithmetic(Arithmetic::IntDiv), bind::MULTIPLY)
            }
            Token::Word(_) if self.is_word(0, "IS") => {
                let negated = self.is_word(1, "NOT");
                let words = if negated { 3 } else { 2 };
                return self.is_word(words - 1, "NULL").then_some((
                    Infix::IsNull,
                    bind::COMPARE,
                    negated,
                    words,
                ));
            }
            Token::Word(_) => {
                let negated = self.is_word(0, "NOT");
                let at = usize::from(negated);
                let infix = if self.is_word(at, "LIKE") {
                    Infix::Like { nocase: false }
                } else if self.is_word(at, "ILIKE") {
                    Infix::Like { nocase: true }
                } else if self.is_word(at, "BETWEEN") {
                    Infix::Between
                } else if self.is_word(at, "IN") {
                    Infix::In
                } else {
                    return None;
                };
                return Some((infix, bind::COMPARE, negated, at + 1));
            }
            _ => return None,
        };
        Some((found.0, found.1, false, 1))
    }

    /// The left operand with the operator that was taken and what stands to its right.
    fn joined(&mut self, place: usize, left: Tree, infix: Infix) -> Result<Tree> {
        match infix {
            Infix::Chain(op) => {
                let above = if op == Op::Or { bind::AND } else { bind::NOT };
                let right = self.expression(above)?;
                self.call(place, op, vec![left, right])
            }
            Infix::Compare(c) => {
                let right = self.expression(bind::ADD)?;
                self.call(place, Op::Compare(c), vec![left, right])
            }
            Infix::Arithmetic(a) => {
                let right = self.expression(strength(a) + 1)?;
                if a == Arithmetic::Pow && self.is_sign(0, "^") {
                    return Err(at(
                        self.here(),
                        text!(
                            "deux puissances de suite : dites par des parenthèses laquelle d'abord.",
                            "two powers in a row: say by parentheses which comes first."
                        ),
                    ));
                }
                self.call(place, Op::Arithmetic(a), vec![left, right])
            }
            Infix::Like { nocase } => {
                let pattern = self.expression(bind::ADD)?;
                let mut sides = vec![left, pattern];
                if nocase {
                    // GDAL's ILIKE: both sides without regard to case.
                    sides = sides
                        .into_iter()
                        .map(|side| self.call(place, Op::Casei, vec![side]))
                        .collect::<Result<_>>()?;
                }
                self.call(place, Op::Like, sides)
            }
            Infix::Between => {
                let low = self.expression(bind::ADD)?;
                if !self.word("AND") {
                    return Err(self.unexpected("AND", "AND"));
                }
                let high = self.expression(bind::ADD)?;
                self.call(place, Op::Between, vec![left, low, high])
            }
            Infix::In => {
                let list_at = self.here();
                self.expect("(")?;
                let list = self.list(list_at)?;
                self.call(place, Op::In, vec![left, list])
            }
            Infix::IsNull => self.call(place, Op::IsNull, vec![left]),
        }
    }

    /// What stands after `(` up to `)`, between commas.
    fn list(&mut self, place: usize) -> Result<Tree> {
        let mut items = Vec::new();
        let mut depth = 0;
        if !self.sign(")") {
            loop {
                let item = self.expression(0)?;
                depth = depth.max(item.depth);
                items.push(item.node);
                if !self.sign(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        let node = Node { at: Some(place), kind: Kind::Array(items) };
        Ok(Tree { node, depth: depth + 1 })
    }
}

fn is_chain(op: Op) -> bool {
    matches!(op, Op::And | Op::Or)
}

fn strength(a: Arithmetic) -> u8 {
    match a {
        Arithmetic::Add | Arithmetic::Sub => bind::ADD,
        Arithmetic::Pow => bind::POWER,
        _ => bind::MULTIPLY,
    }
}

/// Reads a date or an instant, for [`super::moment_literal`].
pub(super) fn moment_kind(written: &str, date: bool) -> Option<Kind> {
    match date {
        true => moment::date(written).map(Kind::Date),
        false => moment::timestamp(written).map(Kind::Timestamp),
    }
}
