//! Labels that a query makes, which no data bounds: each is bounded, all together count as readings do, and equal ones are
//! held once, however many steps make them.

use std::{collections::HashSet, sync::Arc};

use regex::Captures;

use super::super::Error;
use super::{Element, Evaluator, Labels};

/// Most bytes of a label's value that a function makes.
const VALUE_BYTES_MAX: usize = 16 * 1024;
/// Bytes that are counted as a reading: as many as one takes.
const READING_BYTES: usize = 16;

/// What was made so far.
#[derive(Debug, Default)]
pub(super) struct Made {
    values: HashSet<Arc<str>>,
    labels: HashSet<Labels>,
}

impl Evaluator {
    /// A value that was made, to be held: the one that is held already, if it is.
    pub(super) fn made(&self, value: &str) -> Result<Arc<str>, Error> {
        if let Some(known) = self.made.borrow().values.get(value) {
            return Ok(Arc::clone(known));
        }
        self.spend(1 + value.len() / READING_BYTES)?;
        let value: Arc<str> = value.into();
        self.made.borrow_mut().values.insert(Arc::clone(&value));
        Ok(value)
    }

    /// Labels that are held from step to step: those that are held already, if they are equal.
    pub(super) fn shared(&self, labels: &Labels) -> Result<Labels, Error> {
        if let Some(known) = self.made.borrow().labels.get(labels) {
            return Ok(known.clone());
        }
        self.spend(1 + labels.iter().count())?;
        self.made.borrow_mut().labels.insert(labels.clone());
        Ok(labels.clone())
    }
}

/// How many readings an element that is held counts as: a histogram takes as much as its buckets.
pub(super) fn readings(element: &Element) -> usize {
    let histogram = element.histogram.as_ref();
    1 + histogram.map_or(0, |histogram| {
        histogram.positive.len() + histogram.negative.len()
    })
}

/// How many readings the labels of an answer count as: they are written out for each series, though many may share one text.
pub(super) fn written<'l>(labels: impl Iterator<Item = &'l Labels>) -> usize {
    let pairs = labels.flat_map(Labels::iter);
    let bytes = pairs.map(|(name, value)| name.len() + value.len());
    bytes.sum::<usize>() / READING_BYTES
}

/// The parts of a replacement, each with at most one reference to what was found, at its beginning.
pub(super) fn pieces(replacement: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = replacement;
    while !rest.is_empty() {
        let own = match rest.as_bytes() {
            // A dollar that is meant.
            [b'$', b'$', ..] => 2,
            [b'$', b'{', ..] => rest.find('}').map_or(1, |end| end + 1),
            [b'$', ..] => 1,
            _ => 0,
        };
        let end = rest[own..].find('$').map_or(rest.len(), |at| own + at);
        let (piece, others) = rest.split_at(end);
        pieces.push(piece);
        rest = others;
    }
    pieces
}

/// What `label_replace` makes. It is never longer than it may be by more than what one reference found.
pub(super) fn expanded(
    found: &Captures<'_>,
    pieces: &[&str],
    target: &str,
) -> Result<String, Error> {
    let mut value = String::new();
    for piece in pieces {
        found.expand(piece, &mut value);
        check(value.len(), "label_replace", target)?;
    }
    Ok(value)
}

/// What `label_join` makes.
pub(super) fn joined(values: &[&str], separator: &str, target: &str) -> Result<String, Error> {
    let separators = separator.len() * values.len().saturating_sub(1);
    let bytes = values.iter().map(|value| value.len()).sum::<usize>() + separators;
    check(bytes, "label_join", target)?;
    Ok(values.join(separator))
}

fn check(bytes: usize, function: &str, target: &str) -> Result<(), Error> {
    if bytes <= VALUE_BYTES_MAX {
        return Ok(());
    }
    Err(Error::execution(
        format!("`{function}` would make a value of `{target}` of more than 16 KiB"),
        "make it of fewer or shorter labels",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    #[test]
    fn a_replacement_in_pieces_is_the_same_as_whole() {
        let regex = Regex::new("(?P<first>a+)(b*)").unwrap();
        let found = regex.captures("aab").unwrap();
        for replacement in [
            "",
            "plain",
            "$1",
            "$1$2$1",
            "x$first-y",
            "${first}z$$1$",
            "$$$1",
            "${a$1}b",
            "${open$1",
            "${",
            "$é$1é",
            "$9$1x",
        ] {
            let mut whole = String::new();
            found.expand(replacement, &mut whole);
            let value = expanded(&found, &pieces(replacement), "a").unwrap();
            assert_eq!(value, whole, "{replacement}");
        }
    }

    #[test]
    fn a_value_is_refused_before_it_is_made() {
        let values = vec!["0123456789"; 2000];
        let said = joined(&values, ",", "a").unwrap_err().to_string();
        assert!(said.contains("`label_join` would make a value of `a`"));
        assert_eq!(joined(&["x", "y"], "-", "a").unwrap(), "x-y");
    }
}
