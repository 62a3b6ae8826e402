//! `record!`, `event!`, `profile!`, `scope!` and `event_macro!`.
//!
//! `instrument!` is here, not at the root, because an attribute of that name is at the root and both live in one
//! namespace: `use radiosonde::macros::instrument`. At the root it is called `scope!`.
//!
//! What a macro makes may meet anything that the caller has in scope, so it names everything from `$crate`, calls
//! functions by path where a method of that name may be everybody's, and gives its own items and bindings names that
//! begin with `__rs`: items are not hygienic, and a binding whose name is a constant's is a comparison with it.

#[doc(inline)]
pub use crate::__scope as scope;
#[doc(inline)]
pub use crate::{__scope as instrument, event, event_macro, profile, record};

/// Records a typed event under the current span, if the filter lets it through.
///
/// The filter is asked first: when events of the type are off, nothing of the expression is evaluated.
///
/// ```
/// use std::time::Duration;
/// use radiosonde_core::{events::GpuDeviceSynchronized, record};
///
/// # fn expensive() -> Duration { panic!("nobody records here") }
/// record!(GpuDeviceSynchronized { device: "cuda:0", duration: expensive() });
/// ```
#[macro_export]
macro_rules! record {
    ($event:expr $(,)?) => {{
        static __RS_GATE: $crate::__private::Gate = $crate::__private::Gate::new();
        let __rs_probe = $crate::__private::Probe::new();
        if $crate::__private::Probe::is_open(&__rs_probe, &__RS_GATE) {
            match &$event {
                __rs_event => $crate::__private::Probe::record(&__rs_probe, __rs_event),
            }
        }
    }};
}

/// Records an event that no struct describes: a name and fields.
///
/// The name and the keys are fixed where it is written; values may be whatever an event's field may hold
/// ([`EventValue`](crate::event::EventValue)). The level is `Info` unless another
/// [`Severity`](crate::model::Severity) stands in front of the name. When the filter does not let the event through,
/// no value is evaluated.
///
/// ```
/// use radiosonde_core::event;
/// event!("cache.evicted", cache.name = "pipelines", bytes = 4096_u64);
/// event!(Warn, "queue.long", depth = 17_usize);
/// ```
#[macro_export]
macro_rules! event {
    ($name:literal $(, $($key:ident).+ = $value:expr)* $(,)?) => {
        $crate::event!(Info, $name $(, $($key).+ = $value)*)
    };
    ($severity:ident, $name:literal $(, $($key:ident).+ = $value:expr)* $(,)?) => {{
        static __RS_DESCRIPTOR: $crate::__private::Descriptor = $crate::__private::Descriptor::ad_hoc(
            $name,
            $crate::__private::Severity::$severity,
            const { &[$($crate::__private::FieldDescriptor::ad_hoc($crate::__key!($($key).+))),*] },
        );
        static __RS_GATE: $crate::__private::Gate = $crate::__private::Gate::new();
        if $crate::__private::Gate::is_open(&__RS_GATE, &__RS_DESCRIPTOR) {
            $crate::__private::record_values(
                &__RS_DESCRIPTOR,
                &[$(&$value as &dyn $crate::__private::EventValue),*],
            );
        }
    }};
}

/// `a.b.c` as one string, where `r#a` is `a`.
#[doc(hidden)]
#[macro_export]
macro_rules! __key {
    ($first:ident $(. $rest:ident)*) => {{
        const __RS_KEY: &$crate::__private::core::primitive::str = $crate::__private::core::concat!(
            $crate::__private::core::stringify!($first)
            $(, ".", $crate::__private::core::stringify!($rest))*
        );
        const __RS_PLAIN: &[$crate::__private::core::primitive::u8] =
            &$crate::macros::__plain::<{ $crate::macros::__plain_bytes(__RS_KEY) }>(__RS_KEY);
        match $crate::__private::core::str::from_utf8(__RS_PLAIN) {
            $crate::__private::core::result::Result::Ok(__rs_plain) => __rs_plain,
            $crate::__private::core::result::Result::Err(_) => __RS_KEY,
        }
    }};
}

/// How long `key` is without the prefixes of raw identifiers. No other `#` can be in it.
#[doc(hidden)]
pub const fn __plain_bytes(key: &str) -> usize {
    let (mut at, mut bytes) = (0, key.len());
    while at < key.len() {
        if key.as_bytes()[at] == b'#' {
            bytes -= 2;
        }
        at += 1;
    }
    bytes
}

/// `key` without the prefixes of raw identifiers.
#[doc(hidden)]
pub const fn __plain<const BYTES: usize>(key: &str) -> [u8; BYTES] {
    let key = key.as_bytes();
    let (mut plain, mut at, mut bytes) = ([0; BYTES], 0, 0);
    while at < key.len() {
        if at + 1 < key.len() && key[at + 1] == b'#' {
            at += 2;
            continue;
        }
        plain[bytes] = key[at];
        (at, bytes) = (at + 1, bytes + 1);
    }
    plain
}

