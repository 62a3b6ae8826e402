//! Texts with places for what was measured: `{{value}}`, `{{labels.device}}`.
//!
//! There are these two and no others: no functions, no conditions. A placeholder that is not known is refused where a rule is
//! checked; `{{` that nothing ends is text.

use super::Labels;
use crate::units::Amount;

/// What a text may speak of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub value: Option<f64>,
    /// UCUM unit of the value.
    pub unit: &'a str,
    pub labels: &'a Labels,
}

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    /// What stands between the braces.
    Place(&'t str),
}

/// The text with its places filled. A label that is not there is nothing.
pub(super) fn render(text: &str, facts: Facts<'_>) -> String {
    let pieces = pieces(text).map(|piece| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Place("value") => facts
            .value
            .map_or_else(|| "nothing".to_owned(), |value| shown(value, facts.unit)),
        Piece::Place(place) => place
            .strip_prefix("labels.")
            .and_then(|name| facts.labels.get(name))
            .cloned()
            .unwrap_or_default(),
    });
    pieces.collect()
}

/// The first placeholder that is not known.
pub(super) fn unknown(text: &str) -> Option<&str> {
    pieces(text).find_map(|piece| match piece {
        Piece::Place("value") | Piece::Text(_) => None,
        Piece::Place(place) => {
            let name = place.strip_prefix("labels.").unwrap_or_default();
            name.is_empty().then_some(place)
        }
    })
}

/// The text with another one for what stands in each of its places.
pub(super) fn rewrite(text: &str, mut place: impl FnMut(&str) -> String) -> String {
    let pieces = pieces(text).map(|piece| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Place(inside) => place(inside),
    });
    pieces.collect()
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    let mut place = None;
    std::iter::from_fn(move || {
        if let Some(place) = place.take() {
            return Some(Piece::Place(place));
        }
        if rest.is_empty() {
            return None;
        }
        let found = rest.split_once("{{").and_then(|(before, after)| {
            let (inside, after) = after.split_once("}}")?;
            Some((before, inside.trim(), after))
        });
        let Some((before, inside, after)) = found else {
            return Some(Piece::Text(std::mem::take(&mut rest)));
        };
        rest = after;
        place = Some(inside);
        Some(Piece::Text(before))
    })
}

/// A value in its unit as people read it.
pub(super) fn shown(value: f64, unit: &str) -> String {
    match unit {
        "s" | "ms" | "us" | "ns" | "By" | "KiBy" | "MiBy" | "GiBy" if value.is_finite() => {
            Amount(value, unit).to_string()
        }
        "1" if value.is_finite() => format!("{} %", number(value * 100.0)),
        "Cel" => format!("{} °C", number(value)),
        _ => {
            let number = number(value);
            let unit = unit.trim_matches(|c| c == '{' || c == '}');
            match unit {
                "" => number,
                "%" => format!("{number} %"),
                _ => format!("{number} {unit}"),
            }
        }
    }
}

/// A number with four significant digits at most, and a whole number in whole.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() || value.fract() == 0.0 && value.abs() < 1e15 {
        // Zero has no sign.
        return format!("{}", value + 0.0);
    }
    let magnitude = value.abs().log10().floor();
    if !(-4.0..15.0).contains(&magnitude) {
        return format!("{value:.3e}");
    }
    let decimals = (3.0 - magnitude).clamp(0.0, 7.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(text: &str, value: Option<f64>, unit: &str) -> String {
        let labels = Labels::from([("device".to_owned(), "cuda:0".to_owned())]);
        let facts = Facts {
            value,
            unit,
            labels: &labels,
        };
        render(text, facts)
    }

    #[test]
    fn places_are_filled_and_what_nothing_ends_is_text() {
        let text = "{{ labels.device }} holds {{value}}";
        assert_eq!(
            filled(text, Some(3_221_225_472.0), "By"),
            "cuda:0 holds 3.00 GiB"
        );
        assert_eq!(filled("{{value}}", None, "By"), "nothing");
        assert_eq!(filled("a {{ b", Some(1.0), ""), "a {{ b");
        assert_eq!(filled("{{labels.none}}.", Some(1.0), ""), ".");
        assert_eq!(unknown(text), None);
        assert_eq!(unknown("{{ $value }}"), Some("$value"));
        assert_eq!(unknown("{{labels.}} {{value}}"), Some("labels."));
    }

    #[test]
    fn values_read_in_their_unit() {
        for (value, unit, text) in [
            (0.1234, "s", "123.4 ms"),
            (0.923_41, "1", "92.34 %"),
            (0.9, "1", "90 %"),
            (3.0, "{error}", "3 error"),
            (72.5, "Cel", "72.5 °C"),
            (1_234.567, "", "1235"),
            (0.001_234_56, "", "0.001235"),
            (1.5e20, "", "1.500e20"),
            (-0.0, "", "0"),
            (f64::INFINITY, "s", "inf s"),
            (f64::NAN, "1", "NaN 1"),
        ] {
            assert_eq!(shown(value, unit), text);
        }
    }

    proptest! {
        #[test]
        fn no_text_and_no_value_panics(text in "[{}a. ]{0,12}", value in any::<f64>(), unit in "s|By|1|[{]x[}]|") {
            filled(&text, Some(value), &unit);
            unknown(&text);
        }
    }
}
