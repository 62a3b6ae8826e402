//! Selectors: a metric's name, and labels in braces.

use super::super::labels::{Comparison, NAME, whole};
use super::{Error, Expression, Matcher, Parser, Selector, Shift, Token, is_label_name};

impl Parser<'_> {
    /// A selector whose name, if it has one before its braces, was read.
    pub(super) fn selector(&mut self, name: Option<String>) -> Result<Expression, Error> {
        let mut matchers = Vec::new();
        let has_name = name.is_some();
        if let Some(name) = name {
            matchers.push(Matcher::equal(NAME, &name));
        }
        if self.takes("{") {
            while !self.takes("}") {
                let matcher = self.matcher()?;
                if has_name && matcher.label == NAME {
                    return Err(self.fail(
                        "the metric's name is given twice",
                        "leave out `__name__`, or what stands before the braces",
                    ));
                }
                matchers.push(matcher);
                if !self.takes(",") {
                    self.needs("}")?;
                    break;
                }
            }
        }
        // One that accepts a series without labels would accept all there are.
        if matchers.iter().all(|matcher| matcher.accepts("")) {
            return Err(self.fail(
                "a selector accepts every series that there is",
                "name the metric, or at least one label that must not be empty",
            ));
        }
        Ok(Expression::Vector(Selector {
            matchers,
            shift: Shift::default(),
        }))
    }

    fn matcher(&mut self) -> Result<Matcher, Error> {
        let label = match self.peek() {
            Token::Name(name) if is_label_name(name) => name.clone(),
            _ => return Err(self.unexpected("a label's name")),
        };
        self.at += 1;
        let Token::Sign(sign @ ("=" | "!=" | "=~" | "!~")) = *self.peek() else {
            return Err(self.unexpected("=, !=, =~ or !~"));
        };
        self.at += 1;
        let Token::Text(value) = self.peek().clone() else {
            return Err(self.unexpected("a text in quotes"));
        };
        let comparison = match sign {
            "=" => Comparison::Equal,
            "!=" => Comparison::NotEqual,
            "=~" => Comparison::Matches(whole(&value)?),
            _ => Comparison::MatchesNot(whole(&value)?),
        };
        self.at += 1;
        Ok(Matcher {
            label,
            value,
            comparison,
        })
    }
}
