//! Typed events and how one definition describes them to everything else.
//!
//! `#[derive(Event)]` writes the [`Event`] implementation. From its [`Descriptor`] come the record's layout, the
//! JSON shape, the metric instruments, the row in `docs/events.md` and the bound on label sets; nothing else in
//! the project repeats what an event's fields are.

use std::{fmt, time::Duration};

use crate::{
    fields::{FieldWriter, Full, KEY_INLINE, ValueRef, Words, one_word},
    model::Severity,
};

mod json;
mod kind;
mod read;

#[doc(hidden)]
pub use json::{deserialize, serialize};
#[doc(hidden)]
pub use kind::WholeMicros;
pub use kind::{FieldKind, FieldType, ShapeList};
#[doc(hidden)]
pub use read::read_field;
pub use read::{AnyEvent, FieldView, FromField, ReadError, ReadEvent, Source};

/// A typed fact with labels and measurements.
///
/// Implement it by `#[derive(Event)]`, which takes everything from the struct:
///
/// ```
/// use std::time::Duration;
/// use radiosonde_core::Event;
///
/// /// A batch left an exporter.
/// #[derive(Event)]
/// #[event(name = "shop.export", level = "debug", alias("batch_exported"))]
/// pub struct Exported<'a> {
///     /// The exporter's name.
///     #[label]
///     pub exporter: &'a str,
///     /// Records in the batch.
///     #[measure(counter, unit = "{record}")]
///     pub records: u64,
///     /// From the first byte to the acknowledgement.
///     #[measure(histogram, bounds = [0.01, 0.1, 1.0])]
///     pub duration: Duration,
///     /// The address it went to.
///     pub peer: &'a str,
/// }
///
/// let event = Exported { exporter: "otlp", records: 3, duration: Duration::from_millis(2), peer: "::1" };
/// assert_eq!(
///     serde_json::to_string(&event).unwrap(),
///     r#"{"type":"Exported","data":{"exporter":"otlp","records":3,"duration_ns":2000000,"peer":"::1"}}"#,
/// );
/// ```
///
/// On the struct, `#[event(...)]` takes `name` (required: lower case words with dots), `level` (`info` unless said),
/// `type` (the `type` in JSON; the struct's name unless said), `target` (`metrics` unless said), `alias("...")`,
/// `count = "metric.name"` (a counter of occurrences), `series_max` and `crate = path` (where the runtime is, for
/// a crate that renames its dependency). Doc comments are required: they are the help text.
///
/// On a field: `#[label]`; `#[measure(counter)]`, `gauge` or `histogram` with `name` (`<event>.<field>` unless said),
/// `unit` and, for a histogram, `bounds` (exponential unless said); and `#[event(...)]` with `rename`, `alias("...")`
/// or `alias("...", times = 1000)` (accepted on input), `unit`, and `micros = "duration_us"` (a duration is written
/// in whole microseconds as well).
/// A `Duration` is written in nanoseconds under its name with `_ns`, and measured in seconds.
pub trait Event {
    /// What the event is: its names, level and fields, in the order in which [`encode`](Event::encode) visits them.
    const DESCRIPTOR: &'static Descriptor;

    /// Hands every field that has a value to `encoder`, by its index in the descriptor.
    fn encode(&self, encoder: &mut Encoder<'_>);
}

impl<E: Event + ?Sized> Event for &E {
    const DESCRIPTOR: &'static Descriptor = E::DESCRIPTOR;

    #[inline]
    fn encode(&self, encoder: &mut Encoder<'_>) {
        E::encode(self, encoder);
    }
}

/// The static description of an event type.
#[derive(Debug, PartialEq)]
pub struct Descriptor {
    /// The OpenTelemetry-style name: lower case, dotted, for example `gpu.op`.
    pub name: &'static str,
    /// The `type` in JSON: the struct's name, for example `GpuOpCompleted`.
    pub type_name: &'static str,
    /// What it means, in a sentence: the struct's doc comment.
    pub description: &'static str,
    /// How severe an occurrence is.
    pub severity: Severity,
    /// The filter target; `metrics` unless said otherwise, so that `metrics=off` silences events.
    pub target: &'static str,
    /// Other names under which the same event is known, accepted on input and offered on output.
    pub aliases: &'static [&'static str],
    /// The counter that every occurrence adds 1 to, split by the labels; none unless asked for.
    pub count: Option<&'static str>,
    /// The fields, in order.
    pub fields: &'static [FieldDescriptor],
    /// Most label sets its metrics may have before further ones share the overflow series.
    pub series_max: usize,
}

/// What an event whose description is missing is shown as; a batch never holds one.
pub(crate) static UNKNOWN: Descriptor = Descriptor {
    name: "",
    type_name: "Unknown",
    description: "",
    severity: Severity::Info,
    target: "metrics",
    aliases: &[],
    count: None,
    fields: &[],
    series_max: Descriptor::SERIES_MAX_DEFAULT,
};

