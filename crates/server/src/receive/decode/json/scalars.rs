//! Text and numbers as OTLP's JSON has them.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

use super::super::sink::Id;

/// Text, borrowed unless it has escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Text<'a>(pub(in super::super) Cow<'a, str>);

impl Text<'_> {
    pub(in super::super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text that there is, or none.
pub(in super::super) fn text_of<'b>(text: Option<&'b Text<'_>>) -> &'b str {
    text.map_or("", Text::as_str)
}

/// The identifier that there is, or none.
pub(in super::super) fn id_of<const N: usize>(text: Option<&Text<'_>>) -> Id<N> {
    text.map_or(Id::Missing, |text| Id::from_hex(&text.0))
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// A whole number: a JSON number, or its text. Large enough for what is signed and what is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Integer(i128);

impl Integer {
    /// As `int64`; numbers beyond it are at its ends.
    pub(in super::super) fn signed(self) -> i64 {
        i64::try_from(self.0).unwrap_or(if self.0 < 0 { i64::MIN } else { i64::MAX })
    }

    /// As `uint64` or `fixed64`; numbers beyond it are at its ends.
    pub(in super::super) fn unsigned(self) -> u64 {
        u64::try_from(self.0).unwrap_or(if self.0 < 0 { 0 } else { u64::MAX })
    }
}

/// The number that there is, or 0.
pub(in super::super) fn unsigned_of(number: Option<Integer>) -> u64 {
    number.unwrap_or_default().unsigned()
}

struct IntegerVisitor;

impl Visitor<'_> for IntegerVisitor {
    type Value = Integer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, or its text")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Integer, E> {
        Ok(Integer(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Integer, E> {
        Ok(Integer(number.into()))
    }

    /// JavaScript writes large whole numbers with an exponent.
    fn visit_f64<E: Error>(self, number: f64) -> Result<Integer, E> {
        if number.fract() == 0.0 && number.abs() < 1e20 {
            Ok(Integer(number as i128))
        } else {
            Err(E::invalid_value(
                serde::de::Unexpected::Float(number),
                &self,
            ))
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Integer, E> {
        let number = text.parse::<i128>();
        let number = number.map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self));
        Ok(Integer(number?))
    }
}

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IntegerVisitor)
    }
}

/// A number: a JSON number, its text, or the text of one that JSON has no number for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in super::super) struct Double(pub(in super::super) f64);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DoubleVisitor;

        impl Visitor<'_> for DoubleVisitor {
            type Value = Double;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or its text")
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Double, E> {
                Ok(Double(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Double, E> {
                Ok(Double(number as f64))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Double, E> {
                Ok(Double(number as f64))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Double, E> {
                // Rust reads `Infinity` and `NaN` as ProtoJSON writes them.
                let number = text.parse();
                let number =
                    number.map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self));
                Ok(Double(number?))
            }
        }

        deserializer.deserialize_any(DoubleVisitor)
    }
}

/// A value of an enum: its number, or its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Enum {
    /// OTLP's only form.
    Number(i64),
    /// As ProtoJSON writes it.
    Name(String),
}

impl Enum {
    /// The number of the value; `names` are those of numbers from 0 on, without what all begin with.
    pub(in super::super) fn number(this: Option<&Self>, prefix: &str, names: &[&str]) -> i64 {
        match this {
            None => 0,
            Some(Self::Number(number)) => *number,
            Some(Self::Name(name)) => {
                let name = name.strip_prefix(prefix).unwrap_or(name);
                names.iter().position(|known| *known == name).unwrap_or(0) as i64
            }
        }
    }
}

impl<'de> Deserialize<'de> for Enum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EnumVisitor;

        impl Visitor<'_> for EnumVisitor {
            type Value = Enum;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the number of an enum's value")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Enum, E> {
                IntegerVisitor
                    .visit_u64(number)
                    .map(|number| Enum::Number(number.signed()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Enum, E> {
                Ok(Enum::Number(number))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Enum, E> {
                IntegerVisitor
                    .visit_f64(number)
                    .map(|number| Enum::Number(number.signed()))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Enum, E> {
                Ok(name
                    .parse()
                    .map_or_else(|_| Enum::Name(name.to_owned()), Enum::Number))
            }
        }

        deserializer.deserialize_any(EnumVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
        serde_json::from_str(json).ok()
    }

    #[test]
    fn text_is_borrowed_unless_it_has_escapes() {
        assert!(matches!(
            read(r#""plain""#),
            Some(Text(Cow::Borrowed("plain")))
        ));
        assert!(matches!(read(r#""a\nb""#), Some(Text(Cow::Owned(text))) if text == "a\nb"));
        assert_eq!(read::<Text<'_>>("1"), None);
    }

    #[test]
    fn whole_numbers_come_as_numbers_and_as_text() {
        for (json, signed, unsigned) in [
            ("7", 7, 7),
            ("\"7\"", 7, 7),
            ("-7", -7, 0),
            ("1.5e3", 1500, 1500),
            ("\"18446744073709551615\"", i64::MAX, u64::MAX),
            ("18446744073709551615", i64::MAX, u64::MAX),
            ("\"-9223372036854775808\"", i64::MIN, 0),
        ] {
            let number: Integer = read(json).unwrap();
            assert_eq!(
                (number.signed(), number.unsigned()),
                (signed, unsigned),
                "{json}"
            );
        }
        for json in ["1.5", "\"\"", "\"x\"", "true", "{}", "1e30"] {
            assert_eq!(read::<Integer>(json), None, "{json}");
        }
    }

    #[test]
    fn doubles_may_be_what_json_has_no_number_for() {
        assert_eq!(read("\"-Infinity\""), Some(Double(f64::NEG_INFINITY)));
        assert!(read::<Double>("\"NaN\"").unwrap().0.is_nan());
        assert_eq!(read("5"), Some(Double(5.0)));
        assert_eq!(read("\"2.5\""), Some(Double(2.5)));
        assert_eq!(read::<Double>("\"x\""), None);
    }

    #[test]
    fn enums_come_as_numbers_and_as_names() {
        let number = |json: &str| {
            let given: Enum = read(json).unwrap();
            Enum::number(Some(&given), "STATUS_CODE_", &["UNSET", "OK", "ERROR"])
        };
        assert_eq!(number("2"), 2);
        assert_eq!(number("\"2\""), 2);
        assert_eq!(number("\"STATUS_CODE_ERROR\""), 2);
        assert_eq!(number("\"STATUS_CODE_ODD\""), 0);
        assert_eq!(Enum::number(None, "", &[]), 0);
    }
}
