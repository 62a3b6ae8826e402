//! Whether the values of a label are identifiers: of users, requests, sessions, moments. Such a label makes a series for
//! each of them, and belongs into exemplars, logs and spans.
//!
//! Nothing here knows what a value means. What is told is its form, and of so many values that chance is no reason.

use serde::Serialize;

/// Least different values that a form is seen in: fewer are no burden, whatever they are.
const VALUES_MIN: usize = 5;
/// Least different values of forms that names of few things have too, such as `worker-3`.
const NUMBERS_MIN: usize = 20;
/// The same, where the label's name does not say that it is an identifier.
const NUMBERS_UNNAMED_MIN: usize = 50;
/// Of ten values, how many have to have the form: one that is empty or `unknown` does not hide the others.
const TENTHS_MIN: usize = 9;
/// Least digits of a hexadecimal identifier: a span's.
const HEX_DIGITS_MIN: usize = 16;
/// Least digits of a moment: seconds since the Unix epoch have ten from 2001 to 2286, milliseconds thirteen, microseconds
/// sixteen, nanoseconds nineteen.
const MOMENT_DIGITS: [usize; 4] = [10, 13, 16, 19];

/// What form identifiers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// 8-4-4-4-12 hexadecimal digits (RFC 9562).
    Uuid,
    /// Hexadecimal digits: of traces, spans, hashes.
    Hexadecimal,
    /// An e-mail address: a person.
    Email,
    /// A moment.
    Timestamp,
    /// Numbers that grow as they are seen.
    Growing,
    /// Numbers, or one word with a number.
    Numbered,
}

/// Why a label looks like an identifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identifier {
    /// The form of its values.
    pub kind: Kind,
    /// In words.
    pub why: String,
}

/// Whether a value has a form.
type Form = fn(&str) -> bool;

/// Whether these are identifiers: the different values of a label in the order in which they were first seen.
pub(super) fn of(name: &str, values: &[&str]) -> Option<Identifier> {
    let is_of = |form: Form| {
        let fitting = values.iter().filter(|value| form(value)).count();
        (fitting * 10 >= values.len() * TENTHS_MIN).then_some(fitting)
    };
    if values.len() < VALUES_MIN {
        return None;
    }
    let all = values.len();
    let said = |kind, what: &str, fitting: usize| Identifier {
        kind,
        why: format!("{fitting} of its {all} values are {what}"),
    };
    let forms: [(Kind, &str, Form); 4] = [
        (Kind::Uuid, "UUIDs", is_uuid),
        (Kind::Email, "e-mail addresses", is_email),
        (Kind::Timestamp, "moments", is_moment),
        (Kind::Hexadecimal, "hexadecimal identifiers", is_hexadecimal),
    ];
    let formed = forms
        .into_iter()
        .find_map(|(kind, what, form)| Some(said(kind, what, is_of(form)?)));
    formed.or_else(|| numbered(name, values))
}

fn numbered(name: &str, values: &[&str]) -> Option<Identifier> {
    let all = values.len();
    let is_named = is_identifiers_name(name);
    let least = if is_named {
        NUMBERS_MIN
    } else {
        NUMBERS_UNNAMED_MIN
    };
    let numbers: Vec<u64> = values
        .iter()
        .filter_map(|value| value.parse().ok())
        .collect();
    if all >= NUMBERS_MIN && numbers.len() * 10 >= all * TENTHS_MIN {
        let rising = numbers.windows(2).filter(|pair| pair[0] < pair[1]).count();
        if rising * 10 >= (numbers.len() - 1) * TENTHS_MIN {
            return Some(Identifier {
                kind: Kind::Growing,
                why: format!("its {all} values are numbers that grow as they are seen"),
            });
        }
    }
    let mut stems: Vec<String> = values
        .iter()
        .filter(|value| value.bytes().any(|byte| byte.is_ascii_digit()))
        .map(|value| value.chars().filter(|c| !c.is_ascii_digit()).collect())
        .collect();
    let with_number = stems.len();
    stems.sort_unstable();
    stems.dedup();
    let is_one_word = stems.len() == 1 && with_number * 10 >= all * TENTHS_MIN;
    (all >= least && is_one_word).then(|| Identifier {
        kind: Kind::Numbered,
        why: match (stems.first().map(String::as_str), is_named) {
            (Some("") | None, true) => {
                format!("its {all} values are numbers, and its name is that of an identifier")
            }
            (Some("") | None, false) => format!("its {all} values are numbers"),
            (Some(stem), _) => format!("its {all} values are one word ({stem}) with a number"),
        },
    })
}

/// `user_id`, `userId`, `session`, `request.uuid`.
fn is_identifiers_name(name: &str) -> bool {
    let last = name.rsplit(['.', '_', '-']).next().unwrap_or(name);
    let last_lower = last.to_ascii_lowercase();
    last.ends_with("Id")
        || last.ends_with("ID")
        || [
            "id", "uid", "uuid", "guid", "session", "user", "email", "request", "token",
        ]
        .contains(&last_lower.as_str())
}

