//! Time: cheap ticks at the caller, nanoseconds since the Unix epoch at the pump.
//!
//! Ticks are the processor's invariant time-stamp counter where there is one, else `std`'s monotonic clock in
//! nanoseconds. The pump keeps a piecewise linear function from ticks to Unix time. Invariants:
//! - The function is continuous and never falls, and a point of it never changes once a record was converted with it.
//!   So a child that started after its parent is shown so.
//! - A new segment starts where the last one ends and is tilted so that it meets the true time one interval later.
//!   The error is therefore at most the error of reading one anchor plus [`RATE_ERROR_MAX`] of an interval.
//! - The wall clock may be stepped; the function follows the monotonic clock and takes a step over only when it is
//!   larger than [`STEP_NS`]. Then alone it jumps, and may fall. A span that was open meanwhile keeps its true duration,
//!   so its end is not where a log of the same moment is; [`steps`] tells of it.

use std::{
    collections::VecDeque,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// Longest time between two anchors.
pub const ANCHOR_INTERVAL_NS: u64 = 1_000_000_000;
/// How much faster or slower than the last segment the next one may be: clocks are disciplined by at most 500 parts
/// per million (adjtimex), and the rest bounds what a disturbed anchor can do.
pub const RATE_ERROR_MAX: f64 = 0.001;
/// A wall clock that differs by more than this was stepped.
pub const STEP_NS: u64 = 500_000_000;
/// Segments kept for spans that started long ago: over two hours.
const SEGMENTS_MAX: usize = 8192;

static COUNTER: AtomicBool = AtomicBool::new(false);
static BASE: OnceLock<Instant> = OnceLock::new();
static STEPS: AtomicU64 = AtomicU64::new(0);
static STEPPED_NS: AtomicI64 = AtomicI64::new(0);

/// How often the wall clock was found to be stepped by more than [`STEP_NS`] while recording, and by how many
/// nanoseconds altogether.
pub fn steps() -> (u64, i64) {
    (STEPS.load(Relaxed), STEPPED_NS.load(Relaxed))
}

/// Chooses the source of ticks. Called before the first lane exists.
pub(crate) fn init() {
    BASE.get_or_init(|| {
        COUNTER.store(invariant_counter(), Relaxed);
        Instant::now()
    });
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn invariant_counter() -> bool {
    use std::arch::x86_64::__cpuid;
    // Leaf 0x8000_0007, EDX bit 8: "TSC invariant" (Intel SDM volume 3, 19.17.4; AMD APM volume 3, E.4.7).
    __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & (1 << 8) != 0
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
fn invariant_counter() -> bool {
    false
}

/// The current tick.
#[inline]
pub(crate) fn ticks() -> u64 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if COUNTER.load(Relaxed) {
        // SAFETY: every x86-64 processor has `rdtsc`, and Linux, macOS and Windows allow it in user mode.
        return unsafe { std::arch::x86_64::_rdtsc() };
    }
    monotonic_ns()
}

/// Nanoseconds since the clock was chosen.
fn monotonic_ns() -> u64 {
    BASE.get()
        .map_or(0, |base| base.elapsed().as_nanos() as u64)
}

/// Processor time that the calling thread has used, in nanoseconds; `None` where the system does not say. A system
/// call of about 200 ns, so only on request.
#[cfg(all(unix, not(miri)))]
pub(crate) fn thread_cpu_ns() -> Option<u64> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid `timespec` to write to.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    (status == 0).then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

#[cfg(not(all(unix, not(miri))))]
pub(crate) fn thread_cpu_ns() -> Option<u64> {
    None
}

/// The wall clock, in nanoseconds since the Unix epoch.
pub fn now_unix_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_nanos() as u64)
}

/// What the monotonic clock said at a tick.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    ticks: u64,
    monotonic_ns: u64,
}

impl Anchor {
    /// Reads both clocks as close together as a few tries allow.
    fn read() -> Self {
        let mut best = (
            u64::MAX,
            Self {
                ticks: 0,
                monotonic_ns: 0,
            },
        );
        for _ in 0..5 {
            let before = ticks();
            let monotonic_ns = monotonic_ns();
            let after = ticks();
            let width = after.saturating_sub(before);
            if width < best.0 {
                best = (
                    width,
                    Self {
                        ticks: before + width / 2,
                        monotonic_ns,
                    },
                );
            }
        }
        best.1
    }
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    ticks: u64,
    unix_ns: u64,
    ns_per_tick: f64,
    /// By how much the wall clock was stepped until here.
    stepped_ns: i64,
}

