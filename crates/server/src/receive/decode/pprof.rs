//! pprof's `Profile` (github.com/google/pprof, proto/profile.proto), which Go, py-spy and pprof-rs write: a profile for each
//! of its sample types.

use std::{borrow::Cow, collections::HashMap};

use radiosonde_core::hash::FoldState;

use super::{
    Told,
    attributes::Attributes,
    profiles::{
        Dictionary, Function, Given, Line, Link, Location, Mapping, ProfileItem, Profiles,
        push_bounded, string,
    },
    protobuf::{numbers, utf8},
    sink::{Id, ROWS_MAX, Sink, Unreadable},
    told,
    wire::{Field, Malformed, Reader, repeated_varint},
};

/// Most labels of a sample, and most sample types of a profile.
const LABELS_MAX: usize = 64;
const SAMPLE_TYPES_MAX: usize = 64;

/// Labels under which profilers give what has a place of its own, or another name in OpenTelemetry.
const TRACE_ID: &str = "trace_id";
const SPAN_ID: [&str; 2] = ["span_id", "profile_id"];
const RENAMED: [(&str, &str); 5] = [
    ("thread", "thread.name"),
    ("thread_name", "thread.name"),
    ("thread name", "thread.name"),
    ("thread_id", "thread.id"),
    ("tid", "thread.id"),
];

type Numbers = HashMap<u64, i64, FoldState>;

/// What a profile has besides its tables.
#[derive(Default)]
struct Whole<'a> {
    sample_types: Vec<[i64; 2]>,
    samples: Vec<&'a [u8]>,
    period_type: [i64; 2],
    period: i64,
    time_unix_ns: u64,
    duration_ns: u64,
    /// Their own numbers, and their places in tables, of which the first is none.
    mappings: Numbers,
    functions: Numbers,
    locations: Numbers,
}

/// A sample with what is looked up.
#[derive(Default)]
struct Sample {
    stack: i64,
    link: i64,
    labels: Vec<i64>,
    values: Vec<i64>,
}

pub(super) fn read<'a>(
    request: &'a [u8],
    told: &'a Told,
    sink: &mut Sink,
) -> Result<(), Unreadable> {
    let mut dictionary = Dictionary::default();
    let whole = whole(request, &mut dictionary)?;
    let mut samples = Vec::with_capacity(whole.samples.len());
    for message in &whole.samples {
        samples.push(sample(message, &whole, &mut dictionary)?);
    }
    let mut attributes = Attributes::default();
    let source = told::source(told, &mut attributes);
    let mut profiles = Profiles::new(dictionary);
    let mut item = ProfileItem::default();
    for (number, [kind, unit]) in whole.sample_types.iter().enumerate() {
        item.clear();
        (item.kind, item.unit) = (*kind, *unit);
        [item.period_kind, item.period_unit] = whole.period_type;
        item.period = whole.period;
        (item.time_unix_ns, item.duration_ns) = (whole.time_unix_ns, whole.duration_ns);
        for sample in &samples {
            // A sample that has none of this type is not one of it.
            let value = sample.values.get(number).copied().unwrap_or(0);
            if value != 0 {
                item.sample_attributes.extend(&sample.labels);
                push_bounded(&mut item.values, value);
                item.push(sample.stack, sample.link)?;
            }
        }
        sink.at(0, 0, number);
        profiles.take(sink, &source, &item, &mut attributes)?;
    }
    Ok(())
}

/// `Profile{sample_type=1, sample=2, mapping=3, location=4, function=5, string_table=6, time_nanos=9, duration_nanos=10,
/// period_type=11, period=12}`.
fn whole<'a>(message: &'a [u8], dictionary: &mut Dictionary<'a>) -> Result<Whole<'a>, Unreadable> {
    let mut whole = Whole::default();
    // What stands for none, as in the tables of OTLP.
    dictionary.mappings.push(Mapping::default());
    dictionary.functions.push(Function::default());
    dictionary.locations.push(Location::default());
    dictionary.links.push(Link::default());
    dictionary.stacks.push(0..0);
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        match field {
            (1, Field::Bytes(message)) => {
                whole.sample_types.push(numbers(message, [1, 2])?);
                if whole.sample_types.len() > SAMPLE_TYPES_MAX {
                    return Err(Malformed("it has more than 64 sample types").into());
                }
            }
            (2, Field::Bytes(message)) => {
                dictionary.count()?;
                whole.samples.push(message);
                if whole.samples.len() > ROWS_MAX {
                    return Err(Unreadable::TooMuch("it has more than 262144 records"));
                }
            }
            (3, Field::Bytes(message)) => {
                dictionary.count()?;
                let [id, file] = numbers(message, [1, 5])?;
                let place = dictionary.mappings.len() as i64;
                whole.mappings.insert(id.cast_unsigned(), place);
                dictionary.mappings.push(Mapping { file });
            }
            (4, Field::Bytes(message)) => location(message, &mut whole, dictionary)?,
            (5, Field::Bytes(message)) => {
                dictionary.count()?;
                let [id, name, system_name, file] = numbers(message, [1, 2, 3, 4])?;
                let place = dictionary.functions.len() as i64;
                whole.functions.insert(id.cast_unsigned(), place);
                dictionary.functions.push(Function {
                    name,
                    system_name,
                    file,
                });
            }
            (6, Field::Bytes(text)) => {
                dictionary.count()?;
                dictionary.strings.push(utf8(text));
            }
            (9, Field::Varint(time)) => whole.time_unix_ns = time,
            (10, Field::Varint(duration)) => whole.duration_ns = duration,
            (11, Field::Bytes(message)) => whole.period_type = numbers(message, [1, 2])?,
            (12, Field::Varint(period)) => whole.period = period.cast_signed(),
            _ => {}
        }
    }
    if whole.sample_types.is_empty() {
        return Err(Malformed("it has no sample type, so it is no profile of pprof").into());
    }
    place(&whole, dictionary);
    Ok(whole)
}

