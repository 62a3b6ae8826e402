//! Handles: what a program keeps to measure with. Cloning one is cheap; measuring takes no lock, no allocation and no
//! atomic read-modify-write, from any number of threads.

use std::{fmt, marker::PhantomData, sync::Arc, sync::atomic::Ordering::Relaxed, time::Duration};

use super::{
    exemplar::{self, Origin},
    instrument::{Kind, Series, Store},
    shard::{self, NOBODY},
};
use crate::loss::{self, Lost};

mod sealed {
    use std::sync::Arc;

    use super::{Kind, Series};

    pub trait Handle {
        const KIND: Kind;
        #[doc(hidden)]
        fn new(series: Arc<Series>) -> Self;
    }

    pub trait Number: Copy {
        const KIND: Kind;
        const KIND_UP_DOWN: Kind;
        fn add_to(self, bits: u64) -> u64;
        fn is_amount(self) -> bool;
        fn is_finite(self) -> bool;
        fn as_f64(self) -> f64;
    }
}

/// A handle of some kind of metric: [`Counter`], [`UpDownCounter`], [`Gauge`] or [`Histogram`].
pub trait Handle: sealed::Handle {}

/// What counters count in: `u64`, `i64` or `f64`.
pub trait Number: sealed::Number {}

macro_rules! number {
    ($type:ty, $kind:ident, $up_down:ident, $add:expr, $is_amount:expr) => {
        impl sealed::Number for $type {
            const KIND: Kind = Kind::$kind;
            const KIND_UP_DOWN: Kind = Kind::$up_down;
            #[inline]
            fn add_to(self, bits: u64) -> u64 {
                $add(bits, self)
            }
            #[inline]
            fn is_amount(self) -> bool {
                $is_amount(self)
            }
            #[inline]
            fn is_finite(self) -> bool {
                self.as_f64().is_finite()
            }
            #[inline]
            fn as_f64(self) -> f64 {
                self as f64
            }
        }
        impl Number for $type {}
    };
}

number!(u64, CounterU64, UpDownCounterI64, u64::wrapping_add, |_| {
    true
});
number!(
    i64,
    CounterU64,
    UpDownCounterI64,
    u64::wrapping_add_signed,
    |amount| amount >= 0
);
number!(
    f64,
    CounterF64,
    UpDownCounterF64,
    |bits, amount: f64| (f64::from_bits(bits) + amount).to_bits(),
    |amount: f64| (0.0..f64::INFINITY).contains(&amount)
);

/// A total that only grows.
pub struct Counter<N = u64> {
    slot: u32,
    series: Arc<Series>,
    number: PhantomData<fn(N)>,
}

/// A total that goes up and down: things in flight, bytes in use.
pub struct UpDownCounter<N = i64> {
    slot: u32,
    series: Arc<Series>,
    number: PhantomData<fn(N)>,
}

/// A value that is set. The last write of any thread stands.
pub struct Gauge {
    series: Arc<Series>,
}

/// A distribution of measurements.
pub struct Histogram {
    slot: u32,
    series: Arc<Series>,
}

fn slot_of(series: &Series) -> u32 {
    match series.store {
        Store::Number(slot) | Store::Histogram { slot, .. } => slot,
        Store::Gauge(_) => NOBODY,
    }
}

macro_rules! handle {
    ([$($generics:tt)*] $handle:ty, $kind:expr, |$series:ident| $new:expr) => {
        impl<$($generics)*> sealed::Handle for $handle {
            const KIND: Kind = $kind;
            fn new($series: Arc<Series>) -> Self {
                $new
            }
        }
        impl<$($generics)*> Handle for $handle {}
        impl<$($generics)*> Clone for $handle {
            fn clone(&self) -> Self {
                sealed::Handle::new(Arc::clone(&self.series))
            }
        }
        impl<$($generics)*> fmt::Debug for $handle {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($handle))
                    .field("labels", &self.series.labels)
                    .finish_non_exhaustive()
            }
        }
    };
}

handle!([N: Number] Counter<N>, N::KIND, |series| Self {
    slot: slot_of(&series),
    series,
    number: PhantomData,
});
handle!([N: Number] UpDownCounter<N>, N::KIND_UP_DOWN, |series| Self {
    slot: slot_of(&series),
    series,
    number: PhantomData,
});
handle!([] Gauge, Kind::Gauge, |series| Self { series });
handle!([] Histogram, Kind::Histogram, |series| Self {
    slot: slot_of(&series),
    series,
});

impl<N: Number> Counter<N> {
    /// Adds `amount`. A negative amount, or one that is not a finite number, is refused and counted as
    /// [`Lost::InvalidMeasurement`].
    #[inline]
    pub fn add(&self, amount: N) {
        self.add_from(amount, exemplar::current);
    }

    #[inline]
    pub(super) fn add_from(&self, amount: N, origin: impl FnOnce() -> Option<Origin>) {
        if !crate::COMPILED_IN {
            return;
        }
        if !amount.is_amount() {
            return loss::count(Lost::InvalidMeasurement, 1);
        }
        shard::with(|shard| {
            let page = shard.number_page(self.slot);
            let number = page.number(self.slot);
            number.store(amount.add_to(number.load(Relaxed)), Relaxed);
            if page.is_armed(self.slot)
                && let Some(origin) = origin()
            {
                page.keep_exemplar(self.slot, amount.as_f64(), origin);
            }
        });
    }
}

impl Counter<u64> {
    /// Adds one.
    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }
}

impl<N: Number> UpDownCounter<N> {
    /// Adds `amount`, which may be negative. What is not a finite number is refused and counted as
    /// [`Lost::InvalidMeasurement`].
    #[inline]
    pub fn add(&self, amount: N) {
        if !crate::COMPILED_IN {
            return;
        }
        if !amount.is_finite() {
            return loss::count(Lost::InvalidMeasurement, 1);
        }
        shard::with(|shard| {
            let number = shard.number_page(self.slot).number(self.slot);
            number.store(amount.add_to(number.load(Relaxed)), Relaxed);
        });
    }
}

impl Gauge {
    /// Sets the value.
    #[inline]
    pub fn set(&self, value: f64) {
        if !crate::COMPILED_IN {
            return;
        }
        if let Store::Gauge(bits) = &self.series.store {
            bits.store(value.to_bits(), Relaxed);
        }
    }
}

impl Histogram {
    /// Records a measurement. What is not a finite number is refused and counted as [`Lost::InvalidMeasurement`].
    #[inline]
    pub fn record(&self, value: f64) {
        self.record_from(value, false, exemplar::current);
    }

    /// Records a measurement of work that failed: it becomes an exemplar whatever its size.
    #[inline]
    pub fn record_failed(&self, value: f64) {
        self.record_from(value, true, exemplar::current);
    }

    /// Records a duration in seconds.
    #[inline]
    pub fn record_duration(&self, duration: Duration) {
        self.record(duration.as_secs_f64());
    }

    #[inline]
    pub(super) fn record_from(
        &self,
        value: f64,
        failed: bool,
        origin: impl FnOnce() -> Option<Origin>,
    ) {
        if !crate::COMPILED_IN {
            return;
        }
        if let Store::Histogram { shape, .. } = &self.series.store {
            shard::with(|shard| {
                shard
                    .histogram(self.slot, shape)
                    .record(value, failed, origin);
            });
        }
    }
}