impl Segment {
    #[inline]
    fn at(&self, ticks: u64) -> u64 {
        if ticks >= self.ticks {
            self.unix_ns + ((ticks - self.ticks) as f64 * self.ns_per_tick) as u64
        } else {
            self.unix_ns
                .saturating_sub(((self.ticks - ticks) as f64 * self.ns_per_tick) as u64)
        }
    }
}

/// Converts ticks. Owned by the pump.
#[derive(Debug)]
pub(crate) struct Clock {
    /// From oldest to newest; never empty.
    segments: VecDeque<Segment>,
    last: Segment,
    /// Where the wall clock was stepped last.
    step_ticks: u64,
    anchor: Anchor,
    /// Unix time minus monotonic time.
    offset_ns: u64,
    interval_ns: u64,
}

impl Clock {
    /// Takes two anchors a millisecond apart.
    pub(crate) fn start() -> Self {
        init();
        let first = Anchor::read();
        let offset_ns = now_unix_ns().saturating_sub(first.monotonic_ns);
        std::thread::sleep(std::time::Duration::from_millis(1));
        let second = Anchor::read();
        let ticks = second.ticks.saturating_sub(first.ticks).max(1);
        let ns_per_tick = (second.monotonic_ns - first.monotonic_ns) as f64 / ticks as f64;
        let last = Segment {
            ticks: first.ticks,
            unix_ns: first.monotonic_ns + offset_ns,
            ns_per_tick,
            stepped_ns: 0,
        };
        Self {
            segments: VecDeque::from([last]),
            last,
            step_ticks: 0,
            anchor: second,
            offset_ns,
            interval_ns: 2_000_000,
        }
    }

    /// Unix time of `ticks`, in nanoseconds.
    #[inline]
    pub(crate) fn unix_ns(&self, ticks: u64) -> u64 {
        if ticks >= self.last.ticks {
            self.last.at(ticks)
        } else {
            self.earlier(ticks)
        }
    }

    /// Unix times of a span's start and end, in nanoseconds. Their difference is the time that passed, also where the
    /// wall clock was stepped in between.
    #[inline]
    pub(crate) fn span_unix_ns(&self, start: u64, end: u64) -> (u64, u64) {
        let (start_unix_ns, end_unix_ns) = (self.unix_ns(start), self.unix_ns(end));
        if start >= self.step_ticks || end < start {
            return (start_unix_ns, end_unix_ns);
        }
        let stepped = self.segment(end).stepped_ns - self.segment(start).stepped_ns;
        (start_unix_ns, end_unix_ns.saturating_add_signed(-stepped))
    }

    #[cold]
    fn earlier(&self, ticks: u64) -> u64 {
        self.segment(ticks).at(ticks)
    }

    fn segment(&self, ticks: u64) -> Segment {
        let after = self
            .segments
            .partition_point(|segment| segment.ticks <= ticks);
        self.segments[after.saturating_sub(1)]
    }

    /// Takes a new anchor when it is time. Every tick converted before must be in the past.
    pub(crate) fn refresh(&mut self) {
        if self
            .unix_ns(ticks())
            .saturating_sub(self.anchor.monotonic_ns + self.offset_ns)
            >= self.interval_ns
        {
            self.bend(Anchor::read());
        }
    }

