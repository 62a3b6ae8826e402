//! Locations and stacks looked up in the tables of a dictionary, each once.

use std::{borrow::Cow, collections::HashMap};

use radiosonde_answers::flame::{FRAMES_MAX, Frame, TRUNCATED, charged_to, library, push_frame};
use radiosonde_core::hash::FoldState;

use super::{
    super::sink::{Reason, Sink, Unreadable},
    Dictionary, Given, Line, Location, at,
};

/// The attribute that says what runs a frame (OpenTelemetry semantic conventions, profiles).
const FRAME_TYPE: &str = "profile.frame.type";

/// A stack as rows have it.
#[derive(Debug, Default)]
pub(super) struct StackText {
    pub(super) text: String,
    /// The innermost function.
    pub(super) function: String,
    /// The library to which the stack is charged.
    pub(super) library: String,
}

/// The frames of a location: several where functions were inlined.
#[derive(Debug, Default)]
struct LocationText {
    text: String,
    frames: usize,
    /// The innermost function.
    function: String,
    /// The libraries of the frames, the innermost first; only as many as tell whom a stack is charged to.
    libraries: Vec<String>,
}

/// What was looked up so far, by its place; nothing where any place of it leads beyond its table.
#[derive(Debug)]
pub(super) struct Resolved {
    locations: HashMap<usize, Option<LocationText>, FoldState>,
    stacks: HashMap<usize, Option<StackText>, FoldState>,
    /// The stack of those that have none.
    none: StackText,
}

impl Default for Resolved {
    fn default() -> Self {
        Self {
            locations: HashMap::default(),
            stacks: HashMap::default(),
            none: StackText {
                library: library::UNKNOWN.to_owned(),
                ..StackText::default()
            },
        }
    }
}

impl Resolved {
    /// A stack that was looked up and is whole.
    pub(super) fn get(&self, place: i64) -> Option<&StackText> {
        match self.stacks.get(&usize::try_from(place).ok()?) {
            Some(found) => found.as_ref(),
            // The first of a table stands for none, also where there is no table.
            None => (place == 0).then_some(&self.none),
        }
    }

    /// Looks a stack up, unless that was done before.
    pub(super) fn stack(
        &mut self,
        dictionary: &Dictionary<'_>,
        place: i64,
        sink: &mut Sink,
    ) -> Result<(), Unreadable> {
        let Ok(Some(locations)) = at(&dictionary.stacks, place) else {
            return Ok(());
        };
        let place = place as usize;
        if self.stacks.contains_key(&place) {
            return Ok(());
        }
        let locations = &dictionary.stack_locations[locations.clone()];
        for location in locations {
            self.location(dictionary, *location, sink)?;
        }
        let stack = self.joined(locations);
        if let Some(stack) = &stack {
            sink.reserve_bytes(stack.text.len())?;
        }
        self.stacks.insert(place, stack);
        Ok(())
    }

    fn joined(&self, locations: &[i64]) -> Option<StackText> {
        let found: Option<Vec<&LocationText>> = locations
            .iter()
            .map(|place| {
                let found = self.locations.get(&usize::try_from(*place).ok()?)?;
                found.as_ref()
            })
            .collect();
        let found = found?;
        let mut frames = 0;
        let fits = |location: &&&LocationText| {
            frames += location.frames;
            frames <= FRAMES_MAX
        };
        let kept = found.iter().take_while(fits).count();
        let mut text = String::new();
        if kept < found.len() {
            push_frame(&mut text, &Frame::named(TRUNCATED));
        }
        for location in found[..kept].iter().rev() {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&location.text);
        }
        let libraries = found.iter().flat_map(|location| &location.libraries);
        let libraries: Vec<&str> = libraries.map(String::as_str).collect();
        Some(StackText {
            text,
            function: found
                .first()
                .map(|location| location.function.clone())
                .unwrap_or_default(),
            library: charged_to(libraries.into_iter().rev()).to_owned(),
        })
    }

    fn location(
        &mut self,
        dictionary: &Dictionary<'_>,
        place: i64,
        sink: &mut Sink,
    ) -> Result<(), Unreadable> {
        let Ok(Some(location)) = at(&dictionary.locations, place) else {
            return Ok(());
        };
        let place = place as usize;
        if self.locations.contains_key(&place) {
            return Ok(());
        }
        let written = written(dictionary, location).ok();
        if let Some(written) = &written {
            sink.reserve_bytes(written.text.len())?;
        }
        self.locations.insert(place, written);
        Ok(())
    }
}

fn written(dictionary: &Dictionary<'_>, location: &Location) -> Result<LocationText, Reason> {
    let mapping = at(&dictionary.mappings, location.mapping)?;
    let module = mapping.map_or(Ok(""), |mapping| dictionary.text(mapping.file))?;
    let kind = kind(dictionary, location)?;
    let mut written = LocationText::default();
    let lines = &dictionary.lines[location.lines.clone()];
    let lines = &lines[..lines.len().min(FRAMES_MAX)];
    let mut frames = Vec::with_capacity(lines.len().max(1));
    for line in lines {
        frames.push(frame(dictionary, line, module, kind)?);
    }
    if frames.iter().all(|frame| frame.function.is_empty()) {
        frames = vec![nameless(location.address, module, kind)];
    }
    for frame in frames.iter().rev() {
        push_frame(&mut written.text, frame);
    }
    written.frames = frames.len();
    written.function = frames[0].function.clone().into_owned();
    for frame in &frames {
        let library = library::of(frame);
        let is_enough = !library::is_servant(&library);
        written.libraries.push(library);
        if is_enough {
            break;
        }
    }
    Ok(written)
}

/// What runs the location's code.
fn kind<'d>(dictionary: &'d Dictionary<'_>, location: &Location) -> Result<&'d str, Reason> {
    let mut kind = "";
    for place in &dictionary.location_attributes[location.attributes.clone()] {
        let Some((key, value)) = at(&dictionary.attributes, *place)? else {
            continue;
        };
        let is_kind = dictionary.text(*key)? == FRAME_TYPE;
        if let (true, Given::Text(text)) = (is_kind, value) {
            kind = text;
        }
    }
    Ok(kind)
}

fn frame<'d>(
    dictionary: &'d Dictionary<'_>,
    line: &Line,
    module: &'d str,
    kind: &'d str,
) -> Result<Frame<'d>, Reason> {
    let function = at(&dictionary.functions, line.function)?
        .copied()
        .unwrap_or_default();
    let name = dictionary.text(function.name)?;
    let system_name = dictionary.text(function.system_name)?;
    Ok(Frame {
        function: Cow::Borrowed(if name.is_empty() { system_name } else { name }),
        file: Cow::Borrowed(dictionary.text(function.file)?),
        line: u64::try_from(line.line).unwrap_or(0),
        module: Cow::Borrowed(module),
        kind: Cow::Borrowed(kind),
    })
}

/// Code without a name is called by where it is.
fn nameless<'d>(address: u64, module: &'d str, kind: &'d str) -> Frame<'d> {
    let file = module.rsplit('/').next().unwrap_or(module);
    let name = match (file, address) {
        ("", 0) => "?".to_owned(),
        ("", address) => format!("{address:#x}"),
        (file, 0) => format!("[{file}]"),
        (file, address) => format!("{file}+{address:#x}"),
    };
    Frame {
        function: Cow::Owned(name),
        module: Cow::Borrowed(module),
        kind: Cow::Borrowed(kind),
        ..Frame::default()
    }
}
