//! What stands between operators: literals, properties, functions, and what is in parentheses.

use super::{super::token::is_reserved, Parser, Tree};
use crate::{
    error::Result,
    query::cql2::{
        arity,
        ast::{Arithmetic, Kind, NAMES, Node, Op},
        error::{self, at, shown},
        interval_end, moment_literal,
        token::Token,
        wkt,
    },
    text,
};

impl Parser {
    pub(super) fn unary(&mut self) -> Result<Tree> {
        let place = self.here();
        let mut negative = false;
        while self.is_sign(0, "-") || self.is_sign(0, "+") {
            negative ^= self.is_sign(0, "-");
            self.next += 1;
        }
        if let Some(Token::Number(written)) = self.peek() {
            let kind = number(negative, written);
            self.next += 1;
            let too_large = || at(place, text!("nombre trop grand.", "number too large."));
            return Ok(Self::leaf(place, kind.ok_or_else(too_large)?));
        }
        let operand = self.primary()?;
        if !negative {
            return Ok(operand);
        }
        let minus = Self::leaf(place, Kind::Int(-1));
        self.call(place, Op::Arithmetic(Arithmetic::Mul), vec![minus, operand])
    }

    fn primary(&mut self) -> Result<Tree> {
        let place = self.here();
        let operand = ("un champ, une valeur ou « ( »", "a property, a value or \"(\"");
        match self.peek().cloned() {
            Some(Token::Text(text)) => {
                self.next += 1;
                Ok(Self::leaf(place, Kind::Text(text)))
            }
            Some(Token::Quoted(name)) => {
                self.next += 1;
                Ok(Self::leaf(place, Kind::Property(name)))
            }
            Some(Token::Sign("(")) => {
                self.next += 1;
                self.group(place)
            }
            Some(Token::Word(word)) => {
                let called = self.is_sign(1, "(")
                    || (wkt::is_shape(&word) && self.is_word(1, "Z") && self.is_sign(2, "("));
                if called && !is_reserved(&word) {
                    self.next += 1;
                    return self.named(place, &word);
                }
                if word.eq_ignore_ascii_case("TRUE") || word.eq_ignore_ascii_case("FALSE") {
                    self.next += 1;
                    return Ok(Self::leaf(place, Kind::Bool(word.eq_ignore_ascii_case("TRUE"))));
                }
                if is_reserved(&word) {
                    return Err(self.unexpected(operand.0, operand.1));
                }
                self.next += 1;
                Ok(Self::leaf(place, Kind::Property(word)))
            }
            _ => Err(self.unexpected(operand.0, operand.1)),
        }
    }

    /// What stands between parentheses: one expression, or a list.
    fn group(&mut self, place: usize) -> Result<Tree> {
        let list = self.list(place)?;
        match list.node.kind {
            Kind::Array(mut items) if items.len() == 1 => {
                let node = items.pop().unwrap_or(Node::new(Kind::Array(Vec::new())));
                Ok(Tree { node, depth: list.depth - 1 })
            }
            kind => Ok(Tree { node: Node { at: list.node.at, kind }, depth: list.depth }),
        }
    }

    /// A literal or function that bears a name, its parenthesis next.
    fn named(&mut self, place: usize, word: &str) -> Result<Tree> {
        let upper = word.to_ascii_uppercase();
        let node = |kind| Tree { node: Node { at: Some(place), kind }, depth: 1 };
        match upper.as_str() {
            "DATE" | "TIMESTAMP" => {
                self.expect("(")?;
                let kind = self.moment(&upper)?;
                self.expect(")")?;
                return Ok(node(kind));
            }
            "INTERVAL" => {
                self.expect("(")?;
                let from = self.interval_end()?;
                self.expect(",")?;
                let to = self.interval_end()?;
                self.expect(")")?;
                return Ok(node(Kind::Interval(Box::new([from, to]))));
            }
            "BBOX" => return Ok(node(self.bbox()?)),
            _ if wkt::is_shape(&upper) => {
                return Ok(node(Kind::Geometry(self.shape(&upper)?)));
            }
            _ => {}
        }
        let Some(op) = Op::named(word).filter(|op| op.is_function()) else {
            let functions = NAMES.iter().filter(|(_, op)| op.is_function());
            let known: Vec<String> = functions.map(|(n, _)| n.to_ascii_uppercase()).collect();
            let known = error::list(word, known.iter().map(String::as_str));
            let asked = shown(word);
            return Err(at(
                place,
                text!(
                    "fonction inconnue « {asked} ». Fonctions : {known}.",
                    "unknown function \"{asked}\". Functions: {known}."
                ),
            ));
        };
        self.expect("(")?;
        let list = self.list(place)?;
        let Kind::Array(arguments) = list.node.kind else { return self.call(place, op, vec![]) };
        arity(Some(place), op, arguments.len())?;
        let depth = list.depth;
        let parts = arguments.into_iter().map(|node| Tree { node, depth: depth - 1 }).collect();
        self.call(place, op, parts)
    }

    /// The literal inside `DATE(…)` or `TIMESTAMP(…)`.
    fn moment(&mut self, which: &str) -> Result<Kind> {
        let place = self.here();
        let Some(Token::Text(written)) = self.peek().cloned() else {
            return Err(self.unexpected("une date entre apostrophes", "a date between quotes"));
        };
        self.next += 1;
        moment_literal(Some(place), &written, which == "DATE")
    }

    /// An end of an interval.
    fn interval_end(&mut self) -> Result<Node> {
        let place = self.here();
        if let Some(Token::Text(written)) = self.peek().cloned() {
            self.next += 1;
            return interval_end(Some(place), &written);
        }
        let end = self.unary()?.node;
        match end.kind {
            Kind::Date(_) | Kind::Timestamp(_) | Kind::Property(_) => Ok(end),
            _ => Err(error::of(
                &end,
                text!(
                    "une borne d'intervalle est une date, un instant, un champ ou '..'.",
                    "an end of an interval is a date, a timestamp, a property or '..'."
                ),
            )),
        }
    }

    /// A number with its sign, where only a number may stand.
    pub(in crate::query::cql2) fn coordinate(&mut self) -> Result<f64> {
        let negative = match self.sign("-") {
            true => true,
            false => {
                self.sign("+");
                false
            }
        };
        let read = match self.peek() {
            Some(Token::Number(written)) => written.parse::<f64>().ok().filter(|n| n.is_finite()),
            _ => None,
        };
        let read = read.ok_or_else(|| self.unexpected("un nombre", "a number"))?;
        self.next += 1;
        Ok(if negative { -read } else { read })
    }
}

/// A number literal; `None` when it is beyond what doubles hold.
fn number(negative: bool, written: &str) -> Option<Kind> {
    let signed = if negative { format!("-{written}") } else { written.to_owned() };
    if let Ok(whole) = signed.parse::<i64>() {
        return Some(Kind::Int(whole));
    }
    signed.parse::<f64>().ok().filter(|n| n.is_finite()).map(Kind::Float)
}
