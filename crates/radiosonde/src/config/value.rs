//! The types that a setting may have, and how each is read and shown.

use std::{borrow::Cow, fmt::Write as _, net::SocketAddr, path::PathBuf, time::Duration};

use radiosonde_core::filter::Filter;

use super::{
    duration::{self, Unit},
    written::{Node, Written, without_credentials},
};

/// Why a value cannot be taken, and what to write instead.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) what: Cow<'static, str>,
    pub(super) mend: Cow<'static, str>,
}

impl Problem {
    pub(super) fn new(
        what: impl Into<Cow<'static, str>>,
        mend: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            what: what.into(),
            mend: mend.into(),
        }
    }

    /// Bytes that only the name of a file may hold.
    pub(super) fn not_utf8() -> Self {
        Self::new("is not UTF-8", "write it in UTF-8")
    }
}

/// A type that a setting may have.
pub(super) trait Setting: Sized {
    /// Whether the key may end in a unit.
    const HAS_UNIT: bool = false;

    /// Takes what was written; `unit` is what the key says about bare numbers.
    fn read(written: &Written, unit: Unit) -> Result<Self, Problem>;

    /// As it would be written in TOML; `None` where there is no value.
    fn show(&self) -> Option<String>;
}

/// Text in TOML's quotes.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            letter if letter.is_control() => {
                // Writing to text cannot fail.
                let _ = write!(quoted, "\\u{:04X}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

impl Setting for bool {
    fn read(written: &Written, _: Unit) -> Result<Self, Problem> {
        let raw = match written {
            Written::Bool(value) => return Ok(*value),
            Written::Raw(text) => text.trim().to_ascii_lowercase(),
            _ => String::new(),
        };
        match raw.as_str() {
            "1" | "true" | "yes" | "on" => Ok(true),
            "0" | "false" | "no" | "off" => Ok(false),
            _ if matches!(written, Written::Raw(_)) => Err(Problem::new(
                "is neither true nor false",
                "write 1, true, yes, on, 0, false, no or off",
            )),
            _ => Err(Problem::new(
                "is neither true nor false",
                "write true or false, without quotes",
            )),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Setting for u64 {
    fn read(written: &Written, _: Unit) -> Result<Self, Problem> {
        let number = match written {
            Written::Integer(value) => Self::try_from(*value).ok(),
            Written::Raw(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| {
            Problem::new(
                "is not a whole number from 0",
                "write digits only, without quotes",
            )
        })
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Setting for f64 {
    fn read(written: &Written, _: Unit) -> Result<Self, Problem> {
        let number = match written {
            Written::Integer(value) => Some(*value as Self),
            Written::Float(value) => Some(*value),
            Written::Raw(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.filter(|number| number.is_finite()).ok_or_else(|| {
            Problem::new(
                "is not a number",
                "write a number such as 0.5, without quotes",
            )
        })
    }

    fn show(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

impl Setting for String {
    fn read(written: &Written, _: Unit) -> Result<Self, Problem> {
        match written {
            Written::Text(text) | Written::Raw(text) if !text.is_empty() => Ok(text.clone()),
            Written::Path(path) if !path.as_os_str().is_empty() => Err(Problem::not_utf8()),
            Written::Text(_) | Written::Raw(_) | Written::Path(_) => {
                Err(Problem::new("is empty", "leave the key out instead"))
            }
            _ => Err(Problem::new("is not text", "put it in quotes")),
        }
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&without_credentials(self)))
    }
}

impl Setting for PathBuf {
    fn read(written: &Written, unit: Unit) -> Result<Self, Problem> {
        match written {
            Written::Path(path) if !path.as_os_str().is_empty() => Ok(path.clone()),
            written => String::read(written, unit).map(Self::from),
        }
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.to_string_lossy()))
    }
}

impl Setting for Duration {
    const HAS_UNIT: bool = true;

    fn read(written: &Written, unit: Unit) -> Result<Self, Problem> {
        let number = match written {
            Written::Integer(value) => Some(*value as f64),
            Written::Float(value) => Some(*value),
            Written::Raw(text) => text.trim().parse().ok(),
            _ => None,
        };
        if let Some(number) = number {
            if number.is_nan() || number < 0.0 {
                return Err(Problem::new(
                    "is no length of time",
                    "write a number from 0",
                ));
            }
            let Some(scale) = unit.seconds() else {
                return Err(Problem::new(
                    "is a duration without a unit",
                    format!(
                        "write \"{number}s\" or \"{number}ms\", or let the key end in _secs or _ms"
                    ),
                ));
            };
            // One that is too long for the type is too long for every rule.
            return Ok(duration::from_seconds(number * scale).unwrap_or(Self::MAX));
        }
        let read = match written {
            Written::Text(text) | Written::Raw(text) => duration::parse(text),
            _ => None,
        };
        read.ok_or_else(|| {
            Problem::new(
                "is not a duration",
                "write numbers with units (ns, us, ms, s, m, h, d) such as \"5s\" or \"1m30s\", or \"00:05:00\"",
            )
        })
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&duration::show(*self)))
    }
}

impl Setting for Filter {
    fn read(written: &Written, unit: Unit) -> Result<Self, Problem> {
        Self::parse(&String::read(written, unit)?)
            .map_err(|error| Problem::new(error.to_string(), ""))
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

impl Setting for SocketAddr {
    fn read(written: &Written, unit: Unit) -> Result<Self, Problem> {
        let text = String::read(written, unit)?;
        let text = text.replacen("localhost:", "127.0.0.1:", 1);
        text.parse().map_err(|_| {
            Problem::new(
                "is not an address with a port",
                "write one such as \"127.0.0.1:9464\" or \"[::1]:0\" (port 0 takes a free one)",
            )
        })
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

/// Names separated by commas where there are no lists.
impl Setting for Vec<String> {
    fn read(written: &Written, unit: Unit) -> Result<Self, Problem> {
        match written {
            Written::Raw(text) => Ok(text
                .split(',')
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect()),
            Written::List(nodes) => nodes
                .iter()
                .map(|node| String::read(&node.value, unit))
                .collect(),
            _ => Err(Problem::new(
                "is not a list",
                "write names in brackets, such as [\"a\", \"b\"]",
            )),
        }
    }

    fn show(&self) -> Option<String> {
        let names: Vec<String> = self.iter().map(|name| quoted(name)).collect();
        Some(format!("[{}]", names.join(", ")))
    }
}

/// `name=value` pairs, percent-encoded and separated by commas where there are no tables (W3C baggage, as
/// OpenTelemetry prescribes for resource attributes and headers).
impl Setting for Vec<(String, String)> {
    fn read(written: &Written, _: Unit) -> Result<Self, Problem> {
        match written {
            Written::Raw(text) => pairs(text),
            Written::Table(entries) => entries
                .iter()
                .map(|(name, node)| Ok((name.clone(), scalar(node)?)))
                .collect(),
            _ => Err(Problem::new("is not a table", "write { name = \"value\" }")),
        }
    }

    fn show(&self) -> Option<String> {
        let pairs: Vec<String> = self
            .iter()
            .map(|(name, value)| {
                format!("{} = {}", quoted(name), quoted(&without_credentials(value)))
            })
            .collect();
        Some(if pairs.is_empty() {
            "{}".to_owned()
        } else {
            format!("{{ {} }}", pairs.join(", "))
        })
    }
}

fn scalar(node: &Node) -> Result<String, Problem> {
    match &node.value {
        Written::Text(text) | Written::Raw(text) => Ok(text.clone()),
        Written::Bool(value) => Ok(value.to_string()),
        Written::Integer(value) => Ok(value.to_string()),
        Written::Float(value) => Ok(value.to_string()),
        _ => Err(Problem::new(
            "holds a value that is not text",
            "write { name = \"value\" }",
        )),
    }
}

fn pairs(text: &str) -> Result<Vec<(String, String)>, Problem> {
    text.split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').ok_or_else(|| {
                Problem::new(
                    "holds a part without =",
                    "write name=value,name=value; a comma inside a value is written %2C",
                )
            })?;
            let name = decode(name.trim());
            if name.is_empty() {
                return Err(Problem::new(
                    "holds a part without a name",
                    "write name=value",
                ));
            }
            Ok((name, decode(value.trim())))
        })
        .collect()
}

/// Undoes percent-encoding; what is not an escape stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail.split_at_checked(2).and_then(|(digits, tail)| {
            let digits = std::str::from_utf8(digits).ok()?;
            let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            plain.then(|| Some((u8::from_str_radix(digits, 16).ok()?, tail)))?
        });
        match escaped {
            Some((byte, tail)) if first == b'%' => {
                bytes.push(byte);
                rest = tail;
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl<S: Setting> Setting for Option<S> {
    const HAS_UNIT: bool = S::HAS_UNIT;

    fn read(written: &Written, unit: Unit) -> Result<Self, Problem> {
        match written {
            Written::Nothing => Ok(None),
            written => S::read(written, unit).map(Some),
        }
    }

    fn show(&self) -> Option<String> {
        self.as_ref().and_then(S::show)
    }
}