/// Runs a block in a span of its own and gives back the block's value. `?`, `return` and `break` inside the block
/// mean what they mean without it.
///
/// ```
/// use radiosonde_core::profile;
/// let sum: u64 = profile!("sum", { (1..=10).sum() });
/// assert_eq!(sum, 55);
/// ```
///
/// The block may not contain `.await`, because a span that is entered on one thread must be left on it: annotate an
/// `async fn` with `#[instrument]` instead.
#[macro_export]
macro_rules! profile {
    ($name:expr, $($($key:ident).+ = $value:expr,)* $block:block $(,)?) => {{
        let __rs_span = $crate::__span!($name, $($($key).+ = $value),*);
        $block
    }};
}

/// Opens a span that is current until the end of the enclosing block.
///
/// Also called [`instrument!`](crate::macros::instrument). Fields are written as for `tracing`'s own macros.
///
/// ```
/// use radiosonde_core::macros::scope;
/// # fn step() {}
/// fn forward(block: u64) {
///     scope!("block", block, kind = "attention");
///     step(); // inside the span
/// }
/// # forward(3);
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __scope {
    ($name:expr $(, $($fields:tt)*)?) => {
        // The binding cannot meet one of the caller's, and the statement is the caller's, so the guard lives as long
        // as the caller's block.
        let __rs_span = $crate::__span!($name $(, $($fields)*)?);
    };
}

/// A span that is entered; none where recording is compiled out, so that nothing of it is in the program.
#[doc(hidden)]
#[macro_export]
macro_rules! __span {
    ($($span:tt)*) => {
        $crate::__private::entered(if $crate::__private::COMPILED_IN {
            $crate::__private::tracing::info_span!(target: $crate::__private::core::module_path!(), $($span)*)
        } else {
            $crate::__private::tracing::Span::none()
        })
    };
}

/// Defines an event and a macro that records it: one call is a span, a log, the event and its metrics.
///
/// The struct is one that `#[derive(Event)]` takes, without the derive. The macro takes the fields by name, in any
/// order. Given a block at the end, it runs the block inside the span and gives back its value; the event is
/// recorded when the block is done.
///
/// ```
/// radiosonde_core::event_macro! {
///     burst_info,
///     /// A burst of spikes was processed.
///     #[event(name = "neuro.burst")]
///     pub struct Burst {
///         /// Which burst.
///         pub burst_id: u64,
///         /// Neurons that fired.
///         #[measure(counter, unit = "{neuron}")]
///         pub neurons_fired: u64,
///         /// Synapses that were activated.
///         #[measure(counter, unit = "{synapse}")]
///         pub synapses_activated: u64,
///     }
/// }
///
/// burst_info!(burst_id = 42, neurons_fired = 1000, synapses_activated = 5000);
/// let spikes = burst_info!(burst_id = 43, neurons_fired = 1, synapses_activated = 2, { 3 });
/// assert_eq!(spikes, 3);
/// ```
#[macro_export]
macro_rules! event_macro {
    ($name:ident, $(#[$attribute:meta])* $visibility:vis struct $($definition:tt)*) => {
        $crate::__event_macro! { ($) $name, [$(#[$attribute])*] [$visibility] $($definition)* }
    };
}

/// `$d` is a dollar sign for the inner macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __event_macro {
    (($d:tt) $name:ident, [$($attribute:tt)*] [$visibility:vis] $event:ident $($definition:tt)*) => {
        #[derive($crate::Event)]
        $($attribute)*
        #[event(crate = $crate)]
        $visibility struct $event $($definition)*

        macro_rules! $name {
            ($d($d field:ident = $d value:expr),* $d(,)?) => {
                $name!($d($d field = $d value,)* {})
            };
            ($d($d field:ident = $d value:expr,)* $d block:block) => {{
                $d(let $d field = $d value;)*
                let __rs_span = $crate::__span!(
                    <$event as $crate::__private::Event>::DESCRIPTOR.name,
                    $d($d field = $crate::__shown!($d field)),*
                );
                match $d block {
                    __rs_value => {
                        if $crate::__private::COMPILED_IN {
                            $crate::__private::tracing::info!(
                                target: $crate::__private::core::module_path!(),
                                $d($d field = $crate::__shown!($d field),)*
                                "{}", <$event as $crate::__private::Event>::DESCRIPTOR.name,
                            );
                        }
                        $crate::record!($event { $d($d field),* });
                        __rs_value
                    }
                }
            }};
        }
    };
}

/// A value as a span's field: typed where `tracing` knows the type, else as `Debug`.
#[doc(hidden)]
#[macro_export]
macro_rules! __shown {
    ($value:expr) => {{
        use $crate::__private::show::*;
        (&&&$crate::__private::Shown(&$value)).__rs_shown()
    }};
}
