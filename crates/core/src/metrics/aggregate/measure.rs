//! What one measurement of an event type becomes: the family of its metric, and a handle for each label set.

use crate::{
    event::{Descriptor, FieldDescriptor, FieldKind, Role},
    fields::ValueRef,
    loss::{self, Lost},
    metrics::{Counter, Family, Gauge, Histogram, Registry, exemplar::Origin},
};

#[derive(Debug)]
pub(super) struct Measure {
    pub(super) family: MeasureFamily,
    /// What a value is divided by: durations are recorded in nanoseconds.
    pub(super) divisor: f64,
}

#[derive(Debug)]
pub(super) enum MeasureFamily {
    Whole(Family<Counter>),
    Counter(Family<Counter<f64>>),
    Gauge(Family<Gauge>),
    Histogram(Family<Histogram>),
}

#[derive(Clone, Debug)]
pub(super) enum MeasureHandle {
    Whole(Counter),
    Counter(Counter<f64>),
    Gauge(Gauge),
    Histogram(Histogram),
}

impl Measure {
    pub(super) fn new(
        registry: &Registry,
        event: &'static Descriptor,
        field: &'static FieldDescriptor,
    ) -> Option<Self> {
        macro_rules! described {
            ($builder:expr) => {
                $builder
                    .unit(field.unit)
                    .description(field.description)
                    .series_max(event.series_max)
            };
        }
        let is_whole = matches!(
            field.field_type,
            FieldKind::U64 | FieldKind::I64 | FieldKind::Bool
        );
        let family = match field.role {
            Role::Counter { metric } if is_whole => {
                MeasureFamily::Whole(described!(registry.counter(metric)).build())
            }
            Role::Counter { metric } => {
                MeasureFamily::Counter(described!(registry.counter_f64(metric)).build())
            }
            Role::Gauge { metric } => {
                MeasureFamily::Gauge(described!(registry.gauge(metric)).build())
            }
            Role::Histogram { metric, bounds: [] } => {
                MeasureFamily::Histogram(described!(registry.histogram(metric)).build())
            }
            Role::Histogram { metric, bounds } => MeasureFamily::Histogram(
                described!(registry.histogram(metric))
                    .bounds(bounds)
                    .build(),
            ),
            Role::Label | Role::Attribute => return None,
        };
        let divisor = match (field.field_type, field.unit) {
            (FieldKind::Duration, "s") => 1e9,
            (FieldKind::Duration, "ms") => 1e6,
            (FieldKind::Duration, "us") => 1e3,
            (FieldKind::Duration, "min") => 60e9,
            (FieldKind::Duration, "h") => 3600e9,
            _ => 1.0,
        };
        Some(Self { family, divisor })
    }
}

impl MeasureFamily {
    pub(super) fn find(
        &self,
        labels: &[(&str, ValueRef<'_>)],
        measured_unix_ns: u64,
    ) -> (MeasureHandle, bool) {
        match self {
            Self::Whole(family) => {
                let (handle, overflowed) = family.find(labels, measured_unix_ns);
                (MeasureHandle::Whole(handle), overflowed)
            }
            Self::Counter(family) => {
                let (handle, overflowed) = family.find(labels, measured_unix_ns);
                (MeasureHandle::Counter(handle), overflowed)
            }
            Self::Gauge(family) => {
                let (handle, overflowed) = family.find(labels, measured_unix_ns);
                (MeasureHandle::Gauge(handle), overflowed)
            }
            Self::Histogram(family) => {
                let (handle, overflowed) = family.find(labels, measured_unix_ns);
                (MeasureHandle::Histogram(handle), overflowed)
            }
        }
    }
}

impl MeasureHandle {
    pub(super) fn measure(
        &self,
        value: ValueRef<'_>,
        divisor: f64,
        failed: bool,
        origin: impl FnOnce() -> Option<Origin>,
    ) {
        if let (Self::Whole(counter), Some(amount)) = (self, whole(value)) {
            return counter.add_from(amount, origin);
        }
        let Some(value) = number(value) else {
            return loss::count(Lost::InvalidMeasurement, 1);
        };
        let value = value / divisor;
        match self {
            // Not a whole number that is at least zero.
            Self::Whole(_) => loss::count(Lost::InvalidMeasurement, 1),
            Self::Counter(counter) => counter.add_from(value, origin),
            Self::Gauge(gauge) => gauge.set(value),
            Self::Histogram(histogram) => histogram.record_from(value, failed, origin),
        }
    }
}

fn whole(value: ValueRef<'_>) -> Option<u64> {
    match value {
        ValueRef::U64(value) => Some(value),
        ValueRef::I64(value) => u64::try_from(value).ok(),
        ValueRef::Bool(value) => Some(u64::from(value)),
        _ => None,
    }
}

fn number(value: ValueRef<'_>) -> Option<f64> {
    match value {
        ValueRef::U64(value) => Some(value as f64),
        ValueRef::I64(value) => Some(value as f64),
        ValueRef::F64(value) => Some(value),
        ValueRef::Bool(value) => Some(f64::from(u8::from(value))),
        _ => None,
    }
}