fn is_uuid(value: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let mut parts = value.split('-');
    let fits = lengths.iter().all(|length| {
        parts.next().is_some_and(|part| {
            part.len() == *length && part.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    });
    fits && parts.next().is_none()
}

fn is_hexadecimal(value: &str) -> bool {
    let value = value.strip_prefix("0x").unwrap_or(value);
    value.len() >= HEX_DIGITS_MIN
        && value.bytes().all(|byte| byte.is_ascii_hexdigit())
        && value.bytes().any(|byte| byte.is_ascii_digit())
}

fn is_email(value: &str) -> bool {
    let Some((person, host)) = value.split_once('@') else {
        return false;
    };
    let is_word = |text: &str| !text.is_empty() && !text.contains([' ', '@', '/', ':']);
    is_word(person)
        && is_word(host)
        && host
            .rsplit_once('.')
            .is_some_and(|(name, top)| !name.is_empty() && top.len() >= 2)
}

/// Digits of a time since the Unix epoch, or the date and time of RFC 3339.
fn is_moment(value: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if digits(value) {
        // Of this millennium: in seconds from 2001 to 2096.
        return MOMENT_DIGITS.contains(&value.len())
            && value.starts_with(['1', '2', '3'])
            && value.as_bytes().first() != Some(&b'0');
    }
    let Some((date, time)) = value.split_once(['T', ' ']) else {
        return false;
    };
    let parts: Vec<&str> = date.split('-').collect();
    matches!(parts.as_slice(), [year, month, day]
        if year.len() == 4 && month.len() == 2 && day.len() == 2 && parts.iter().all(|part| digits(part)))
        && time.get(..5).is_some_and(|start| {
            start.as_bytes().get(2) == Some(&b':') && digits(&start.replace(':', ""))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str, values: impl IntoIterator<Item = String>) -> Option<Kind> {
        let values: Vec<String> = values.into_iter().collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        of(name, &values).map(|found| found.kind)
    }

    fn each(count: u64, form: impl Fn(u64) -> String) -> Vec<String> {
        (0..count).map(form).collect()
    }

    #[test]
    fn identifiers_are_known_by_their_form() {
        let mixed = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let uuid = |n| format!("{:08x}-0000-4000-8000-{:012x}", mixed(n) >> 32, n);
        assert_eq!(kind("a", each(9, uuid)), Some(Kind::Uuid));
        assert_eq!(
            kind("a", each(9, |n| format!("{:016x}", mixed(n + 1)))),
            Some(Kind::Hexadecimal)
        );
        assert_eq!(
            kind("a", each(9, |n| format!("person{n}@example.org"))),
            Some(Kind::Email)
        );
        assert_eq!(
            kind("a", each(9, |n| format!("{}", 1_760_000_000 + n))),
            Some(Kind::Timestamp)
        );
        assert_eq!(
            kind("a", each(9, |n| format!("2026-01-02T03:04:0{n}Z"))),
            Some(Kind::Timestamp)
        );
        assert_eq!(
            kind("a", each(30, |n| format!("{}", 7 * n))),
            Some(Kind::Growing)
        );
        assert_eq!(
            kind("user_id", each(30, |n| format!("user-{}", (n * 17) % 31))),
            Some(Kind::Numbered)
        );
        assert_eq!(
            kind("userId", each(30, |n| format!("{}", (n * 17) % 31))),
            Some(Kind::Numbered)
        );
    }

    #[test]
    fn names_of_few_things_are_no_identifiers() {
        assert_eq!(kind("id", each(4, |n| format!("{n:032x}"))), None);
        assert_eq!(
            kind("worker", each(30, |n| format!("worker-{}", (n * 17) % 31))),
            None
        );
        assert_eq!(
            kind("le", each(30, |n| format!("{}.5", (n * 17) % 31))),
            None
        );
        assert_eq!(
            kind(
                "route",
                each(40, |n| format!("/api/{}", ["cart", "pay"][n as usize % 2]))
            ),
            None
        );
        assert_eq!(
            kind(
                "status",
                ["200", "404", "500", "301", "204"].map(str::to_owned)
            ),
            None
        );
        // Words that have no digit beyond f.
        assert_eq!(
            kind("word", each(9, |_| "deadbeefdeadbeef".to_owned())),
            None
        );
        assert_eq!(kind("a", []), None);
    }

    #[test]
    fn one_value_in_ten_may_be_something_else() {
        let mut values = each(9, |n| format!("{n:032x}"));
        values.push("unknown".to_owned());
        assert_eq!(kind("trace", values.clone()), Some(Kind::Hexadecimal));
        values.push("none".to_owned());
        assert_eq!(kind("trace", values), None);
    }
}
