//! Operators between two sides (promql/engine.go: VectorBinop, VectorAnd and their neighbours).

use std::collections::{HashMap, HashSet, hash_map::Entry};

use super::super::{
    Error, Labels,
    expression::{Card, Matching, Operator},
    labels::NAME,
};
use super::{Element, Value};

/// The value of an operator between two numbers; of a comparison, whether it holds.
enum Outcome {
    Number(f64),
    Holds(bool),
}

fn number(operator: Operator, left: f64, right: f64) -> Outcome {
    Outcome::Number(match operator {
        Operator::Plus => left + right,
        Operator::Minus => left - right,
        Operator::Times => left * right,
        Operator::Divided => left / right,
        Operator::Modulo => left % right,
        Operator::Power => left.powf(right),
        Operator::Atan2 => left.atan2(right),
        _ => {
            let order = left.partial_cmp(&right);
            return Outcome::Holds(match operator {
                Operator::Equal => order.is_some_and(std::cmp::Ordering::is_eq),
                Operator::NotEqual => order.is_none_or(std::cmp::Ordering::is_ne),
                Operator::Less => order.is_some_and(std::cmp::Ordering::is_lt),
                Operator::LessOrEqual => order.is_some_and(std::cmp::Ordering::is_le),
                Operator::Greater => order.is_some_and(std::cmp::Ordering::is_gt),
                _ => order.is_some_and(std::cmp::Ordering::is_ge),
            });
        }
    })
}

/// What an operator makes of two sides.
pub(super) fn apply(
    operator: Operator,
    left: Value,
    right: Value,
    is_bool: bool,
    matching: &Matching,
) -> Result<Value, Error> {
    let elements = match (left, right) {
        (Value::Vector(left), Value::Vector(right)) if operator.is_set() => {
            set(operator, left, right, matching)
        }
        (Value::Vector(left), Value::Vector(right)) => {
            vectors(operator, left, right, is_bool, matching)?
        }
        (Value::Vector(left), right) => with_scalar(operator, left, right.scalar(), true, is_bool)?,
        (left, Value::Vector(right)) => {
            with_scalar(operator, right, left.scalar(), false, is_bool)?
        }
        (left, right) => {
            return Ok(Value::Scalar(
                match number(operator, left.scalar(), right.scalar()) {
                    Outcome::Number(value) => value,
                    Outcome::Holds(holds) => f64::from(u8::from(holds)),
                },
            ));
        }
    };
    Ok(Value::Vector(super::unique(elements)?))
}

/// A histogram takes part in what adds histograms or scales one.
fn only_floats(operator: Operator, element: &Element) -> Result<(), Error> {
    if element.histogram.is_none() {
        return Ok(());
    }
    let name = operator.name();
    Err(Error::execution(
        format!(
            "`{name}` of the histogram {} is not supported",
            element.labels
        ),
        "take histogram_quantile, histogram_count or histogram_sum of it first",
    ))
}

fn with_scalar(
    operator: Operator,
    elements: Vec<Element>,
    scalar: f64,
    is_scalar_right: bool,
    is_bool: bool,
) -> Result<Vec<Element>, Error> {
    let mut out = Vec::with_capacity(elements.len());
    for element in elements {
        only_floats(operator, &element)?;
        let (left, right) = if is_scalar_right {
            (element.value, scalar)
        } else {
            (scalar, element.value)
        };
        match number(operator, left, right) {
            Outcome::Number(value) => out.push(Element::float(element.labels.nameless(), value)),
            Outcome::Holds(holds) if is_bool => {
                let value = f64::from(u8::from(holds));
                out.push(Element::float(element.labels.nameless(), value));
            }
            // The element's value stays, on whichever side it stands.
            Outcome::Holds(true) => out.push(element),
            Outcome::Holds(false) => {}
        }
    }
    Ok(out)
}

impl Matching {
    /// The labels by which elements find each other.
    fn key(&self, labels: &Labels) -> Labels {
        let is_named = |name: &str| self.labels.iter().any(|it| it == name);
        if self.is_on {
            labels.filtered(is_named)
        } else if self.labels.is_empty() {
            labels.nameless()
        } else {
            labels.filtered(|name| name != NAME && !is_named(name))
        }
    }
}

