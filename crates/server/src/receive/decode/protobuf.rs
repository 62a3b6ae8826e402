//! OTLP requests as protobuf (opentelemetry-proto 1.x), read straight into rows.
//!
//! Field numbers are those of the `.proto` files that each function names. Text that is no UTF-8 is taken with U+FFFD in
//! place of what is none.

mod logs;
mod metrics;
mod profiles;
mod traces;

use std::borrow::Cow;

use radiosonde_store::row::Value;

use super::{
    DEPTH_MAX, Signal, TOO_DEEP,
    attributes::{Attributes, Source},
    sink::{Sink, Unreadable},
    text,
    wire::{Field, Malformed, Reader},
};

const NS_PER_S: u64 = 1_000_000_000;

/// Reads an `Export*ServiceRequest` into `sink`.
pub(super) fn read(signal: Signal, request: &[u8], sink: &mut Sink) -> Result<(), Unreadable> {
    match signal {
        Signal::Traces => traces::read(request, sink),
        Signal::Logs => logs::read(request, sink),
        Signal::Metrics => metrics::read(request, sink),
        Signal::Profiles => profiles::read(request, sink),
    }
}

/// Hands each item of a request to `each`, with what produced it. Requests of all signals have one shape:
/// `Export*ServiceRequest{resource_*=1}`, `Resource*{resource=1, scope_*=2}`, `Scope*{scope=1, items=2}`.
fn items<'a>(
    request: &'a [u8],
    sink: &mut Sink,
    each: impl FnMut(&mut Sink, &Source, &'a [u8]) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    items_with(request, sink, key_value, each)
}

/// The same, where `entry` takes the attributes of resources.
fn items_with<'a>(
    request: &'a [u8],
    sink: &mut Sink,
    entry: impl Fn(&mut Attributes<'a>, &'a [u8]) -> Result<(), Malformed>,
    mut each: impl FnMut(&mut Sink, &Source, &'a [u8]) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    let mut attributes = Attributes::default();
    let mut source = Source::default();
    let mut resources = Messages::new(request, 1);
    let mut resource_at = 0;
    while let Some(group) = resources.next()? {
        resource(group, &mut attributes, &mut source, &entry)?;
        let mut scopes = Messages::new(group, 2);
        let mut scope_at = 0;
        while let Some(group) = scopes.next()? {
            scope(group, &mut source)?;
            let mut items = Messages::new(group, 2);
            let mut item_at = 0;
            while let Some(item) = items.next()? {
                sink.at(resource_at, scope_at, item_at);
                each(sink, &source, item)?;
                item_at += 1;
            }
            scope_at += 1;
        }
        resource_at += 1;
    }
    Ok(())
}

/// The messages in one field of a message.
pub(super) struct Messages<'a> {
    fields: Reader<'a>,
    number: u32,
}

impl<'a> Messages<'a> {
    pub(super) const fn new(message: &'a [u8], number: u32) -> Self {
        Self {
            fields: Reader::new(message),
            number,
        }
    }

    /// The next one.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        while let Some((number, field)) = self.fields.field()? {
            if let Field::Bytes(message) = field
                && number == self.number
            {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// The last one, which stands where only one should be there.
    pub(super) fn last(mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let mut last = None;
        while let Some(message) = self.next()? {
            last = Some(message);
        }
        Ok(last)
    }
}

/// `Resource{attributes=1}` in field 1 of a group; it may come after what it is the resource of.
fn resource<'a>(
    group: &'a [u8],
    attributes: &mut Attributes<'a>,
    source: &mut Source,
    take: impl Fn(&mut Attributes<'a>, &'a [u8]) -> Result<(), Malformed>,
) -> Result<(), Unreadable> {
    attributes.clear();
    let mut resources = Messages::new(group, 1);
    while let Some(resource) = resources.next()? {
        let mut entries = Messages::new(resource, 1);
        while let Some(entry) = entries.next()? {
            take(attributes, entry)?;
        }
    }
    if attributes.has_too_many() {
        return Err(Malformed("a resource has more than 4096 attributes").into());
    }
    source.set_resource(attributes);
    Ok(())
}

/// `InstrumentationScope{name=1}` in field 1 of a group.
fn scope(group: &[u8], source: &mut Source) -> Result<(), Malformed> {
    let mut name = &[][..];
    let mut scopes = Messages::new(group, 1);
    while let Some(scope) = scopes.next()? {
        let mut names = Messages::new(scope, 1);
        while let Some(given) = names.next()? {
            name = given;
        }
    }
    source.set_scope(&utf8(name));
    Ok(())
}

/// Bytes as text.
#[inline]
pub(super) fn utf8(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// `AnyValue` (opentelemetry/proto/common/v1/common.proto), not looked into yet.
#[derive(Clone, Copy, Debug, Default)]
enum AnyValue<'a> {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    List(&'a [u8]),
    Map(&'a [u8]),
}

