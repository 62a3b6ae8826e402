//! The lines of both dialects: `name:value|type` and, of DogStatsD, `|#key:value,key:value` (Datadog, "DogStatsD datagram
//! format", protocol 1.0).

use std::fmt::Write as _;

use radiosonde_core::metrics::snapshot::{Labels, Number};

use super::{DATAGRAM_BYTES_MAX, Dialect, StatsdConfig, since::Last};

/// Most characters of a part of a name, of a tag's key and of its value (Datadog, "Getting started with tags": 200).
const PART_LETTERS_MAX: usize = 200;

/// What goes out together or not at all: one line, or lines that mean something only one after the other.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) text: String,
    /// What a counter stood at, remembered once it is sent.
    pub(super) grown: Option<(String, Last)>,
}

impl Entry {
    /// `_e{bytes of the title, bytes of the text}:title|text|d:second|t:kind`.
    pub(super) fn event(title: &str, text: &str, second: u64, kind: &str, tags: &[String]) -> Self {
        let title = one_line(title);
        let mut text = one_line(text);
        let around = title.len() + tags.iter().map(|tag| tag.len() + 1).sum::<usize>() + 80;
        let room = DATAGRAM_BYTES_MAX.saturating_sub(around);
        text.truncate(text.floor_char_boundary(room));
        let (title_bytes, text_bytes) = (title.len(), text.len());
        let mut line =
            format!("_e{{{title_bytes},{text_bytes}}}:{title}|{text}|d:{second}|t:{kind}");
        push_tags(tags, &mut line);
        Self {
            text: line,
            grown: None,
        }
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.text.push('\n');
        self.text.push_str(&other.text);
    }
}

/// A line break within an event's text is written as two characters.
fn one_line(text: &str) -> String {
    text.replace('\r', "").replace('\n', "\\n")
}

/// What lines of a series begin and end with.
#[derive(Debug)]
pub(super) struct Name {
    dialect: Dialect,
    begin: String,
    end: String,
}

impl Name {
    pub(super) fn new(
        config: &StatsdConfig,
        metric: &str,
        labels: &Labels,
        common: &[String],
    ) -> Self {
        let mut begin = config.prefix.clone();
        push_part(metric, true, &mut begin);
        let mut end = String::new();
        match config.dialect {
            Dialect::Statsd => {
                for (key, value) in labels.iter() {
                    begin.push('.');
                    push_part(key, false, &mut begin);
                    begin.push('.');
                    push_part(&value.to_string(), false, &mut begin);
                }
            }
            Dialect::Dogstatsd => {
                let own = labels
                    .iter()
                    .map(|(key, value)| tag(key, &value.to_string()));
                let tags: Vec<String> = common.iter().cloned().chain(own).collect();
                push_tags(&tags, &mut end);
            }
        }
        Self {
            dialect: config.dialect,
            begin,
            end,
        }
    }

    /// The growth of a counter; nothing where it did not grow.
    pub(super) fn count(&self, suffix: &str, value: &Number) -> Option<Entry> {
        let (text, is_negative) = number(value)?;
        if text == "0" || is_negative {
            return None;
        }
        Some(self.line(suffix, &text, "c"))
    }

    /// A last value. In StatsD one with a sign is added to the one before, so that a negative one is set by way of zero.
    pub(super) fn gauge(&self, suffix: &str, value: &Number) -> Option<Entry> {
        let (text, is_negative) = number(value)?;
        if is_negative && self.dialect == Dialect::Statsd {
            let mut entry = self.line(suffix, "0", "g");
            entry.join(&self.line(suffix, &text, "g"));
            return Some(entry);
        }
        Some(self.line(suffix, &text, "g"))
    }

    fn line(&self, suffix: &str, value: &str, kind: &str) -> Entry {
        Entry {
            text: format!("{}{suffix}:{value}|{kind}{}", self.begin, self.end),
            grown: None,
        }
    }
}

/// A number in decimal and whether it has a sign; none for what is not finite.
fn number(value: &Number) -> Option<(String, bool)> {
    let text = match *value {
        Number::U64(value) => value.to_string(),
        Number::I64(value) => value.to_string(),
        Number::F64(value) if !value.is_finite() => return None,
        // Zero has no sign here.
        Number::F64(0.0) => "0".to_owned(),
        Number::F64(value) if (1e-9..1e18).contains(&value.abs()) => value.to_string(),
        Number::F64(value) => format!("{value:e}"),
    };
    let is_negative = text.starts_with('-');
    Some((text, is_negative))
}

/// A tag without the characters that end one.
pub(super) fn tag(key: &str, value: &str) -> String {
    let mut text = String::new();
    push_part(key, true, &mut text);
    if !value.is_empty() {
        text.push(':');
        let letters = value.chars().take(PART_LETTERS_MAX);
        text.extend(letters.map(|letter| match letter {
            ',' | '|' | '#' => '_',
            letter if letter.is_control() => '_',
            letter => letter,
        }));
    }
    text
}

fn push_tags(tags: &[String], line: &mut String) {
    for (index, tag) in tags.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = write!(line, "{}{tag}", if index == 0 { "|#" } else { "," });
    }
}

/// ASCII letters, digits, `_` and `-`, and dots where they are levels; `_` for anything else.
fn push_part(part: &str, has_levels: bool, out: &mut String) {
    let letters = part.chars().take(PART_LETTERS_MAX);
    out.extend(letters.map(|letter| match letter {
        '.' if has_levels => '.',
        '_' | '-' => letter,
        letter if letter.is_ascii_alphanumeric() => letter,
        _ => '_',
    }));
}

/// The datagram that is being filled.
#[derive(Debug, Default)]
pub(super) struct Datagram {
    text: String,
    pub(super) grown: Vec<(String, Last)>,
    /// Gauges and events: of what a counter grew by the next datagram tells too.
    pub(super) lines_that_do_not_come_again: u64,
}

impl Datagram {
    pub(super) const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(super) const fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    pub(super) const fn has_room(&self, entry: &Entry) -> bool {
        self.text.is_empty() || self.text.len() + 1 + entry.text.len() <= DATAGRAM_BYTES_MAX
    }

    pub(super) fn push(&mut self, entry: Entry) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&entry.text);
        match entry.grown {
            Some(grown) => self.grown.push(grown),
            None => self.lines_that_do_not_come_again += 1,
        }
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.grown.clear();
        self.lines_that_do_not_come_again = 0;
    }
}