fn set(
    operator: Operator,
    left: Vec<Element>,
    right: Vec<Element>,
    matching: &Matching,
) -> Vec<Element> {
    let keys = |elements: &[Element]| -> HashSet<Labels> {
        let elements = elements.iter();
        elements
            .map(|element| matching.key(&element.labels))
            .collect()
    };
    if operator == Operator::Or {
        let known = keys(&left);
        let others = right
            .into_iter()
            .filter(|element| !known.contains(&matching.key(&element.labels)));
        return left.into_iter().chain(others).collect();
    }
    let known = keys(&right);
    let is_kept = |element: &Element| {
        known.contains(&matching.key(&element.labels)) == (operator == Operator::And)
    };
    left.into_iter().filter(is_kept).collect()
}

fn vectors(
    operator: Operator,
    left: Vec<Element>,
    right: Vec<Element>,
    is_bool: bool,
    matching: &Matching,
) -> Result<Vec<Element>, Error> {
    let is_swapped = matching.card == Card::OneToMany;
    // From here on, only the left side may have several elements that match one.
    let (many, one) = if is_swapped {
        (right, left)
    } else {
        (left, right)
    };
    if many.is_empty() || one.is_empty() {
        return Ok(Vec::new());
    }
    let mut by_key: HashMap<Labels, Element> = HashMap::with_capacity(one.len());
    for element in one {
        match by_key.entry(matching.key(&element.labels)) {
            Entry::Vacant(entry) => {
                entry.insert(element);
            }
            Entry::Occupied(known) => {
                let side = if is_swapped { "left" } else { "right" };
                return Err(Error::execution(
                    format!(
                        "two elements on the {side} side match the same others: {} and {}",
                        known.get().labels,
                        element.labels
                    ),
                    "name by `on (...)` the labels that tell them apart, or aggregate that side",
                ));
            }
        }
    }
    let mut seen: HashSet<Labels> = HashSet::new();
    let mut out = Vec::new();
    for element in many {
        let key = matching.key(&element.labels);
        let Some(other) = by_key.get(&key) else {
            continue;
        };
        only_floats(operator, &element)?;
        only_floats(operator, other)?;
        let (left, right) = if is_swapped {
            (other.value, element.value)
        } else {
            (element.value, other.value)
        };
        let (value, drops_name) = match number(operator, left, right) {
            // Prometheus 2.42 leaves the name of `atan2` alone.
            Outcome::Number(value) => (value, operator != Operator::Atan2),
            Outcome::Holds(holds) if is_bool => (f64::from(u8::from(holds)), true),
            Outcome::Holds(true) => (left, false),
            Outcome::Holds(false) => continue,
        };
        let labels = result(&element.labels, &other.labels, drops_name, matching);
        let is_one_to_one = matching.card == Card::OneToOne;
        if !seen.insert(if is_one_to_one { key } else { labels.clone() }) {
            return Err(ambiguous(is_one_to_one, &element.labels));
        }
        out.push(Element::float(labels, value));
    }
    Ok(out)
}

fn ambiguous(is_one_to_one: bool, labels: &Labels) -> Error {
    if is_one_to_one {
        return Error::execution(
            format!(
                "several elements on the left side match one on the right, {labels} among them"
            ),
            "say so by group_left or group_right",
        );
    }
    Error::execution(
        format!("two elements of the result would have the labels of {labels}"),
        "take more labels into the group, so that they differ",
    )
}

/// The labels of what two elements make.
fn result(many: &Labels, one: &Labels, drops_name: bool, matching: &Matching) -> Labels {
    let mut labels = if drops_name {
        many.nameless()
    } else {
        many.clone()
    };
    if matching.card == Card::OneToOne {
        let is_named = |name: &str| matching.labels.iter().any(|it| it == name);
        if matching.is_on {
            labels = labels.filtered(is_named);
        } else if !matching.labels.is_empty() {
            labels = labels.filtered(|name| !is_named(name));
        }
    }
    for label in &matching.include {
        labels = labels.with(label, one.get(label));
    }
    labels
}