impl Descriptor {
    /// Most label sets of an instrument unless the event says otherwise: with the overflow series, fewer than the 2,000 of
    /// OpenTelemetry's metrics SDK (cardinality limits).
    pub const SERIES_MAX_DEFAULT: usize = 1998;
    /// The filter target of events that name none.
    pub const TARGET_DEFAULT: &str = "metrics";

    /// The description of an event that has no struct: its name is its type, and nothing of it is measured.
    pub const fn ad_hoc(
        name: &'static str,
        severity: Severity,
        fields: &'static [FieldDescriptor],
    ) -> Self {
        Self {
            name,
            type_name: name,
            description: "",
            severity,
            target: Self::TARGET_DEFAULT,
            aliases: &[],
            count: None,
            fields,
            series_max: Self::SERIES_MAX_DEFAULT,
        }
    }
}

/// The static description of one field of an event.
#[derive(Debug, PartialEq)]
pub struct FieldDescriptor {
    /// The name in JSON and as an attribute.
    pub name: &'static str,
    /// What it means: the field's doc comment.
    pub description: &'static str,
    /// What it is for.
    pub role: Role,
    /// The unit of the metric, in UCUM as OpenTelemetry writes it (`s`, `By`, `{token}`), or empty. The value in
    /// the record of a [`FieldKind::Duration`] is in nanoseconds whatever the unit.
    pub unit: &'static str,
    /// What kind of value it holds.
    pub field_type: FieldKind,
    /// Other names under which the field is accepted on input.
    pub aliases: &'static [FieldAlias],
}

impl FieldDescriptor {
    /// The description of a field of an event that has no struct.
    pub const fn ad_hoc(name: &'static str) -> Self {
        Self {
            name,
            description: "",
            role: Role::Attribute,
            unit: "",
            field_type: FieldKind::Any,
            aliases: &[],
        }
    }
}

/// Another name for a field on input.
#[derive(Debug, PartialEq)]
pub struct FieldAlias {
    /// The name.
    pub name: &'static str,
    /// What a value under that name is multiplied by: 1000 for microseconds that become nanoseconds.
    pub times: u64,
}

/// What a field is for.
#[derive(Debug, PartialEq)]
pub enum Role {
    /// Splits the event's metrics into series. Of low cardinality.
    Label,
    /// Adds to a counter of this name.
    Counter {
        /// The metric's name, for example `gpu.cache.bytes`.
        metric: &'static str,
    },
    /// Sets a gauge of this name.
    Gauge {
        /// The metric's name.
        metric: &'static str,
    },
    /// Recorded in a histogram of this name. Durations are recorded in seconds.
    Histogram {
        /// The metric's name.
        metric: &'static str,
        /// Upper bounds in the metric's unit, or empty for an exponential histogram.
        bounds: &'static [f64],
    },
    /// Carried with the event only.
    Attribute,
}

/// Receives an event's fields.
pub struct Encoder<'a> {
    sink: &'a mut dyn Sink,
}

/// Object-safe face of [`FieldWriter`], so that derived code is not generic over where it writes.
trait Sink {
    fn field(&mut self, key: u16, value: FieldValue<'_>);
}

/// A value on its way into a record.
#[derive(Clone, Copy)]
pub(crate) enum FieldValue<'a> {
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Str(&'a str),
    U64s(&'a [u64]),
    Shapes(&'a [&'a [u64]]),
    Display(fmt::Arguments<'a>),
}

impl FieldValue<'_> {
    /// The two words of a number's field.
    pub(crate) fn one_word(&self, key: u16) -> Option<(u64, u64)> {
        match *self {
            FieldValue::I64(value) => one_word(key, ValueRef::I64(value)),
            FieldValue::U64(value) => one_word(key, ValueRef::U64(value)),
            FieldValue::F64(value) => one_word(key, ValueRef::F64(value)),
            _ => None,
        }
    }

    /// Appends the field to `words`, whole or not at all.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the kind of value is known where it is called, which removes the match"
    )]
    pub(crate) fn write<W: Words>(self, key: u16, words: &mut W) -> Result<(), Full> {
        let mut writer = FieldWriter(words);
        match self {
            FieldValue::Bool(value) => writer.bool(key, value),
            FieldValue::I64(value) => writer.i64(key, value),
            FieldValue::U64(value) => writer.u64(key, value),
            FieldValue::F64(value) => writer.f64(key, value),
            FieldValue::Str(value) => writer.text(key, value),
            FieldValue::U64s(value) => writer.u64s(key, value),
            FieldValue::Shapes(value) => writer.shapes(key, value),
            FieldValue::Display(value) => writer.display(key, value),
        }
    }
}

/// Writes to words, remembering whether everything fitted.
struct WordSink<'w, W: Words> {
    words: &'w mut W,
    full: bool,
}

