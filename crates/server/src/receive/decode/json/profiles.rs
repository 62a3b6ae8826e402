//! `ExportProfilesServiceRequest`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    super::{
        attributes::Attributes,
        profiles::{
            Dictionary, Function, Given, Line, Link, Location, Mapping, ProfileItem, Profiles,
            push_bounded, string,
        },
        sink::{Sink, Unreadable},
    },
    items_with, list, parse,
    scalars::{Integer, Text, id_of, unsigned_of},
    values,
};

#[derive(Deserialize)]
#[serde(
    rename_all = "camelCase",
    expecting = "a dictionary of profiles, which is an object"
)]
#[expect(
    clippy::struct_field_names,
    reason = "fields have the names that OTLP gives them"
)]
struct Tables<'a> {
    #[serde(borrow, default)]
    string_table: Option<&'a RawValue>,
    #[serde(borrow, default)]
    mapping_table: Option<&'a RawValue>,
    #[serde(borrow, default)]
    location_table: Option<&'a RawValue>,
    #[serde(borrow, default)]
    function_table: Option<&'a RawValue>,
    #[serde(borrow, default)]
    link_table: Option<&'a RawValue>,
    #[serde(borrow, default)]
    attribute_table: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stack_table: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a mapping, which is an object")]
struct MappingEntry {
    #[serde(default)]
    filename_strindex: Option<Integer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a location, which is an object")]
struct LocationEntry<'a> {
    #[serde(default)]
    mapping_index: Option<Integer>,
    #[serde(default)]
    address: Option<Integer>,
    #[serde(borrow, default)]
    lines: Option<&'a RawValue>,
    #[serde(borrow, default)]
    attribute_indices: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a line, which is an object")]
struct LineEntry {
    #[serde(default)]
    function_index: Option<Integer>,
    #[serde(default)]
    line: Option<Integer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a function, which is an object")]
#[expect(
    clippy::struct_field_names,
    reason = "fields have the names that OTLP gives them"
)]
struct FunctionEntry {
    #[serde(default)]
    name_strindex: Option<Integer>,
    #[serde(default)]
    system_name_strindex: Option<Integer>,
    #[serde(default)]
    filename_strindex: Option<Integer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a link, which is an object")]
struct LinkEntry<'a> {
    #[serde(borrow, default)]
    trace_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    span_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a stack, which is an object")]
struct StackEntry<'a> {
    #[serde(borrow, default)]
    location_indices: Option<&'a RawValue>,
}

/// `KeyValueAndUnit`, and `KeyValue` of what produced profiles.
#[derive(Deserialize)]
#[serde(
    rename_all = "camelCase",
    expecting = "an attribute, which is an object"
)]
struct AttributeEntry<'a> {
    #[serde(borrow, default)]
    key: Option<Text<'a>>,
    #[serde(default)]
    key_strindex: Option<Integer>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a value, which is an object")]
struct Reference {
    #[serde(default)]
    string_value_strindex: Option<Integer>,
}

#[derive(Deserialize)]
#[serde(
    rename_all = "camelCase",
    expecting = "what is counted, which is an object"
)]
struct ValueType {
    #[serde(default)]
    type_strindex: Option<Integer>,
    #[serde(default)]
    unit_strindex: Option<Integer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a profile, which is an object")]
struct Profile<'a> {
    #[serde(default)]
    sample_type: Option<ValueType>,
    #[serde(borrow, default)]
    samples: Option<&'a RawValue>,
    #[serde(default)]
    time_unix_nano: Option<Integer>,
    #[serde(default)]
    duration_nano: Option<Integer>,
    #[serde(default)]
    period_type: Option<ValueType>,
    #[serde(default)]
    period: Option<Integer>,
    #[serde(default)]
    dropped_attributes_count: Option<Integer>,
    #[serde(borrow, default)]
    attribute_indices: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a sample, which is an object")]
struct Sample<'a> {
    #[serde(default)]
    stack_index: Option<Integer>,
    #[serde(default)]
    link_index: Option<Integer>,
    #[serde(borrow, default)]
    attribute_indices: Option<&'a RawValue>,
    #[serde(borrow, default)]
    values: Option<&'a RawValue>,
    #[serde(borrow, default)]
    timestamps_unix_nano: Option<&'a RawValue>,
}

pub(super) fn read<'a>(
    groups: Option<&'a RawValue>,
    tables: Option<&'a RawValue>,
    sink: &mut Sink,
) -> Result<(), Unreadable> {
    let dictionary = dictionary(tables)?;
    // Attributes of resources may be in the table of strings as well.
    let strings = dictionary.strings.clone();
    let mut profiles = Profiles::new(dictionary);
    let (mut attributes, mut item) = (Attributes::default(), ProfileItem::default());
    let take = |attributes: &mut Attributes<'a>, entries: Option<&'a RawValue>| {
        list(entries, |_, entry: AttributeEntry<'a>| {
            let (place, value) = attribute(&entry, &strings)?;
            let key = match entry.key {
                Some(Text(key)) if !key.is_empty() => key,
                _ => string(&strings, place.cast_unsigned()),
            };
            value.put(attributes, key);
            Ok(())
        })
    };
    items_with(groups, sink, take, |sink, source, given: Profile<'a>| {
        item.clear();
        profile(&given, &mut item)?;
        profiles.take(sink, source, &item, &mut attributes)
    })
}

