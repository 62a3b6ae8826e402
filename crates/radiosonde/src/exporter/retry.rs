//! When to try again: exponential backoff with full jitter, and what a server says in `Retry-After`.

use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::encode::time::{Date, days_from_civil};

/// First delay before jitter.
pub const DELAY_MIN: Duration = Duration::from_millis(500);
/// Longest delay before jitter.
pub const DELAY_MAX: Duration = Duration::from_secs(30);
/// Longest wait that a server may ask for; more is cut to it.
pub const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);

/// Delays that double with every failure, each drawn evenly from zero to the current limit ("full jitter", AWS
/// Architecture Blog, Exponential Backoff And Jitter, 2015), so that many clients do not come back together.
#[derive(Debug)]
pub struct Backoff {
    limit: Duration,
    delay_min: Duration,
    delay_max: Duration,
    /// State of a linear congruential generator: jitter needs to differ between processes, not to be secret.
    random: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(DELAY_MIN, DELAY_MAX)
    }
}

impl Backoff {
    /// Delays up to `delay_min` at first and up to `delay_max` at last.
    pub fn new(delay_min: Duration, delay_max: Duration) -> Self {
        Self {
            limit: delay_min,
            delay_min,
            delay_max,
            random: RandomState::new().hash_one(0),
        }
    }

    /// How long to wait after another failure; at least as long as the server asked for.
    pub fn next(&mut self, retry_after: Option<Duration>) -> Duration {
        // Knuth, The Art of Computer Programming 3.3.4, MMIX's multiplier; the upper bits are the random ones.
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let share = (self.random >> 11) as f64 / (1_u64 << 53) as f64;
        let delay = self.limit.mul_f64(share);
        self.limit = self.limit.saturating_mul(2).min(self.delay_max);
        match retry_after {
            // Jitter on top: others were told the same moment.
            Some(asked) => asked.min(RETRY_AFTER_MAX) + delay.min(DELAY_MIN),
            None => delay,
        }
    }

    /// The destination answered: start over.
    pub fn reset(&mut self) {
        self.limit = self.delay_min;
    }
}

/// The wait that a `Retry-After` header asks for: seconds, or an HTTP date (RFC 9110, sections 5.6.7 and 10.2.3).
/// A date that is past asks for no wait; what is neither is `None`.
pub fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        // What is no number for its length is longer than any wait.
        return Some(Duration::from_secs(header.parse().unwrap_or(u64::MAX)));
    }
    let at = http_date_unix_s(header)?;
    let now = now.duration_since(UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(at).saturating_sub(now))
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Seconds since the Unix epoch of an IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT`, the only form that servers may
/// send.
pub(super) fn http_date_unix_s(text: &str) -> Option<u64> {
    let mut parts = text.split_once(", ")?.1.split(' ');
    let day: u32 = parts.next()?.parse().ok()?;
    let month = parts.next()?;
    let month = MONTHS.iter().position(|&name| name == month)? as u32 + 1;
    let year: u32 = parts.next()?.parse().ok()?;
    let mut clock = parts.next()?.splitn(3, ':').map(str::parse::<u64>);
    let (hour, minute, second) = (
        clock.next()?.ok()?,
        clock.next()?.ok()?,
        clock.next()?.ok()?,
    );
    if parts.next() != Some("GMT") || !(1970..10_000).contains(&year) || !(1..=31).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_from_civil(Date { year, month, day })?;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_limit_and_differ() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(8));
        for limit in [1, 2, 4, 8, 8, 8] {
            assert!(backoff.next(None) <= Duration::from_secs(limit));
        }
        let delays: Vec<_> = (0..20).map(|_| backoff.next(None)).collect();
        assert!(delays.windows(2).any(|pair| pair[0] != pair[1]));
        assert!(delays.iter().any(|&delay| delay > Duration::from_secs(1)));
        backoff.reset();
        assert!(backoff.next(None) <= Duration::from_secs(1));
        let asked = backoff.next(Some(Duration::from_secs(20)));
        assert!((20.0..=20.5).contains(&asked.as_secs_f64()), "{asked:?}");
        assert!(backoff.next(Some(Duration::MAX)) <= RETRY_AFTER_MAX + DELAY_MIN);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_770);
        let after = |text: &str| retry_after(text, now).map(|wait| wait.as_secs());
        assert_eq!(after(" 120 "), Some(120));
        assert_eq!(after("4294967296"), Some(4_294_967_296));
        assert_eq!(after(&"9".repeat(30)), Some(u64::MAX));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(7));
        assert_eq!(after("Sat, 05 Nov 1994 08:49:37 GMT"), Some(0));
        assert_eq!(
            after("Thu, 29 Feb 2024 00:00:00 GMT"),
            Some(1_709_164_800 - 784_111_770)
        );
        for text in [
            "",
            "-1",
            "+1",
            "1.5",
            "soon",
            "Sun, 06 Nov 1994",
            "Sun, 06 Nov 1994 25:00:00 GMT",
            "Sun, 99 Foo 1994 08:49:37 GMT",
            "é, é",
        ] {
            assert_eq!(after(text), None, "{text}");
        }
    }
}
