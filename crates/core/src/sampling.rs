//! Head sampling: whether a trace is recorded, decided where it begins and the same in every service.
//!
//! The decision compares the lower 56 bits of the trace ID with a threshold (OpenTelemetry, "Probability sampling in
//! tracestate", consistent probability sampling), so that two services with the same ratio keep the same traces, and a
//! service with a higher ratio keeps all of a lower one's. It is a pure function; this module's only state is which
//! sampler the process uses.
//!
//! A root span's field `sampling.priority` overrides the decision: `1` or `true` keeps the trace, `0` or `false` drops
//! it.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use crate::{ids::TraceId, propagation::TRACE_STATE_MEMBERS_MAX};

/// The trace ID's bits that W3C trace context level 2 promises to be random.
const RANDOM_BITS: u64 = (1 << 56) - 1;
/// Hexadecimal digits of a threshold that is written out.
const THRESHOLD_DIGITS: usize = 14;
/// OpenTelemetry's member of a W3C trace state, and its sub-key with a threshold.
const MEMBER: &str = "ot=";
const SUB_KEY: &str = "th:";
/// The threshold that no 56-bit value reaches.
const KEEPS_NONE: u64 = 1 << 56;

static THRESHOLD: AtomicU64 = AtomicU64::new(0);
static PARENT_BASED: AtomicBool = AtomicBool::new(true);

/// The share of traces that is kept, as the smallest value of a trace ID's lower 56 bits that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Threshold(u64);

/// A sampling ratio was not a number from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatioError(f64);

impl fmt::Display for RatioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sampling ratio {} is out of range; give a number from 0 (nothing) to 1 (everything)",
            self.0
        )
    }
}

impl std::error::Error for RatioError {}

impl Threshold {
    /// Every trace is kept.
    pub const ALL: Self = Self(0);
    /// No trace is kept.
    pub const NONE: Self = Self(KEEPS_NONE);

    /// The threshold that keeps `ratio` of all traces: (1 - ratio) x 2^56, rounded.
    pub fn from_ratio(ratio: f64) -> Result<Self, RatioError> {
        if (0.0..=1.0).contains(&ratio) {
            Ok(Self(((1.0 - ratio) * KEEPS_NONE as f64).round() as u64))
        } else {
            Err(RatioError(ratio))
        }
    }

    /// The threshold by which somebody upstream kept a trace, as its W3C trace state says it: the sub-key `th` of `ot`, up to
    /// 14 hexadecimal digits of which those that are not written are zeros (OpenTelemetry, "Probability sampling in
    /// tracestate"). `None` where nobody said, or what is said is no threshold.
    pub fn from_trace_state(trace_state: &str) -> Option<Self> {
        let mut members = trace_state.split(',').map(str::trim);
        let ours = members.find_map(|member| member.strip_prefix(MEMBER))?;
        let digits = ours
            .split(';')
            .find_map(|part| part.strip_prefix(SUB_KEY))?;
        let is_plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if digits.is_empty() || digits.len() > THRESHOLD_DIGITS || !is_plain {
            return None;
        }
        let value = u64::from_str_radix(digits, 16).ok()?;
        Some(Self(value << (4 * (THRESHOLD_DIGITS - digits.len()))))
    }

    /// The threshold by which each kept trace stands for `count`, which is 1 at least; to within one in 2^56 of the share. `None`
    /// where `count` is no such number.
    pub fn from_adjusted_count(count: f64) -> Option<Self> {
        if !count.is_finite() || count < 1.0 {
            return None;
        }
        // What stands for more than all of the values there are is kept by the last of them.
        let kept = ((KEEPS_NONE as f64 / count).round() as u64).max(1);
        Some(Self(KEEPS_NONE - kept))
    }

