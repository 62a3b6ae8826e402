//! The text of a file of rules. Every scalar of one is text, whether it has quotes or not, and that is how they are read and
//! written: quoted as in JSON, which YAML takes as it is (YAML 1.2, section 1.3).

use std::fmt::Write as _;

use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value};

use super::{Labels, PrometheusFile, PrometheusRule};

/// Deepest that lists and tables may be within each other: a file of rules needs six.
const DEPTH_MAX: usize = 16;

/// Why a text is no file of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// In which line, from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong there.
    pub words: String,
}

impl std::fmt::Display for YamlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.words),
            None => f.write_str(&self.words),
        }
    }
}

impl std::error::Error for YamlError {}

impl PrometheusFile {
    /// The file's text, `remarks` first, as comments.
    pub fn to_yaml(&self, remarks: &[String]) -> String {
        let mut out = String::new();
        for line in remarks.iter().flat_map(|remark| remark.lines()) {
            put(&mut out, &format!("# {line}"));
        }
        if self.groups.is_empty() {
            put(&mut out, "groups: []");
            return out;
        }
        put(&mut out, "groups:");
        for group in &self.groups {
            put(&mut out, &format!("  - name: {}", quoted(&group.name)));
            if let Some(interval) = &group.interval {
                put(&mut out, &format!("    interval: {}", quoted(interval)));
            }
            if group.rules.is_empty() {
                put(&mut out, "    rules: []");
                continue;
            }
            put(&mut out, "    rules:");
            for rule in &group.rules {
                put_rule(&mut out, rule);
            }
        }
        out
    }

    /// Reads a file's text.
    pub fn from_yaml(text: &str) -> Result<Self, YamlError> {
        let tree = tree(text)?;
        if tree.is_null() {
            return Ok(Self::default());
        }
        serde_json::from_value(tree).map_err(|error| YamlError {
            line: None,
            words: format!("is no file of Prometheus' rules: {error}"),
        })
    }
}

fn put(out: &mut String, line: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{line}");
}

fn put_rule(out: &mut String, rule: &PrometheusRule) {
    let texts = [
        ("alert", rule.alert.as_ref()),
        ("record", rule.record.as_ref()),
        ("expr", Some(&rule.expr)),
        ("for", rule.for_.as_ref()),
        ("keep_firing_for", rule.keep_firing_for.as_ref()),
    ];
    let mut begin = "      - ";
    for (name, text) in texts {
        if let Some(text) = text {
            put(out, &format!("{begin}{name}: {}", quoted(text)));
            begin = "        ";
        }
    }
    put_labels(out, "labels", &rule.labels);
    put_labels(out, "annotations", &rule.annotations);
}

fn put_labels(out: &mut String, name: &str, labels: &Labels) {
    if labels.is_empty() {
        return;
    }
    put(out, &format!("        {name}:"));
    for (label, text) in labels {
        put(
            out,
            &format!("          {}: {}", quoted(label), quoted(text)),
        );
    }
}

/// Text in double quotes, on one line. YAML has no control character but the tab, and takes none of C1 and no
/// separators of lines unescaped (YAML 1.2, section 5.1); JSON escapes those below the space alone.
fn quoted(text: &str) -> String {
    let json = Value::from(text).to_string();
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            _ => out.push(letter),
        }
    }
    out
}

/// A list or a table that is not yet closed.
enum Open {
    List(Vec<Value>),
    /// With the key that waits for its value.
    Table(Map<String, Value>, Option<String>),
}

