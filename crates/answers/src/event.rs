//! Reading the typed events that answers are made from, the same way whether they come from a live batch or from a
//! recording.

use std::borrow::Cow;

use radiosonde_core::{
    Event, ValueRef,
    batch::EventRef,
    event::Descriptor,
    events::{LatencyEvent, MemoryEvent},
    model::{EventRecord, Value},
    provenance::Reading,
};

use crate::{latency::Phase, memory::Change};

const LATENCY: &Descriptor = <LatencyEvent<'static> as Event>::DESCRIPTOR;
pub(crate) const LATENCY_EVENT: &str = LATENCY.type_name;
const MEMORY_EVENT: &str = <MemoryEvent<'static> as Event>::DESCRIPTOR.type_name;

/// What an event means to the rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Update<'a> {
    /// A phase ended.
    Latency(Phase<'a>),
    /// Something happened to memory.
    Memory(Change<'a>),
}

/// The fields of both events; which ones are there depends on the kind.
#[derive(Default)]
struct Fields<'a> {
    kind: &'a str,
    path: &'a str,
    phase: &'a str,
    device: &'a str,
    component: &'a str,
    tensor: &'a str,
    reason: Option<&'a str>,
    step: u64,
    duration_ns: Option<u64>,
    used_bytes: Option<u64>,
    tensor_bytes: Option<u64>,
    reserved_bytes: Option<u64>,
    delta_bytes: Option<i64>,
    tokens: u64,
}

/// A field's value as either source holds it.
enum Scalar<'a> {
    Text(&'a str),
    Number(i128),
    Other,
}

impl<'a> From<ValueRef<'a>> for Scalar<'a> {
    fn from(value: ValueRef<'a>) -> Self {
        match value {
            ValueRef::Str(text) => Self::Text(text),
            ValueRef::U64(number) => Self::Number(number.into()),
            ValueRef::I64(number) => Self::Number(number.into()),
            _ => Self::Other,
        }
    }
}

impl<'a> From<&'a Value> for Scalar<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Str(text) => Self::Text(text),
            Value::U64(number) => Self::Number((*number).into()),
            Value::I64(number) => Self::Number((*number).into()),
            _ => Self::Other,
        }
    }
}

impl<'a> Scalar<'a> {
    fn text(&self) -> &'a str {
        if let Self::Text(text) = *self {
            text
        } else {
            ""
        }
    }

    fn number<N: TryFrom<i128>>(&self) -> Option<N> {
        if let Self::Number(number) = *self {
            number.try_into().ok()
        } else {
            None
        }
    }
}