    /// `trace_state` with this threshold in place of what it says of one, as [`Threshold::from_trace_state`] reads it. Our member
    /// is the first, as is prescribed for one that was changed, and of others the first 31 stay (W3C trace context, 3.3.1).
    pub fn in_trace_state(self, trace_state: &str) -> String {
        let members = trace_state.split(',').map(str::trim);
        let (ours, others): (Vec<&str>, Vec<&str>) = members
            .filter(|member| !member.is_empty())
            .partition(|member| member.starts_with(MEMBER));
        let ours = ours.first().and_then(|member| member.strip_prefix(MEMBER));
        let kept = ours
            .into_iter()
            .flat_map(|ours| ours.split(';'))
            .filter(|part| !part.is_empty() && !part.starts_with(SUB_KEY));
        let digits = format!("{:0width$x}", self.0, width = THRESHOLD_DIGITS);
        let digits = match digits.trim_end_matches('0') {
            "" => "0",
            digits => digits,
        };
        let parts: Vec<String> = std::iter::once(format!("{SUB_KEY}{digits}"))
            .chain(kept.map(str::to_owned))
            .collect();
        let member = format!("{MEMBER}{}", parts.join(";"));
        let others = others.into_iter().take(TRACE_STATE_MEMBERS_MAX - 1);
        std::iter::once(member.as_str())
            .chain(others)
            .collect::<Vec<_>>()
            .join(",")
    }

    /// The share of traces that is kept.
    pub fn ratio(self) -> f64 {
        (KEEPS_NONE - self.0) as f64 / KEEPS_NONE as f64
    }

    /// How many traces each kept one stands for; 0 when none is kept.
    pub fn adjusted_count(self) -> f64 {
        if self == Self::NONE {
            0.0
        } else {
            KEEPS_NONE as f64 / (KEEPS_NONE - self.0) as f64
        }
    }

    /// Whether the trace is kept.
    #[inline]
    pub const fn keeps(self, trace_id: TraceId) -> bool {
        trace_id.words().1 & RANDOM_BITS >= self.0
    }
}

/// How it is decided whether a trace is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampler {
    /// Every trace, whatever a caller decided.
    AlwaysOn,
    /// No trace, whatever a caller decided.
    AlwaysOff,
    /// Some traces by their IDs, whatever a caller decided.
    Ratio(Threshold),
    /// What the caller decided; by trace ID where there is no caller, or it left the decision open.
    ParentBased(Threshold),
}

impl Default for Sampler {
    /// What the caller decided, and every trace that begins here.
    fn default() -> Self {
        Self::ParentBased(Threshold::ALL)
    }
}

impl Sampler {
    /// The threshold for traces that begin here.
    pub const fn threshold(self) -> Threshold {
        match self {
            Self::AlwaysOn => Threshold::ALL,
            Self::AlwaysOff => Threshold::NONE,
            Self::Ratio(threshold) | Self::ParentBased(threshold) => threshold,
        }
    }

    /// Whether the trace is recorded. `caller` is what the caller in another process decided, `priority` what
    /// `sampling.priority` says; both `None` where nothing was said.
    pub fn decide(self, trace_id: TraceId, caller: Option<bool>, priority: Option<bool>) -> bool {
        let caller = caller.filter(|_| matches!(self, Self::ParentBased(_)));
        priority
            .or(caller)
            .unwrap_or_else(|| self.threshold().keeps(trace_id))
    }
}

/// Makes `sampler` the process's sampler for traces that begin or arrive from now on.
pub fn set(sampler: Sampler) {
    THRESHOLD.store(sampler.threshold().0, Relaxed);
    PARENT_BASED.store(matches!(sampler, Sampler::ParentBased(_)), Relaxed);
}

/// The process's sampler. `AlwaysOn` and `AlwaysOff` read back as the [`Sampler::Ratio`] that means the same.
pub fn current() -> Sampler {
    let threshold = Threshold(THRESHOLD.load(Relaxed));
    if PARENT_BASED.load(Relaxed) {
        Sampler::ParentBased(threshold)
    } else {
        Sampler::Ratio(threshold)
    }
}

