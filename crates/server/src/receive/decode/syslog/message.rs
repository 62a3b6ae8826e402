//! One message, and its parts.

use std::borrow::Cow;

use super::super::time::rfc3339_unix_ns;

/// Most parameters of structured data.
const PARAMETERS_MAX: usize = 1024;
/// Most digits of a priority, and the greatest (RFC 5424, section 6.2.1).
const PRIORITY_DIGITS_MAX: usize = 3;
const PRIORITY_MAX: usize = 191;
/// Longest tag of a program; RFC 3164 has 32, programs have more.
const TAG_BYTES_MAX: usize = 128;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// See the module. What a message does not say is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) facility: usize,
    pub(super) severity: usize,
    /// As it is written.
    pub(super) timestamp: &'a str,
    /// Where it has a year and a zone.
    pub(super) time_unix_ns: Option<u64>,
    pub(super) host: &'a str,
    pub(super) program: &'a str,
    pub(super) process: &'a str,
    pub(super) kind: &'a str,
    pub(super) parameters: Vec<Parameter<'a>>,
    pub(super) text: &'a str,
}

/// A parameter of structured data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameter<'a> {
    pub(super) element: &'a str,
    pub(super) name: &'a str,
    pub(super) value: Cow<'a, str>,
}

/// Reads a message; `None` where it is none.
pub(super) fn read(text: &str) -> Option<Message<'_>> {
    let (priority, rest) = text.strip_prefix('<')?.split_once('>')?;
    let is_number = priority.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || priority.len() > PRIORITY_DIGITS_MAX {
        return None;
    }
    let priority: usize = priority.parse().ok().filter(|it| *it <= PRIORITY_MAX)?;
    let message = Message {
        facility: priority / 8,
        severity: priority % 8,
        ..Message::default()
    };
    match rest.strip_prefix("1 ") {
        Some(rest) => read_5424(message, rest),
        None => Some(read_3164(message, rest)),
    }
}

/// `TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA [MSG]` (RFC 5424, section 6).
fn read_5424<'a>(mut message: Message<'a>, rest: &'a str) -> Option<Message<'a>> {
    let mut fields = rest.splitn(6, ' ');
    let mut field = || {
        let field = fields.next()?;
        Some(if field == "-" { "" } else { field })
    };
    message.timestamp = field()?;
    message.host = field()?;
    message.program = field()?;
    message.process = field()?;
    message.kind = field()?;
    message.time_unix_ns = rfc3339_unix_ns(message.timestamp);
    if message.time_unix_ns.is_none() && !message.timestamp.is_empty() {
        return None;
    }
    let rest = fields.next()?;
    let rest = match rest.strip_prefix('-') {
        Some(rest) => rest,
        None => structured(rest, &mut message.parameters)?,
    };
    message.text = match rest.strip_prefix(' ') {
        Some(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        None if rest.is_empty() => rest,
        None => return None,
    };
    Some(message)
}

/// Takes `[id name="value" ...][id ...]`, and gives what follows.
fn structured<'a>(text: &'a str, parameters: &mut Vec<Parameter<'a>>) -> Option<&'a str> {
    let mut rest = text.strip_prefix('[')?;
    loop {
        let end = rest.find([' ', ']'])?;
        let element;
        (element, rest) = rest.split_at(end);
        while let Some(parameter) = rest.strip_prefix(' ') {
            let (name, after) = parameter.split_once("=\"")?;
            let (value, after) = unquoted(after)?;
            if parameters.len() >= PARAMETERS_MAX {
                return None;
            }
            parameters.push(Parameter {
                element,
                name,
                value,
            });
            rest = after;
        }
        rest = rest.strip_prefix(']')?;
        match rest.strip_prefix('[') {
            Some(next) => rest = next,
            None => return Some(rest),
        }
    }
}

/// What is between quotes, where `"`, `\` and `]` have a `\` before them, and what follows.
fn unquoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = text.find(['"', '\\'])?;
    if text[end..].starts_with('"') {
        return Some((Cow::Borrowed(&text[..end]), &text[end + 1..]));
    }
    let mut out = text[..end].to_owned();
    let mut letters = text[end..].char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((Cow::Owned(out), &text[end + at + 1..])),
            '\\' => match letters.next()?.1 {
                letter @ ('"' | '\\' | ']') => out.push(letter),
                // It is itself, before anything else (section 6.3.3).
                letter => out.extend(['\\', letter]),
            },
            letter => out.push(letter),
        }
    }
    None
}

/// `TIMESTAMP HOSTNAME TAG[PID]: text` (RFC 3164), of which senders leave out what they like.
fn read_3164<'a>(mut message: Message<'a>, rest: &'a str) -> Message<'a> {
    let rest = match timestamp(rest) {
        Some((timestamp, rest)) => {
            message.timestamp = timestamp;
            message.time_unix_ns = rfc3339_unix_ns(timestamp);
            // Who names no host begins with the tag.
            match rest.split_once(' ') {
                Some((host, after)) if !host.is_empty() && tag(rest).is_none() => {
                    message.host = host;
                    after
                }
                _ => rest,
            }
        }
        None => rest,
    };
    let tag = tag(rest).filter(|tag| !message.timestamp.is_empty() || !tag.1.is_empty());
    (message.program, message.process, message.text) = tag.unwrap_or(("", "", rest));
    message
}

/// `Oct  1 22:14:15 ` or a time of RFC 3339, and what follows.
fn timestamp(text: &str) -> Option<(&str, &str)> {
    if let Some((time, rest)) = text.split_once(' ')
        && rfc3339_unix_ns(time).is_some()
    {
        return Some((time, rest));
    }
    let (time, rest) = text.split_at_checked(15)?;
    let of_day = time.get(7..)?.bytes().enumerate();
    let mut is_digit = of_day.map(|(at, byte)| match at {
        2 | 5 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    let is_time = MONTHS.contains(&time.get(..3)?)
        && time.get(4..6)?.trim_start().parse::<u8>().is_ok()
        && time.as_bytes().get(6) == Some(&b' ')
        && is_digit.all(|is_it| is_it);
    Some((time, rest.strip_prefix(' ')?)).filter(|_| is_time)
}

/// `program[process]: text`; the process may be missing.
fn tag(text: &str) -> Option<(&str, &str, &str)> {
    let end = text.find([' ', ':', '['])?;
    let (program, rest) = text.split_at(end);
    if program.is_empty() || program.len() > TAG_BYTES_MAX {
        return None;
    }
    let (process, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let text = rest.strip_prefix(':')?;
    Some((program, process, text.strip_prefix(' ').unwrap_or(text)))
}