impl<'a> AnyValue<'a> {
    #[inline]
    fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut fields = Reader::new(message);
        let mut value = Self::Null;
        while let Some(field) = fields.field()? {
            value = match field {
                (1, Field::Bytes(text)) => Self::Text(text),
                (2, Field::Varint(number)) => Self::Bool(number != 0),
                (3, Field::Varint(number)) => Self::Int(number.cast_signed()),
                (4, Field::Fixed64(bits)) => Self::Double(f64::from_bits(bits)),
                (5, Field::Bytes(list)) => Self::List(list),
                (6, Field::Bytes(map)) => Self::Map(map),
                (7, Field::Bytes(bytes)) => Self::Bytes(bytes),
                _ => continue,
            };
        }
        Ok(value)
    }

    /// Appends it as JSON. `depth` is how many lists and maps it may have in one another.
    fn write(self, out: &mut String, depth: usize) -> Result<(), Malformed> {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => text::value(out, Value::Bool(value)),
            Self::Int(value) => text::integer(out, value),
            Self::Double(value) => text::float(out, value),
            Self::Text(bytes) => text::string(out, &utf8(bytes)),
            Self::Bytes(bytes) => {
                out.push('"');
                text::base64(out, bytes);
                out.push('"');
            }
            Self::List(list) => {
                let depth = depth.checked_sub(1).ok_or(Malformed(TOO_DEEP))?;
                let mut values = Messages::new(list, 1);
                let mut separator = '[';
                while let Some(value) = values.next()? {
                    out.push(separator);
                    separator = ',';
                    Self::read(value)?.write(out, depth)?;
                }
                out.push_str(if separator == '[' { "[]" } else { "]" });
            }
            Self::Map(map) => {
                let depth = depth.checked_sub(1).ok_or(Malformed(TOO_DEEP))?;
                object(out, Messages::new(map, 1), depth)?;
            }
        }
        Ok(())
    }
}

/// `google.protobuf.Timestamp` or `Duration`, `{seconds=1, nanos=2}`, in nanoseconds; what is less than zero is zero.
pub(super) fn nanoseconds(message: &[u8]) -> Result<u64, Malformed> {
    let [seconds, nanoseconds] = numbers(message, [1, 2])?;
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    let of_seconds = part(seconds).saturating_mul(NS_PER_S);
    Ok(of_seconds.saturating_add(part(nanoseconds)))
}

/// The numbers in these fields of a message.
pub(super) fn numbers<const N: usize>(
    message: &[u8],
    wanted: [u32; N],
) -> Result<[i64; N], Malformed> {
    let mut found = [0; N];
    let mut fields = Reader::new(message);
    while let Some((number, field)) = fields.field()? {
        if let Field::Varint(value) = field
            && let Some(at) = wanted.iter().position(|wanted| *wanted == number)
        {
            found[at] = value.cast_signed();
        }
    }
    Ok(found)
}

/// `KeyValue{key=1, value=2}`.
#[inline]
fn entry_of(message: &[u8]) -> Result<(&[u8], AnyValue<'_>), Malformed> {
    let mut fields = Reader::new(message);
    let (mut key, mut value) = (&[][..], AnyValue::Null);
    while let Some(field) = fields.field()? {
        match field {
            (1, Field::Bytes(bytes)) => key = bytes,
            (2, Field::Bytes(bytes)) => value = AnyValue::read(bytes)?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// Takes a `KeyValue`.
#[inline]
fn key_value<'a>(attributes: &mut Attributes<'a>, message: &'a [u8]) -> Result<(), Malformed> {
    let (key, value) = entry_of(message)?;
    let key = utf8(key);
    match value {
        AnyValue::Bool(value) => attributes.push(key, Value::Bool(value)),
        AnyValue::Int(value) => attributes.push(key, Value::Int(value)),
        AnyValue::Double(value) => attributes.push(key, Value::Float(value)),
        AnyValue::Text(text) => attributes.push_text(key, utf8(text)),
        other => attributes.push_json(key, |out| other.write(out, DEPTH_MAX))?,
    }
    Ok(())
}

/// Appends `entries`, which are `KeyValue`s, as a JSON object.
fn object(out: &mut String, mut entries: Messages<'_>, depth: usize) -> Result<(), Malformed> {
    let mut separator = '{';
    while let Some(entry) = entries.next()? {
        let (key, value) = entry_of(entry)?;
        out.push(separator);
        separator = ',';
        text::string(out, &utf8(key));
        out.push(':');
        value.write(out, depth)?;
    }
    out.push_str(if separator == '{' { "{}" } else { "}" });
    Ok(())
}
