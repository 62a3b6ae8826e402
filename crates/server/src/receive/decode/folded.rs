//! Folded stacks, as flamegraph.pl, `perf script | stackcollapse-perf.pl` and `py-spy --format raw` write them:
//! `root;child;leaf 42`, a stack a line.

use std::borrow::Cow;

use super::{
    Told,
    attributes::Attributes,
    profiles::{Dictionary, Function, Given, Line, Location, Mapping, ProfileItem, Profiles},
    sink::{Sink, Unreadable},
    told,
};

pub(super) fn read<'a>(
    request: &'a [u8],
    told: &'a Told,
    sink: &mut Sink,
) -> Result<(), Unreadable> {
    let Ok(text) = std::str::from_utf8(request) else {
        return Err(Unreadable::Malformed("it is not UTF-8".to_owned()));
    };
    let mut tables = Tables::default();
    let mut item = ProfileItem {
        kind: tables.string(told.kind.as_deref().unwrap_or("samples"))?,
        unit: tables.string(told.unit.as_deref().unwrap_or("count"))?,
        ..ProfileItem::default()
    };
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let split = line.rsplit_once(' ');
        let value = split.and_then(|(_, count)| count.parse::<f64>().ok());
        let (Some((stack, _)), Some(value)) = (split, value) else {
            let line = number + 1;
            return Err(Unreadable::Malformed(format!(
                "line {line} does not end in a number, as a folded stack does"
            )));
        };
        let stack = tables.stack(stack)?;
        item.values.push(value as i64);
        item.push(stack, 0)?;
    }
    let mut attributes = Attributes::default();
    let source = told::source(told, &mut attributes);
    sink.at(0, 0, 0);
    Profiles::new(tables.dictionary).take(sink, &source, &item, &mut attributes)
}

/// A dictionary that is made as stacks come.
#[derive(Default)]
struct Tables<'a> {
    dictionary: Dictionary<'a>,
    /// The place of a frame's location.
    known: std::collections::HashMap<&'a str, i64, radiosonde_core::hash::FoldState>,
}

/// A frame's parts, as far as its text says them.
#[derive(Default)]
struct Parts<'a> {
    function: &'a str,
    file: &'a str,
    line: i64,
    module: &'a str,
    kind: &'a str,
}

impl<'a> Tables<'a> {
    fn string(&mut self, text: &'a str) -> Result<i64, Unreadable> {
        self.dictionary.count()?;
        self.dictionary.strings.push(Cow::Borrowed(text));
        Ok(self.dictionary.strings.len() as i64 - 1)
    }

    fn stack(&mut self, text: &'a str) -> Result<i64, Unreadable> {
        let first = self.dictionary.stack_locations.len();
        // Tables have the innermost first.
        // Of a thread without frames py-spy writes nothing but how often it was seen.
        for frame in text.rsplit(';').filter(|frame| !frame.is_empty()) {
            let place = match self.known.get(frame) {
                Some(place) => *place,
                None => self.location(frame)?,
            };
            self.dictionary.count()?;
            self.dictionary.stack_locations.push(place);
        }
        let all = first..self.dictionary.stack_locations.len();
        self.dictionary.stacks.push(all);
        Ok(self.dictionary.stacks.len() as i64 - 1)
    }

    fn location(&mut self, frame: &'a str) -> Result<i64, Unreadable> {
        let parts = parts(frame);
        let (name, file) = (self.string(parts.function)?, self.string(parts.file)?);
        let function = Function {
            name,
            system_name: name,
            file,
        };
        let mapping = self.string(parts.module)?;
        let (key, kind) = (self.string("profile.frame.type")?, parts.kind);
        let Dictionary {
            functions,
            lines,
            mappings,
            locations,
            attributes,
            location_attributes,
            ..
        } = &mut self.dictionary;
        functions.push(function);
        mappings.push(Mapping { file: mapping });
        lines.push(Line {
            function: functions.len() as i64 - 1,
            line: parts.line,
        });
        attributes.push((key, Given::Text(Cow::Borrowed(kind))));
        location_attributes.push(attributes.len() as i64 - 1);
        locations.push(Location {
            mapping: mappings.len() as i64 - 1,
            address: 0,
            lines: lines.len() - 1..lines.len(),
            attributes: location_attributes.len() - 1..location_attributes.len(),
        });
        let place = locations.len() as i64 - 1;
        self.known.insert(frame, place);
        Ok(place)
    }
}

/// `name (file:line)` of py-spy, `name_[k]` of perf's kernel frames, `[library]` of what has no name.
fn parts(frame: &str) -> Parts<'_> {
    if let Some(function) = frame.strip_suffix("_[k]") {
        return Parts {
            function,
            kind: "kernel",
            ..Parts::default()
        };
    }
    if let Some((function, place)) = frame
        .strip_suffix(')')
        .and_then(|frame| frame.rsplit_once(" ("))
    {
        let (file, line) = match place.rsplit_once(':') {
            Some((file, line)) if line.bytes().all(|byte| byte.is_ascii_digit()) => (file, line),
            _ => (place, ""),
        };
        let is_library = file.contains(".so") || file.contains(".dylib");
        return Parts {
            function,
            file: if is_library { "" } else { file },
            module: if is_library { file } else { "" },
            line: line.parse().unwrap_or(0),
            kind: "",
        };
    }
    let module = frame
        .strip_prefix('[')
        .and_then(|frame| frame.strip_suffix(']'));
    Parts {
        function: frame,
        module: module
            .filter(|module| module.contains(".so"))
            .unwrap_or_default(),
        ..Parts::default()
    }
}