fn tree(text: &str) -> Result<Value, YamlError> {
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| YamlError {
            line: Some(error.marker().line()),
            words: format!("is not YAML: {}", error.info()),
        })?;
        let refuse = |words: &str| YamlError {
            line: Some(span.start.line()),
            words: words.to_owned(),
        };
        let closed = match event {
            Event::Scalar(text, ..) => Value::String(text.into_owned()),
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() == DEPTH_MAX => {
                return Err(refuse("lists and tables are too deep within each other"));
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Table(Map::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(values)) => Value::Array(values),
                Some(Open::Table(entries, _)) => Value::Object(entries),
                None => continue,
            },
            Event::Alias(_) => {
                return Err(refuse("uses an alias of YAML (*); write the value out"));
            }
            _ => continue,
        };
        match open.last_mut() {
            None if root.is_some() => return Err(refuse("begins a second document")),
            None => root = Some(closed),
            Some(Open::List(values)) => values.push(closed),
            Some(Open::Table(entries, key)) => match (key.take(), closed) {
                (Some(name), value) => {
                    if entries.insert(name.clone(), value).is_some() {
                        return Err(refuse(&format!("says `{name}` twice")));
                    }
                }
                (None, Value::String(name)) => *key = Some(name),
                (None, _) => return Err(refuse("has a key that is no text")),
            },
        }
    }
    // An empty document is one empty scalar, or none at all.
    let is_empty = matches!(&root, Some(Value::String(text)) if text.is_empty());
    Ok(root.filter(|_| !is_empty).unwrap_or(Value::Null))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::alerts::prometheus::PrometheusGroup;

    #[test]
    fn a_file_is_written_as_people_write_it() {
        let rule = PrometheusRule {
            alert: Some("hot".to_owned()),
            expr: "t{a=\"b\"} > 90".to_owned(),
            for_: Some("1m".to_owned()),
            labels: [("severity".to_owned(), "error".to_owned())].into(),
            annotations: [("summary".to_owned(), "{{ $value }} is hot".to_owned())].into(),
            ..PrometheusRule::default()
        };
        let group = PrometheusGroup {
            name: "gpu".to_owned(),
            interval: Some("15s".to_owned()),
            rules: vec![rule],
        };
        let file = PrometheusFile {
            groups: vec![group],
        };
        let text = file.to_yaml(&["one remark".to_owned()]);
        insta::assert_snapshot!(text, @r#"
        # one remark
        groups:
          - name: "gpu"
            interval: "15s"
            rules:
              - alert: "hot"
                expr: "t{a=\"b\"} > 90"
                for: "1m"
                labels:
                  "severity": "error"
                annotations:
                  "summary": "{{ $value }} is hot"
        "#);
        assert_eq!(PrometheusFile::from_yaml(&text), Ok(file));
    }

    #[test]
    fn files_of_others_are_read() {
        let text = "
groups:
- name: example
  limit: 10
  rules:
  - alert: HighLatency
    expr: |
      job:latency:mean5m > 0.5
    for: 10m
    annotations: {threshold: 5, summary: 'it is ''slow'''}
";
        let file = PrometheusFile::from_yaml(text).unwrap();
        let rule = &file.groups[0].rules[0];
        assert_eq!(rule.expr, "job:latency:mean5m > 0.5\n");
        assert_eq!(rule.annotations["threshold"], "5");
        assert_eq!(rule.annotations["summary"], "it is 'slow'");
        assert_eq!(
            PrometheusFile::from_yaml("# nothing\n"),
            Ok(PrometheusFile::default())
        );
    }

    #[test]
    fn what_is_no_file_of_rules_is_said_with_its_line() {
        let error = |text: &str| PrometheusFile::from_yaml(text).unwrap_err().to_string();
        for (text, expected) in [
            ("groups: [", "is not YAML"),
            ("groups: []\ngroups: []", "line 2: says `groups` twice"),
            ("groups: &a []\nothers: *a", "line 2: uses an alias"),
            ("groups: 5", "is no file of Prometheus' rules"),
            ("a: 1\n---\nb: 2", "a second document"),
        ] {
            assert!(error(text).contains(expected), "{}", error(text));
        }
        let deep = "[".repeat(DEPTH_MAX + 1);
        assert!(error(&deep).contains("too deep"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_it_was_written(expr in any::<String>(), label in any::<String>(), text in any::<String>()) {
            let rule = PrometheusRule {
                alert: Some(text.clone()),
                expr,
                labels: [(label, text)].into(),
                ..PrometheusRule::default()
            };
            let group = PrometheusGroup { rules: vec![rule], ..PrometheusGroup::default() };
            let file = PrometheusFile { groups: vec![group] };
            prop_assert_eq!(PrometheusFile::from_yaml(&file.to_yaml(&[])), Ok(file));
        }
    }
}
