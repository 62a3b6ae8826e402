//! `ExportProfilesServiceRequest` (opentelemetry/proto/profiles/v1development/profiles.proto).

use std::borrow::Cow;

use super::{
    super::{
        DEPTH_MAX,
        attributes::Attributes,
        profiles::{
            Dictionary, Function, Given, Line, Link, Location, Mapping, ProfileItem, Profiles,
            push_bounded, string,
        },
        sink::{Id, Sink, Unreadable},
        wire::{Field, Malformed, Reader, repeated_fixed64, repeated_varint},
    },
    AnyValue, Messages, items_with, numbers, utf8,
};

pub(super) fn read<'a>(request: &'a [u8], sink: &mut Sink) -> Result<(), Unreadable> {
    let mut dictionary = Dictionary::default();
    let mut dictionaries = Messages::new(request, 2);
    while let Some(message) = dictionaries.next()? {
        tables(message, &mut dictionary)?;
    }
    // Attributes of resources may be in the table of strings as well.
    let strings = dictionary.strings.clone();
    let mut profiles = Profiles::new(dictionary);
    let (mut attributes, mut item) = (Attributes::default(), ProfileItem::default());
    let entry = |attributes: &mut Attributes<'a>, message: &'a [u8]| {
        let (key, value) = referenced(message, &strings)?;
        value.put(attributes, key);
        Ok(())
    };
    items_with(request, sink, entry, |sink, source, message: &'a [u8]| {
        item.clear();
        profile(message, &mut item)?;
        profiles.take(sink, source, &item, &mut attributes)
    })
}

/// `KeyValue{key=1, value=2, key_strindex=3}`. What a place leads nowhere is empty.
fn referenced<'a>(
    message: &'a [u8],
    strings: &[Cow<'a, str>],
) -> Result<(Cow<'a, str>, Given<'a>), Malformed> {
    let (mut key, mut place, mut value) = (&[][..], 0, Given::Json("null".to_owned()));
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        match field {
            (1, Field::Bytes(bytes)) => key = bytes,
            (2, Field::Bytes(message)) => value = given(message, strings)?,
            (3, Field::Varint(number)) => place = number,
            _ => {}
        }
    }
    let key = if key.is_empty() {
        string(strings, place)
    } else {
        utf8(key)
    };
    Ok((key, value))
}

/// `AnyValue{string_value_strindex=8}`, or one of the values that every signal has.
fn given<'a>(message: &'a [u8], strings: &[Cow<'a, str>]) -> Result<Given<'a>, Malformed> {
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        if let (8, Field::Varint(place)) = field {
            return Ok(Given::Text(string(strings, place)));
        }
    }
    Ok(match AnyValue::read(message)? {
        AnyValue::Bool(value) => Given::Bool(value),
        AnyValue::Int(value) => Given::Int(value),
        AnyValue::Double(value) => Given::Float(value),
        AnyValue::Text(text) => Given::Text(utf8(text)),
        other => {
            let mut json = String::new();
            other.write(&mut json, DEPTH_MAX)?;
            Given::Json(json)
        }
    })
}

/// `ProfilesDictionary{mapping_table=1, location_table=2, function_table=3, link_table=4, string_table=5, attribute_table=6,
/// stack_table=7}`.
fn tables<'a>(message: &'a [u8], dictionary: &mut Dictionary<'a>) -> Result<(), Unreadable> {
    // Values of attributes may be among the strings, which come later than they may be needed.
    let mut strings = Messages::new(message, 5);
    while let Some(text) = strings.next()? {
        dictionary.count()?;
        dictionary.strings.push(utf8(text));
    }
    let mut fields = Reader::new(message);
    while let Some((number, field)) = fields.field()? {
        let Field::Bytes(entry) = field else { continue };
        if !(1..=7).contains(&number) || number == 5 {
            continue;
        }
        dictionary.count()?;
        match number {
            1 => {
                let file = numbers(entry, [4])?[0];
                dictionary.mappings.push(Mapping { file });
            }
            2 => location(entry, dictionary)?,
            3 => {
                let [name, system_name, file] = numbers(entry, [1, 2, 3])?;
                dictionary.functions.push(Function {
                    name,
                    system_name,
                    file,
                });
            }
            4 => dictionary.links.push(link(entry)?),
            6 => {
                let (key, value) = attribute(entry, &dictionary.strings)?;
                dictionary.attributes.push((key, value));
            }
            _ => stack(entry, dictionary)?,
        }
    }
    Ok(())
}