    fn bend(&mut self, anchor: Anchor) {
        let elapsed_ns = anchor.monotonic_ns.saturating_sub(self.anchor.monotonic_ns);
        let elapsed_ticks = anchor.ticks.saturating_sub(self.anchor.ticks);
        if elapsed_ns == 0 || elapsed_ticks == 0 {
            return;
        }
        self.interval_ns = (self.interval_ns * 2).min(ANCHOR_INTERVAL_NS);
        let wall = now_unix_ns();
        if wall.abs_diff(anchor.monotonic_ns + self.offset_ns) > STEP_NS {
            self.offset_ns = wall.saturating_sub(anchor.monotonic_ns);
        }
        let start = self.last.at(anchor.ticks);
        let truth = anchor.monotonic_ns + self.offset_ns;
        let rate = elapsed_ns as f64 / elapsed_ticks as f64;
        let mut next = Segment {
            ticks: anchor.ticks,
            unix_ns: start,
            ns_per_tick: rate,
            stepped_ns: self.last.stepped_ns,
        };
        if truth.abs_diff(start) > STEP_NS {
            let step = truth.wrapping_sub(start).cast_signed();
            next.unix_ns = truth;
            next.stepped_ns += step;
            self.step_ticks = anchor.ticks;
            STEPS.fetch_add(1, Relaxed);
            STEPPED_NS.fetch_add(step, Relaxed);
        } else {
            // Meet the true time at the end of the next interval.
            let error_ns = truth as i64 - start as i64;
            let tilt =
                (error_ns as f64 / self.interval_ns as f64).clamp(-RATE_ERROR_MAX, RATE_ERROR_MAX);
            next.ns_per_tick = rate * (1.0 + tilt);
        }
        if self.segments.len() == SEGMENTS_MAX {
            self.segments.pop_front();
        }
        self.segments.push_back(next);
        self.last = next;
        self.anchor = anchor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(segment: Segment, anchor: Anchor) -> Clock {
        Clock {
            segments: VecDeque::from([segment]),
            last: segment,
            step_ticks: 0,
            anchor,
            offset_ns: 1_000_000_000_000,
            interval_ns: 1_000_000,
        }
    }

    #[test]
    fn a_bent_clock_stays_continuous_rises_and_meets_the_truth() {
        init();
        // Two ticks a nanosecond, read 400 ns late: the first rate is wrong by 0.04 %.
        let segment = Segment {
            ticks: 1000,
            unix_ns: now_unix_ns(),
            ns_per_tick: 0.5002,
            stepped_ns: 0,
        };
        let offset = segment.unix_ns - 500;
        let mut clock = clock(
            segment,
            Anchor {
                ticks: 1000,
                monotonic_ns: 500,
            },
        );
        clock.offset_ns = offset;
        for step in 1..200_u64 {
            let ticks = 1000 + step * 4_000_000;
            let before = clock.unix_ns(ticks);
            clock.bend(Anchor {
                ticks,
                monotonic_ns: 500 + step * 2_000_000,
            });
            assert_eq!(clock.unix_ns(ticks), before, "a converted time changed");
            assert!(clock.unix_ns(ticks + 10) >= before);
            assert_eq!(clock.unix_ns(1000), segment.unix_ns);
        }
        let ticks = 1000 + 199 * 4_000_000;
        let error = clock
            .unix_ns(ticks)
            .abs_diff(offset + 500 + 199 * 2_000_000);
        assert!(error < 2_000, "{error} ns off");
    }

    #[test]
    fn a_stepped_wall_clock_is_taken_over() {
        init();
        let segment = Segment {
            ticks: 0,
            unix_ns: 1_000_000_000_000,
            ns_per_tick: 1.0,
            stepped_ns: 0,
        };
        let mut clock = clock(
            segment,
            Anchor {
                ticks: 0,
                monotonic_ns: 0,
            },
        );
        clock.bend(Anchor {
            ticks: 2_000_000,
            monotonic_ns: 2_000_000,
        });
        assert!(clock.unix_ns(2_000_000).abs_diff(now_unix_ns()) < STEP_NS);
        assert_eq!(
            clock.unix_ns(1_999_999),
            1_000_001_999_999,
            "the past keeps its times"
        );
        let (start, end) = clock.span_unix_ns(1_000_000, 5_000_000);
        assert_eq!((start, end - start), (1_000_001_000_000, 4_000_000));
        let (start, end) = clock.span_unix_ns(500, 600);
        assert_eq!((start, end), (1_000_000_000_500, 1_000_000_000_600));
        let (start, end) = clock.span_unix_ns(2_000_000, 2_000_100);
        assert!(start.abs_diff(now_unix_ns()) < STEP_NS);
        assert_eq!(end - start, 100);
        assert!(steps().0 > 0);
    }

    #[test]
    fn the_real_clock_agrees_with_the_system() {
        let clock = Clock::start();
        let times: Vec<u64> = (0..100).map(|_| clock.unix_ns(ticks())).collect();
        assert!(times.is_sorted());
        assert!(times[99].abs_diff(now_unix_ns()) < STEP_NS);
    }
}