impl<W: Words> Sink for WordSink<'_, W> {
    #[inline]
    fn field(&mut self, key: u16, value: FieldValue<'_>) {
        self.full |= value.write(key, self.words).is_err();
    }
}

/// Writes all fields of `event` to `words`.
pub(crate) fn encode<E: Event + ?Sized, W: Words>(event: &E, words: &mut W) -> Result<(), Full> {
    let mut sink = WordSink { words, full: false };
    event.encode(&mut Encoder { sink: &mut sink });
    if sink.full { Err(Full) } else { Ok(()) }
}

/// Writes `values` as the fields of their positions.
pub(crate) fn encode_values<W: Words>(
    values: &[&dyn EventValue],
    words: &mut W,
) -> Result<(), Full> {
    let mut sink = WordSink { words, full: false };
    for (index, value) in (0..).zip(values) {
        value.encode(index, &mut Encoder { sink: &mut sink });
    }
    if sink.full { Err(Full) } else { Ok(()) }
}

/// Writes `fields` with their names.
pub(crate) fn encode_named<W: Words>(
    fields: &[(&str, &dyn EventValue)],
    words: &mut W,
) -> Result<(), Full> {
    for (name, value) in fields {
        FieldWriter(words).name(name)?;
        let mut sink = WordSink { words, full: false };
        value.encode(KEY_INLINE, &mut Encoder { sink: &mut sink });
        if sink.full {
            return Err(Full);
        }
    }
    Ok(())
}

impl Encoder<'_> {
    /// Records the field at `index` of the descriptor. A field that has no value (`None`) is left out.
    #[inline]
    pub fn field<V: EventValue + ?Sized>(&mut self, index: u16, value: &V) {
        value.encode(index, self);
    }
}

/// A type that an event's field may have: integers, floats, `bool`, text, [`Duration`] (whole nanoseconds),
/// shapes (`[u64]`), several shapes (`[&[u64]]`), and `Option` or a reference of any of them.
#[diagnostic::on_unimplemented(
    message = "a field of an event cannot be a `{Self}`",
    label = "not a value that an event can hold",
    note = "fields are integers, floats, bool, text, Duration, shapes (`&[u64]`), or an Option or reference of these"
)]
pub trait EventValue {
    /// Hands the value to `encoder` under `index`, or nothing where there is no value.
    fn encode(&self, index: u16, encoder: &mut Encoder<'_>);
}

macro_rules! event_value {
    ($($type:ty => |$value:ident| $variant:ident($conversion:expr)),* $(,)?) => { $(
        impl EventValue for $type {
            #[inline]
            fn encode(&self, index: u16, encoder: &mut Encoder<'_>) {
                let $value = self;
                encoder.sink.field(index, FieldValue::$variant($conversion));
            }
        }
    )* };
}

event_value! {
    bool => |v| Bool(*v),
    i8 => |v| I64(i64::from(*v)), i16 => |v| I64(i64::from(*v)), i32 => |v| I64(i64::from(*v)), i64 => |v| I64(*v), isize => |v| I64(*v as i64),
    u8 => |v| U64(u64::from(*v)), u16 => |v| U64(u64::from(*v)), u32 => |v| U64(u64::from(*v)), u64 => |v| U64(*v), usize => |v| U64(*v as u64),
    f32 => |v| F64(f64::from(*v)), f64 => |v| F64(*v),
    str => |v| Str(v), String => |v| Str(v), std::borrow::Cow<'_, str> => |v| Str(v),
    [u64] => |v| U64s(v), Vec<u64> => |v| U64s(v), [&[u64]] => |v| Shapes(v), Vec<&[u64]> => |v| Shapes(v),
    // 2^64 nanoseconds are 584 years.
    Duration => |v| U64(v.as_nanos() as u64),
    fmt::Arguments<'_> => |v| Display(*v),
}

/// A launch grid: three counts, written as one list.
impl EventValue for (u32, u32, u32) {
    fn encode(&self, index: u16, encoder: &mut Encoder<'_>) {
        encoder.sink.field(
            index,
            FieldValue::U64s(&[u64::from(self.0), u64::from(self.1), u64::from(self.2)]),
        );
    }
}

impl<const N: usize> EventValue for [u64; N] {
    fn encode(&self, index: u16, encoder: &mut Encoder<'_>) {
        self.as_slice().encode(index, encoder);
    }
}

impl<V: EventValue + ?Sized> EventValue for &V {
    #[inline]
    fn encode(&self, index: u16, encoder: &mut Encoder<'_>) {
        (**self).encode(index, encoder);
    }
}

impl<V: EventValue> EventValue for Option<V> {
    #[inline]
    fn encode(&self, index: u16, encoder: &mut Encoder<'_>) {
        if let Some(value) = self {
            value.encode(index, encoder);
        }
    }
}