impl<'a> Fields<'a> {
    fn read<S: Into<Scalar<'a>>>(fields: impl Iterator<Item = (&'a str, S)>) -> Self {
        let mut read = Self::default();
        for (name, value) in fields {
            let value: Scalar<'a> = value.into();
            match name {
                "kind" => read.kind = value.text(),
                "path" => read.path = value.text(),
                "phase" => read.phase = value.text(),
                "device" => read.device = value.text(),
                "component" => read.component = value.text(),
                "tensor" => read.tensor = value.text(),
                "reason" => read.reason = Some(value.text()),
                "step" => read.step = value.number().unwrap_or(0),
                "duration_ns" => read.duration_ns = value.number(),
                "used_bytes" => read.used_bytes = value.number(),
                "tensor_bytes" => read.tensor_bytes = value.number(),
                "reserved_bytes" => read.reserved_bytes = value.number(),
                "delta_bytes" => read.delta_bytes = value.number(),
                "tokens" => read.tokens = value.number().unwrap_or(0),
                _ => {}
            }
        }
        read
    }

    fn latency(&self) -> Option<Phase<'a>> {
        Some(Phase {
            step: self.step,
            path: self.path,
            duration_ns: self.duration_ns?,
        })
    }

    fn memory(&self) -> Option<Change<'a>> {
        let (device, component) = (Cow::Borrowed(self.device), Cow::Borrowed(self.component));
        let resident_bytes = || match (self.used_bytes, self.reason) {
            (Some(bytes), _) => Reading::measured(bytes),
            (None, reason) => Reading::unsupported(reason.unwrap_or("no reading").to_owned()),
        };
        let moved = || self.delta_bytes.map(i64::unsigned_abs);
        Some(match self.kind {
            "pool" => Change::Pool {
                device,
                pool: component,
                reserved_bytes: self.reserved_bytes,
                used_bytes: self.used_bytes?,
            },
            "allocated" => Change::Allocated {
                device,
                pool: component,
                bytes: moved()?,
            },
            "released" => Change::Released {
                device,
                pool: component,
                bytes: moved()?,
            },
            "kv_cache" => Change::KvCache {
                device,
                bytes: self.used_bytes?,
                tokens: self.tokens,
            },
            "phase" => Change::PhaseDelta {
                phase: Cow::Borrowed(self.phase),
                device,
                delta_bytes: self.delta_bytes?,
            },
            "baseline" => Change::Baseline {
                resident_bytes: resident_bytes(),
            },
            "resident" => Change::Resident {
                resident_bytes: resident_bytes(),
            },
            "weights" => Change::Weights {
                device,
                model: component,
                first_tensor: Cow::Borrowed(self.tensor),
                bytes: self.tensor_bytes?,
            },
            "tensor" => Change::Tensor {
                device,
                model: component,
                tensor: Cow::Borrowed(self.tensor),
                bytes: self.tensor_bytes?,
            },
            _ => return None,
        })
    }
}

fn update<'a, S: Into<Scalar<'a>>>(
    type_name: &str,
    fields: impl Iterator<Item = (&'a str, S)>,
) -> Option<Update<'a>> {
    match type_name {
        LATENCY_EVENT => Fields::read(fields).latency().map(Update::Latency),
        MEMORY_EVENT => Fields::read(fields).memory().map(Update::Memory),
        _ => None,
    }
}

/// What a live event means to the rows; `None` for other events and for ones that lack a number.
pub fn from_live<'a>(event: &EventRef<'a>) -> Option<Update<'a>> {
    let descriptor = event.descriptor();
    // The descriptor is nearly always the very same; a program may hold two copies of it.
    if std::ptr::eq(descriptor, LATENCY)
        || descriptor.name == LATENCY.name && descriptor.type_name == LATENCY.type_name
    {
        live_phase(event).map(Update::Latency)
    } else {
        update(descriptor.type_name, event.fields())
    }
}

/// A phase by the places of its fields: a model ends hundreds for each token.
fn live_phase<'a>(event: &EventRef<'a>) -> Option<Phase<'a>> {
    const PATH: usize = place_of("path");
    const STEP: usize = place_of("step");
    const DURATION: usize = place_of("duration_ns");
    let (mut path, mut step, mut duration_ns) = ("", 0, None);
    for (field, value) in event.described_fields() {
        match (field, value) {
            (PATH, ValueRef::Str(text)) => path = text,
            (STEP, ValueRef::U64(number)) => step = number,
            (DURATION, ValueRef::U64(number)) => duration_ns = Some(number),
            _ => {}
        }
    }
    Some(Phase {
        step,
        path,
        duration_ns: duration_ns?,
    })
}

/// The place of a latency event's field; past all of them where it has none of this name.
const fn place_of(name: &str) -> usize {
    let mut place = 0;
    while place < LATENCY.fields.len() && !is_same(LATENCY.fields[place].name, name) {
        place += 1;
    }
    place
}

/// `left == right`, before the program runs.
const fn is_same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut at = 0;
    while at < left.len() && at < right.len() && left[at] == right[at] {
        at += 1;
    }
    at == left.len() && at == right.len()
}

/// What a recorded event means to the rows; `None` for other events and for ones that lack a number.
pub fn from_record(event: &EventRecord) -> Option<Update<'_>> {
    let fields = event
        .data
        .iter()
        .map(|(name, value)| (name.as_ref(), value));
    update(&event.type_name, fields)
}