/// Whether a trace that begins here and whose ID ends in `low` is recorded.
#[inline]
pub(crate) fn keeps(low: u64) -> bool {
    low & RANDOM_BITS >= THRESHOLD.load(Relaxed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_services_keep_the_same_traces() {
        let frontend = Sampler::Ratio(Threshold::from_ratio(0.25).unwrap());
        let backend = Sampler::ParentBased(Threshold::from_ratio(0.25).unwrap());
        let generous = Sampler::Ratio(Threshold::from_ratio(0.5).unwrap());
        let mut kept = 0;
        // A Weyl sequence spreads evenly, so the share is exact to within a few of the 10,000.
        for step in 1..=10_000_u64 {
            let low = step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let trace = TraceId::from_words(step, low).unwrap();
            let decided = frontend.decide(trace, None, None);
            assert_eq!(decided, backend.decide(trace, None, None), "both begin it");
            assert_eq!(
                decided,
                backend.decide(trace, Some(decided), None),
                "one calls the other"
            );
            assert!(
                !decided || generous.decide(trace, None, None),
                "a higher ratio keeps more"
            );
            kept += usize::from(decided);
        }
        assert!((2_450..=2_550).contains(&kept), "{kept}");
    }

    #[test]
    fn parents_and_priorities_override() {
        let trace = TraceId::new(1).unwrap();
        let off = Sampler::ParentBased(Threshold::NONE);
        assert!(!off.decide(trace, None, None));
        assert!(off.decide(trace, Some(true), None));
        assert!(!off.decide(trace, Some(true), Some(false)));
        assert!(Sampler::AlwaysOff.decide(trace, None, Some(true)));
        assert!(!Sampler::AlwaysOff.decide(trace, Some(true), None));
        assert!(Sampler::AlwaysOn.decide(trace, Some(false), None));
        assert!(Sampler::default().decide(trace, None, None));
    }

    #[test]
    fn thresholds_are_what_opentelemetry_prescribes() {
        let threshold = |ratio| Threshold::from_ratio(ratio).unwrap();
        assert_eq!(threshold(1.0), Threshold::ALL);
        assert_eq!(threshold(0.0), Threshold::NONE);
        assert_eq!(threshold(0.5).0, 0x80_0000_0000_0000);
        assert_eq!(threshold(0.25).0, 0xc0_0000_0000_0000);
        assert!((threshold(0.1).adjusted_count() - 10.0).abs() < 1e-9);
        assert!(Threshold::NONE.adjusted_count().abs() < f64::EPSILON);
        assert_eq!(
            Threshold::from_ratio(1.5).unwrap_err().to_string(),
            "sampling ratio 1.5 is out of range; give a number from 0 (nothing) to 1 (everything)"
        );
        assert!(Threshold::from_ratio(f64::NAN).is_err());
    }

    #[test]
    fn a_trace_state_tells_what_was_kept() {
        let told = |state| Threshold::from_trace_state(state).map(Threshold::adjusted_count);
        assert_eq!(told("ot=th:8"), Some(2.0));
        assert_eq!(told("vendor=a, ot=rv:ab;th:c0 ,other=th:8"), Some(4.0));
        assert_eq!(told("ot=th:0"), Some(1.0));
        assert!(told("ot=th:ffffffffffffff").is_some_and(f64::is_finite));
        for state in [
            "",
            "ot=",
            "ot=rv:8",
            "ot=th:",
            "ot=th:x",
            "ot=th:+8",
            "ot=th:800000000000000",
            "th:8",
        ] {
            assert_eq!(told(state), None, "{state}");
        }
    }

    #[test]
    fn a_count_is_told_beside_what_else_a_trace_state_says() {
        let told = |count, state: &str| {
            Threshold::from_adjusted_count(count).map(|threshold| threshold.in_trace_state(state))
        };
        let said = |state: &str| Some(state.to_owned());
        assert_eq!(told(1.0, ""), said("ot=th:0"));
        assert_eq!(told(2.0, ""), said("ot=th:8"));
        assert_eq!(
            told(4.0, "vendor=a, ot=rv:ab;th:8;x:1 ,other=th:8"),
            said("ot=th:c;rv:ab;x:1,vendor=a,other=th:8")
        );
        for count in [1.5, 20.0, 1e3, 4.2e6] {
            let state = told(count, "ot=th:1").unwrap();
            let read = Threshold::from_trace_state(&state).map(Threshold::adjusted_count);
            let error = (read.unwrap() / count - 1.0).abs();
            assert!(error < 1e-9, "{state}: {error}");
        }
        let last = told(f64::MAX, "").unwrap();
        assert!(Threshold::from_trace_state(&last).is_some_and(|last| last != Threshold::NONE));
        for count in [0.0, 0.5, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(told(count, ""), None, "{count}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 64 }))]
        #[test]
        fn a_ratio_reads_back_and_only_the_random_bits_count(
            ratio in 0.0..=1.0_f64, high in any::<u64>(), low in 1..u64::MAX, top in any::<u8>(),
        ) {
            let threshold = Threshold::from_ratio(ratio).unwrap();
            prop_assert!((threshold.ratio() - ratio).abs() < 1e-15);
            let trace = |low| TraceId::from_words(high | 1, low).unwrap();
            let other = low & RANDOM_BITS | u64::from(top) << 56;
            prop_assert_eq!(threshold.keeps(trace(low)), threshold.keeps(trace(other)));
        }
    }
}