/// Locations name mappings and functions by numbers of their own, which may come later.
fn place(whole: &Whole<'_>, dictionary: &mut Dictionary<'_>) {
    let found = |numbers: &Numbers, id: i64| match id {
        0 => 0,
        // What is not there leads nowhere.
        id => numbers.get(&id.cast_unsigned()).copied().unwrap_or(-1),
    };
    for location in &mut dictionary.locations {
        location.mapping = found(&whole.mappings, location.mapping);
    }
    for line in &mut dictionary.lines {
        line.function = found(&whole.functions, line.function);
    }
}

/// `Location{id=1, mapping_id=2, address=3, line=4{function_id=1, line=2}}`.
fn location(
    message: &[u8],
    whole: &mut Whole<'_>,
    dictionary: &mut Dictionary<'_>,
) -> Result<(), Unreadable> {
    dictionary.count()?;
    let [id, mapping, address] = numbers(message, [1, 2, 3])?;
    let first = dictionary.lines.len();
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        if let (4, Field::Bytes(line)) = field {
            dictionary.count()?;
            let [function, line] = numbers(line, [1, 2])?;
            dictionary.lines.push(Line { function, line });
        }
    }
    let place = dictionary.locations.len() as i64;
    whole.locations.insert(id.cast_unsigned(), place);
    dictionary.locations.push(Location {
        mapping,
        address: address.cast_unsigned(),
        lines: first..dictionary.lines.len(),
        attributes: 0..0,
    });
    Ok(())
}

/// `Sample{location_id=1, value=2, label=3}`.
fn sample<'a>(
    message: &'a [u8],
    whole: &Whole<'a>,
    dictionary: &mut Dictionary<'a>,
) -> Result<Sample, Unreadable> {
    let mut sample = Sample::default();
    let first = dictionary.stack_locations.len();
    let mut link = Link::default();
    let mut fields = Reader::new(message);
    while let Some((number, field)) = fields.field()? {
        match (number, field) {
            (1, field) => {
                let mut places = Vec::new();
                repeated_varint(field, |id| {
                    push_bounded(&mut places, whole.locations.get(&id).copied().unwrap_or(-1));
                })?;
                for place in places {
                    dictionary.count()?;
                    dictionary.stack_locations.push(place);
                }
            }
            (2, field) => repeated_varint(field, |value| {
                if sample.values.len() < SAMPLE_TYPES_MAX {
                    sample.values.push(value.cast_signed());
                }
            })?,
            (3, Field::Bytes(message)) if sample.labels.len() < LABELS_MAX => {
                label(message, dictionary, &mut link, &mut sample.labels)?;
            }
            _ => {}
        }
    }
    sample.stack = dictionary.stacks.len() as i64;
    let all = first..dictionary.stack_locations.len();
    dictionary.stacks.push(all);
    if link.trace_id != Id::Missing {
        sample.link = dictionary.links.len() as i64;
        dictionary.links.push(link);
    }
    Ok(sample)
}

/// `Label{key=1, str=2, num=3}`.
fn label<'a>(
    message: &'a [u8],
    dictionary: &mut Dictionary<'a>,
    link: &mut Link,
    labels: &mut Vec<i64>,
) -> Result<(), Unreadable> {
    dictionary.count()?;
    let [key, text, number] = numbers(message, [1, 2, 3])?;
    let text_at = |place: i64| string(&dictionary.strings, place.cast_unsigned());
    let (name, text) = (text_at(key), text_at(text));
    if name == TRACE_ID {
        link.trace_id = Id::from_hex(&text);
        return Ok(());
    }
    if SPAN_ID.contains(&name.as_ref()) {
        link.span_id = Id::from_hex(&text);
        return Ok(());
    }
    let renamed = RENAMED.iter().find(|(known, _)| *known == name);
    let key = match renamed {
        Some((_, renamed)) => {
            dictionary.strings.push(Cow::Borrowed(renamed));
            dictionary.strings.len() as i64 - 1
        }
        None => key,
    };
    let value = if text.is_empty() {
        Given::Int(number)
    } else {
        Given::Text(text)
    };
    labels.push(dictionary.attributes.len() as i64);
    dictionary.attributes.push((key, value));
    Ok(())
}
