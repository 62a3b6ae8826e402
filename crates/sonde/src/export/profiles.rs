//! Samples of the store as profiles of OTLP: one dictionary for a request, in which each text, function, location and stack
//! is once.

use std::collections::HashMap;

use radiosonde::redact::Redaction;
use radiosonde_answers::flame::{Frame, frames};
use serde_json::{Value, json};

use super::otlp::{decimal, key_values, redacted};

/// The attribute that says what runs a frame (OpenTelemetry semantic conventions, profiles).
const FRAME_TYPE: &str = "profile.frame.type";

/// A table: its entries as they are sent, and the place of each by its text. The first stands for none.
struct Table {
    entries: Vec<Value>,
    places: HashMap<String, usize>,
}

impl Table {
    fn new(none: Value) -> Self {
        Self {
            entries: vec![none],
            places: HashMap::new(),
        }
    }

    fn place(&mut self, entry: Value) -> usize {
        let next = self.entries.len();
        let place = *self.places.entry(entry.to_string()).or_insert(next);
        if place == next {
            self.entries.push(entry);
        }
        place
    }
}

struct Dictionary<'r> {
    redaction: &'r Redaction,
    strings: Table,
    mappings: Table,
    functions: Table,
    locations: Table,
    links: Table,
    attributes: Table,
    stacks: Table,
}

/// Samples: time, stack, trace, span, type, unit, value, duration, scope, resource, attributes.
pub fn profiles(rows: &[Value], redaction: &Redaction) -> Value {
    let mut dictionary = Dictionary::new(redaction);
    let mut groups: Vec<(Vec<&Value>, Value)> = Vec::new();
    for row in rows {
        // Samples of one source, type and duration are one profile here.
        let of: Vec<&Value> = [4, 5, 7, 8, 9].into_iter().map(|at| &row[at]).collect();
        if groups.last().is_none_or(|(last, _)| *last != of) {
            let profile = json!({
                "sampleType": {"typeStrindex": dictionary.string(text(&row[4])), "unitStrindex": dictionary.string(text(&row[5]))},
                "timeUnixNano": decimal(&row[0]),
                "durationNano": decimal(&row[7]),
                "samples": [],
            });
            groups.push((of, profile));
        }
        let sample = dictionary.sample(row);
        if let Some(samples) = groups
            .last_mut()
            .and_then(|(_, profile)| profile["samples"].as_array_mut())
        {
            samples.push(sample);
        }
    }
    let resource = |(of, profile): (Vec<&Value>, Value)| {
        json!({
            "resource": {"attributes": key_values(of[4], redaction)},
            "scopeProfiles": [{"scope": {"name": redacted(of[3], redaction)}, "profiles": [profile]}],
        })
    };
    json!({
        "resourceProfiles": groups.into_iter().map(resource).collect::<Vec<_>>(),
        "dictionary": dictionary.tables(),
    })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl<'r> Dictionary<'r> {
    fn new(redaction: &'r Redaction) -> Self {
        let empty = || Table::new(json!({}));
        Self {
            redaction,
            strings: Table::new(json!("")),
            mappings: empty(),
            functions: empty(),
            locations: empty(),
            links: empty(),
            attributes: empty(),
            stacks: empty(),
        }
    }

    fn string(&mut self, text: &str) -> usize {
        match text {
            "" => 0,
            text => {
                let text = redacted(&json!(text), self.redaction);
                self.strings.place(json!(text))
            }
        }
    }

    fn sample(&mut self, row: &Value) -> Value {
        let (trace, span) = (text(&row[2]), text(&row[3]));
        let link = match trace {
            "" => 0,
            trace => self.links.place(json!({"traceId": trace, "spanId": span})),
        };
        let attributes: Vec<usize> = key_values(&row[10], self.redaction)
            .into_iter()
            .map(|pair| self.attribute(text(&pair["key"]), &pair["value"]))
            .collect();
        json!({
            "stackIndex": self.stack(text(&row[1])),
            "linkIndex": link,
            "attributeIndices": attributes,
            "values": [decimal(&row[6])],
            "timestampsUnixNano": [decimal(&row[0])],
        })
    }

    fn attribute(&mut self, key: &str, value: &Value) -> usize {
        let key = self.string(key);
        self.attributes
            .place(json!({"keyStrindex": key, "value": value}))
    }

    fn stack(&mut self, stack: &str) -> usize {
        // Tables have the innermost frame first.
        let mut locations: Vec<usize> = frames(stack).map(|frame| self.location(&frame)).collect();
        locations.reverse();
        match locations[..] {
            [] => 0,
            _ => self.stacks.place(json!({"locationIndices": locations})),
        }
    }

    fn location(&mut self, frame: &Frame<'_>) -> usize {
        let (name, file) = (self.string(&frame.function), self.string(&frame.file));
        let function = self
            .functions
            .place(json!({"nameStrindex": name, "filenameStrindex": file}));
        let mapping = match &*frame.module {
            "" => 0,
            module => {
                let file = self.string(module);
                self.mappings.place(json!({"filenameStrindex": file}))
            }
        };
        let kind = match &*frame.kind {
            "" => Vec::new(),
            kind => vec![self.attribute(FRAME_TYPE, &json!({"stringValue": kind}))],
        };
        self.locations.place(json!({
            "mappingIndex": mapping,
            "lines": [{"functionIndex": function, "line": frame.line.to_string()}],
            "attributeIndices": kind,
        }))
    }

    fn tables(self) -> Value {
        json!({
            "stringTable": self.strings.entries,
            "mappingTable": self.mappings.entries,
            "functionTable": self.functions.entries,
            "locationTable": self.locations.entries,
            "linkTable": self.links.entries,
            "attributeTable": self.attributes.entries,
            "stackTable": self.stacks.entries,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_is_sent_once() {
        let stack = "main\t/srv/a.py\t1\t\tcpython\nread\t\t\t/lib/libc.so.6";
        let row = |time: u64, kind: &str| {
            json!([
                time,
                stack,
                "0af7651916cd43dd8448eb211c80319c",
                "b7ad6b7169203331",
                kind,
                "nanoseconds",
                5,
                0,
                "s",
                r#"{"service.name":"a"}"#,
                r#"{"thread.name":"t"}"#
            ])
        };
        let request = profiles(
            &[row(1, "cpu"), row(2, "cpu"), row(3, "wall")],
            &Redaction::default(),
        );
        let groups = request["resourceProfiles"].as_array().unwrap();
        assert_eq!(groups.len(), 2);
        let samples = &groups[0]["scopeProfiles"][0]["profiles"][0]["samples"];
        assert_eq!(samples.as_array().unwrap().len(), 2);
        assert_eq!(
            (&samples[1]["stackIndex"], &samples[1]["linkIndex"]),
            (&json!(1), &json!(1))
        );
        let sizes = |name: &str| request["dictionary"][name].as_array().unwrap().len();
        assert_eq!(
            ["stackTable", "locationTable", "linkTable", "attributeTable"].map(sizes),
            [2, 3, 2, 3]
        );
    }
}
