//! Words into an expression, by Prometheus' grammar (promql/parser/generated_parser.y), and whether its types fit.
//!
//! Invariant: expressions are at most [`DEPTH_MAX`] deep and have at most [`OPERATORS_MAX`] operators, so that whoever walks
//! them may do so by calling itself.

mod selector;
mod types;

use super::{
    Error,
    expression::{
        Aggregation, Card, Expression, Grouping, Matching, Moment, Operator, Selector, Shift,
    },
    functions,
    labels::{Matcher, is_label_name},
    lex::{Token, lex},
};

pub(crate) use super::lex::duration_ms;

/// Longest query, in bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Most parentheses, calls and signs within each other.
const DEPTH_MAX: usize = 64;
/// Most operators of a query.
const OPERATORS_MAX: usize = 250;

/// Reads a query.
pub(crate) fn parse(text: &str) -> Result<Expression, Error> {
    let mut parser = Parser::new(text)?;
    if parser.peek() == &Token::End {
        return Err(parser.fail("there is no query", "write an expression, such as `up`"));
    }
    let expression = parser.expression(0)?;
    parser.end()?;
    types::check(&expression)?;
    Ok(expression)
}

/// Reads a selector alone, as `match[]` has it.
pub(crate) fn parse_selector(text: &str) -> Result<Vec<Matcher>, Error> {
    match parse(text)? {
        Expression::Vector(Selector { matchers, shift }) if shift == Shift::default() => {
            Ok(matchers)
        }
        _ => Err(Error::at(
            text,
            0,
            "this is not a selector of series alone",
            "write a metric's name, or labels in braces, or both",
        )),
    }
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<(Token, usize)>,
    at: usize,
    depth: usize,
    operators: usize,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Result<Self, Error> {
        if text.len() > TEXT_BYTES_MAX {
            let message = format!("a query has at most {TEXT_BYTES_MAX} bytes");
            return Err(Error::at("", 0, message, "ask in several queries"));
        }
        Ok(Self {
            text,
            tokens: lex(text)?,
            at: 0,
            depth: 0,
            operators: 0,
        })
    }

    fn peek(&self) -> &Token {
        self.tokens
            .get(self.at)
            .map_or(&Token::End, |(token, _)| token)
    }

    fn second(&self) -> &Token {
        self.tokens
            .get(self.at + 1)
            .map_or(&Token::End, |(token, _)| token)
    }

    fn fail(&self, message: impl std::fmt::Display, mend: &str) -> Error {
        let at = self
            .tokens
            .get(self.at)
            .map_or(self.text.len(), |(_, at)| *at);
        Error::at(self.text, at, message, mend)
    }

    fn unexpected(&self, wanted: &str) -> Error {
        let message = format!("{} stands where {wanted} was expected", self.peek().shown());
        self.fail(message, "docs/promql.md says what is understood")
    }

    /// Takes a sign where it comes next.
    fn takes(&mut self, sign: &str) -> bool {
        let is_next = matches!(self.peek(), Token::Sign(next) if *next == sign);
        self.at += usize::from(is_next);
        is_next
    }

    fn needs(&mut self, sign: &str) -> Result<(), Error> {
        if self.takes(sign) {
            return Ok(());
        }
        Err(self.unexpected(&format!("`{sign}`")))
    }

    /// Takes a keyword where it comes next.
    fn takes_word(&mut self, word: &str) -> bool {
        let is_next = matches!(self.peek(), Token::Name(name) if name.eq_ignore_ascii_case(word));
        self.at += usize::from(is_next);
        is_next
    }

    fn end(&self) -> Result<(), Error> {
        match self.peek() {
            Token::End => Ok(()),
            _ => Err(self.unexpected("the end")),
        }
    }

    /// An operator that binds at least as tightly as `least`.
    fn operator(&self, least: u8) -> Option<Operator> {
        let operator = match self.peek() {
            Token::Sign(sign) => Operator::named(sign),
            Token::Name(name) => Operator::named(name),
            _ => None,
        };
        operator.filter(|operator| operator.precedence() >= least)
    }

    fn expression(&mut self, least: u8) -> Result<Expression, Error> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let message = format!("a query nests at most {DEPTH_MAX} deep");
            return Err(self.fail(message, "ask in several queries"));
        }
        let mut left = self.unary()?;
        while let Some(operator) = self.operator(least) {
            self.operators += 1;
            if self.operators > OPERATORS_MAX {
                let message = format!("a query has at most {OPERATORS_MAX} operators");
                return Err(self.fail(message, "match several values by one regular expression"));
            }
            self.at += 1;
            let (is_bool, matching) = self.matching()?;
            // A power of a power is taken from the right.
            let is_power = operator == Operator::Power;
            let right = self.expression(operator.precedence() + u8::from(!is_power))?;
            left = Expression::Binary {
                operator,
                left: Box::new(left),
                right: Box::new(right),
                is_bool,
                matching,
            };
        }
        self.depth -= 1;
        Ok(left)
    }

    /// What stands between an operator and its right side.
    fn matching(&mut self) -> Result<(bool, Matching), Error> {
        let is_bool = self.takes_word("bool");
        let mut matching = Matching::default();
        let is_on = self.takes_word("on");
        if !is_on && !self.takes_word("ignoring") {
            return Ok((is_bool, matching));
        }
        matching.is_on = is_on;
        matching.labels = self.label_list()?;
        let card = match () {
            () if self.takes_word("group_left") => Card::ManyToOne,
            () if self.takes_word("group_right") => Card::OneToMany,
            () => return Ok((is_bool, matching)),
        };
        matching.card = card;
        // As in Prometheus' grammar, a parenthesis here is always such a list, never the right side.
        if matches!(self.peek(), Token::Sign("(")) {
            matching.include = self.label_list()?;
        }
        Ok((is_bool, matching))
    }

    fn label_list(&mut self) -> Result<Vec<String>, Error> {
        self.needs("(")?;
        let mut labels = Vec::new();
        while !self.takes(")") {
            match self.peek().clone() {
                Token::Name(name) if is_label_name(&name) => labels.push(name),
                _ => return Err(self.unexpected("a label's name")),
            }
            self.at += 1;
            if !self.takes(",") {
                self.needs(")")?;
                break;
            }
        }
        Ok(labels)
    }

    fn unary(&mut self) -> Result<Expression, Error> {
        if self.takes("-") {
            let of = self.expression(Operator::Power.precedence())?;
            return Ok(Expression::Negative(Box::new(of)));
        }
        if self.takes("+") {
            let of = self.expression(Operator::Power.precedence())?;
            // What may have no sign is refused with one of either kind.
            types::may_have_sign(&of)?;
            return Ok(of);
        }
        let of = self.primary()?;
        self.postfix(of)
    }

    fn primary(&mut self) -> Result<Expression, Error> {
        match self.peek().clone() {
            Token::Number(number) => {
                self.at += 1;
                Ok(Expression::Number(number))
            }
            Token::Text(text) => {
                self.at += 1;
                Ok(Expression::Text(text))
            }
            Token::Sign("(") => {
                self.at += 1;
                let of = self.expression(0)?;
                self.needs(")")?;
                Ok(Expression::Paren(Box::new(of)))
            }
            Token::Sign("{") => self.selector(None),
            Token::Name(name) => self.named(name),
            _ => Err(self.unexpected("an expression")),
        }
    }

    /// A metric, a call or an aggregation.
    fn named(&mut self, name: String) -> Result<Expression, Error> {
        let is_call = matches!(self.second(), Token::Sign("("));
        let is_grouped = matches!(self.second(), Token::Name(word)
            if word.eq_ignore_ascii_case("by") || word.eq_ignore_ascii_case("without"));
        if let Some(aggregation) = Aggregation::named(&name)
            && (is_call || is_grouped)
        {
            self.at += 1;
            return self.aggregate(aggregation);
        }
        if !is_call {
            self.at += 1;
            return self.selector(Some(name));
        }
        let function = functions::named(&name).ok_or_else(|| {
            self.fail(
                format!("the function `{name}` is not known"),
                functions::why_not(&name),
            )
        })?;
        self.at += 1;
        let arguments = self.arguments()?;
        Ok(Expression::Call {
            function,
            arguments,
        })
    }

    fn arguments(&mut self) -> Result<Vec<Expression>, Error> {
        self.needs("(")?;
        let mut arguments = Vec::new();
        if self.takes(")") {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression(0)?);
            if self.takes(")") {
                return Ok(arguments);
            }
            self.needs(",")?;
        }
    }

    fn grouping(&mut self) -> Result<Option<Grouping>, Error> {
        let is_by = self.takes_word("by");
        if !is_by && !self.takes_word("without") {
            return Ok(None);
        }
        Ok(Some(Grouping {
            is_without: !is_by,
            labels: self.label_list()?,
        }))
    }

    fn aggregate(&mut self, aggregation: Aggregation) -> Result<Expression, Error> {
        let before = self.grouping()?;
        let mut arguments = self.arguments()?;
        let grouping = match before {
            Some(grouping) => grouping,
            None => self.grouping()?.unwrap_or_default(),
        };
        let wanted = 1 + usize::from(aggregation.parameter().is_some());
        if arguments.len() != wanted {
            let (name, given) = (aggregation.name(), arguments.len());
            let message = format!("`{name}` takes {wanted} arguments, not {given}");
            return Err(self.fail(message, "docs/promql.md has the arguments"));
        }
        let of = arguments.pop().unwrap_or(Expression::Number(f64::NAN));
        Ok(Expression::Aggregate {
            aggregation,
            parameter: arguments.pop().map(Box::new),
            of: Box::new(of),
            grouping,
        })
    }

    /// Ranges, `offset` and `@` after an expression.
    fn postfix(&mut self, mut of: Expression) -> Result<Expression, Error> {
        loop {
            if matches!(self.peek(), Token::Sign("[")) {
                of = self.range(of)?;
            } else if self.takes_word("offset") {
                let is_negative = self.takes("-");
                let ms = self.duration()?;
                let offset_ms = if is_negative { -ms } else { ms };
                let shift = self.shift(&mut of, "offset")?;
                if shift.offset_ms.replace(offset_ms).is_some() {
                    return Err(self.fail("`offset` is given twice", "leave one out"));
                }
            } else if self.takes("@") {
                let moment = self.moment()?;
                let shift = self.shift(&mut of, "@")?;
                if shift.at.replace(moment).is_some() {
                    return Err(self.fail("`@` is given twice", "leave one out"));
                }
            } else {
                return Ok(of);
            }
        }
    }

    fn shift<'e>(&self, of: &'e mut Expression, what: &str) -> Result<&'e mut Shift, Error> {
        match of {
            Expression::Vector(selector) | Expression::Matrix(selector, _) => {
                Ok(&mut selector.shift)
            }
            Expression::Subquery { shift, .. } => Ok(shift),
            _ => Err(self.fail(
                format!("`{what}` follows what is no selector and no subquery"),
                "write it right behind a selector, a range or a subquery",
            )),
        }
    }

    fn duration(&mut self) -> Result<i64, Error> {
        match self.peek() {
            Token::Duration(ms) => {
                let ms = *ms;
                self.at += 1;
                Ok(ms)
            }
            _ => Err(self.unexpected("a duration, such as 5m,")),
        }
    }

    /// What follows `@`: `start()`, `end()`, or seconds since the Unix epoch.
    fn moment(&mut self) -> Result<Moment, Error> {
        for (word, moment) in [("start", Moment::Start), ("end", Moment::End)] {
            if self.takes_word(word) {
                self.needs("(")?;
                self.needs(")")?;
                return Ok(moment);
            }
        }
        let sign = if self.takes("-") { -1.0 } else { 1.0 };
        if sign > 0.0 {
            self.takes("+");
        }
        match *self.peek() {
            Token::Number(seconds) if seconds.abs() < 1e14 => {
                self.at += 1;
                Ok(Moment::Ms((sign * seconds * 1000.0).round() as i64))
            }
            _ => Err(self.unexpected("seconds since the Unix epoch, start() or end()")),
        }
    }

    fn range(&mut self, of: Expression) -> Result<Expression, Error> {
        self.needs("[")?;
        let range_ms = self.duration()?;
        if range_ms <= 0 {
            return Err(self.fail(
                "a range is longer than nothing",
                "write a range such as [5m]",
            ));
        }
        if self.takes(":") {
            let step_ms = match self.peek() {
                Token::Duration(_) => Some(self.duration()?),
                _ => None,
            };
            self.needs("]")?;
            if step_ms == Some(0) {
                return Err(self.fail("a step is longer than nothing", "write a step such as 1m"));
            }
            return Ok(Expression::Subquery {
                of: Box::new(of),
                range_ms,
                step_ms,
                shift: Shift::default(),
            });
        }
        self.needs("]")?;
        match of {
            Expression::Vector(selector) if selector.shift == Shift::default() => {
                Ok(Expression::Matrix(selector, range_ms))
            }
            Expression::Vector(_) => Err(self.fail(
                "a range follows `offset` or `@`",
                "write the range first: up[5m] offset 1h",
            )),
            _ => Err(self.fail(
                "a range follows what is no selector",
                "a subquery has a colon: [5m:] or [5m:1m]",
            )),
        }
    }
}