fn signed(number: Option<Integer>) -> i64 {
    number.unwrap_or_default().signed()
}

fn dictionary<'a>(tables: Option<&'a RawValue>) -> Result<Dictionary<'a>, Unreadable> {
    let mut dictionary = Dictionary::default();
    let Some(tables) = tables else {
        return Ok(dictionary);
    };
    let tables: Tables<'a> = parse(tables.get())?;
    list(tables.string_table, |_, Text(text): Text<'a>| {
        dictionary.strings.push(text);
        dictionary.count()
    })?;
    list(tables.mapping_table, |_, entry: MappingEntry| {
        let file = signed(entry.filename_strindex);
        dictionary.mappings.push(Mapping { file });
        dictionary.count()
    })?;
    list(tables.location_table, |_, entry: LocationEntry<'a>| {
        location(&entry, &mut dictionary)
    })?;
    list(tables.function_table, |_, entry: FunctionEntry| {
        dictionary.functions.push(Function {
            name: signed(entry.name_strindex),
            system_name: signed(entry.system_name_strindex),
            file: signed(entry.filename_strindex),
        });
        dictionary.count()
    })?;
    list(tables.link_table, |_, entry: LinkEntry<'a>| {
        dictionary.links.push(Link {
            trace_id: id_of(entry.trace_id.as_ref()),
            span_id: id_of(entry.span_id.as_ref()),
        });
        dictionary.count()
    })?;
    list(tables.attribute_table, |_, entry: AttributeEntry<'a>| {
        let entry = attribute(&entry, &dictionary.strings)?;
        dictionary.attributes.push(entry);
        dictionary.count()
    })?;
    list(tables.stack_table, |_, entry: StackEntry<'a>| {
        let first = dictionary.stack_locations.len();
        list(entry.location_indices, |_, place: Integer| {
            dictionary.stack_locations.push(place.signed());
            dictionary.count()
        })?;
        let all = first..dictionary.stack_locations.len();
        dictionary.stacks.push(all);
        dictionary.count()
    })?;
    Ok(dictionary)
}

fn location(entry: &LocationEntry<'_>, dictionary: &mut Dictionary<'_>) -> Result<(), Unreadable> {
    let first_line = dictionary.lines.len();
    let first_attribute = dictionary.location_attributes.len();
    list(entry.lines, |_, line: LineEntry| {
        dictionary.lines.push(Line {
            function: signed(line.function_index),
            line: signed(line.line),
        });
        dictionary.count()
    })?;
    list(entry.attribute_indices, |_, place: Integer| {
        dictionary.location_attributes.push(place.signed());
        dictionary.count()
    })?;
    dictionary.locations.push(Location {
        mapping: signed(entry.mapping_index),
        address: unsigned_of(entry.address),
        lines: first_line..dictionary.lines.len(),
        attributes: first_attribute..dictionary.location_attributes.len(),
    });
    dictionary.count()
}

/// The place of an attribute's key, and its value.
fn attribute<'a>(
    entry: &AttributeEntry<'a>,
    strings: &[Cow<'a, str>],
) -> Result<(i64, Given<'a>), Unreadable> {
    let place = signed(entry.key_strindex);
    let Some(raw) = entry.value else {
        return Ok((place, Given::Json("null".to_owned())));
    };
    let reference: Reference = parse(raw.get())?;
    let value = match reference.string_value_strindex {
        Some(place) => Given::Text(string(strings, place.unsigned())),
        None => values::given(raw)?,
    };
    Ok((place, value))
}

fn profile<'a>(given: &Profile<'a>, item: &mut ProfileItem) -> Result<(), Unreadable> {
    let of = |value_type: Option<&ValueType>| {
        value_type.map_or((0, 0), |it| {
            (signed(it.type_strindex), signed(it.unit_strindex))
        })
    };
    (item.kind, item.unit) = of(given.sample_type.as_ref());
    (item.period_kind, item.period_unit) = of(given.period_type.as_ref());
    item.period = signed(given.period);
    item.time_unix_ns = unsigned_of(given.time_unix_nano);
    item.duration_ns = unsigned_of(given.duration_nano);
    item.dropped_attributes = unsigned_of(given.dropped_attributes_count);
    list(given.attribute_indices, |_, place: Integer| {
        push_bounded(&mut item.attributes, place.signed());
        Ok(())
    })?;
    list(given.samples, |_, sample: Sample<'a>| {
        list(sample.attribute_indices, |_, place: Integer| {
            push_bounded(&mut item.sample_attributes, place.signed());
            Ok(())
        })?;
        list(sample.values, |_, value: Integer| {
            push_bounded(&mut item.values, value.signed());
            Ok(())
        })?;
        list(sample.timestamps_unix_nano, |_, time: Integer| {
            push_bounded(&mut item.times, time.unsigned());
            Ok(())
        })?;
        item.push(signed(sample.stack_index), signed(sample.link_index))
    })
}