/// `Location{mapping_index=1, address=2, lines=3, attribute_indices=4}`.
fn location(message: &[u8], dictionary: &mut Dictionary<'_>) -> Result<(), Unreadable> {
    let [mapping, address] = numbers(message, [1, 2])?;
    let first_line = dictionary.lines.len();
    let first_attribute = dictionary.location_attributes.len();
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        match field {
            (3, Field::Bytes(line)) => {
                dictionary.count()?;
                let [function, line] = numbers(line, [1, 2])?;
                dictionary.lines.push(Line { function, line });
            }
            (4, field) => {
                let mut places = Vec::new();
                repeated_varint(field, |place| {
                    push_bounded(&mut places, place.cast_signed());
                })?;
                for place in places {
                    dictionary.count()?;
                    dictionary.location_attributes.push(place);
                }
            }
            _ => {}
        }
    }
    dictionary.locations.push(Location {
        mapping,
        address: address.cast_unsigned(),
        lines: first_line..dictionary.lines.len(),
        attributes: first_attribute..dictionary.location_attributes.len(),
    });
    Ok(())
}

/// `Link{trace_id=1, span_id=2}`.
fn link(message: &[u8]) -> Result<Link, Malformed> {
    let mut link = Link::default();
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        match field {
            (1, Field::Bytes(id)) => link.trace_id = Id::from_bytes(id),
            (2, Field::Bytes(id)) => link.span_id = Id::from_bytes(id),
            _ => {}
        }
    }
    Ok(link)
}

/// `KeyValueAndUnit{key_strindex=1, value=2}`.
fn attribute<'a>(
    message: &'a [u8],
    strings: &[Cow<'a, str>],
) -> Result<(i64, Given<'a>), Malformed> {
    let (mut key, mut value) = (0, Given::Json("null".to_owned()));
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        match field {
            (1, Field::Varint(place)) => key = place.cast_signed(),
            (2, Field::Bytes(message)) => value = given(message, strings)?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// `Stack{location_indices=1}`.
fn stack(message: &[u8], dictionary: &mut Dictionary<'_>) -> Result<(), Unreadable> {
    let first = dictionary.stack_locations.len();
    let mut fields = Reader::new(message);
    while let Some((number, field)) = fields.field()? {
        if number == 1 {
            let mut places = Vec::new();
            repeated_varint(field, |place| {
                push_bounded(&mut places, place.cast_signed());
            })?;
            for place in places {
                dictionary.count()?;
                dictionary.stack_locations.push(place);
            }
        }
    }
    let all = first..dictionary.stack_locations.len();
    dictionary.stacks.push(all);
    Ok(())
}

/// `Profile{sample_type=1, samples=2, time_unix_nano=3, duration_nano=4, period_type=5, period=6,
/// dropped_attributes_count=8, attribute_indices=11}`.
fn profile(message: &[u8], item: &mut ProfileItem) -> Result<(), Unreadable> {
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        match field {
            // `ValueType{type_strindex=1, unit_strindex=2}`.
            (1, Field::Bytes(message)) => [item.kind, item.unit] = numbers(message, [1, 2])?,
            (2, Field::Bytes(message)) => sample(message, item)?,
            (3, Field::Fixed64(time)) => item.time_unix_ns = time,
            (4, Field::Varint(duration)) => item.duration_ns = duration,
            (5, Field::Bytes(message)) => {
                [item.period_kind, item.period_unit] = numbers(message, [1, 2])?;
            }
            (6, Field::Varint(period)) => item.period = period.cast_signed(),
            (8, Field::Varint(count)) => item.dropped_attributes = count,
            (11, field) => {
                let places = &mut item.attributes;
                repeated_varint(field, |place| push_bounded(places, place.cast_signed()))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// `Sample{stack_index=1, attribute_indices=2, link_index=3, values=4, timestamps_unix_nano=5}`.
fn sample(message: &[u8], item: &mut ProfileItem) -> Result<(), Unreadable> {
    let [stack, link] = numbers(message, [1, 3])?;
    let mut fields = Reader::new(message);
    while let Some((number, field)) = fields.field()? {
        match number {
            2 => {
                let places = &mut item.sample_attributes;
                repeated_varint(field, |place| push_bounded(places, place.cast_signed()))?;
            }
            4 => repeated_varint(field, |value| {
                push_bounded(&mut item.values, value.cast_signed());
            })?,
            5 => repeated_fixed64(field, |time| push_bounded(&mut item.times, time))?,
            _ => {}
        }
    }
    item.push(stack, link)
}
