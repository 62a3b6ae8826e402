//! How far the clocks of those who send are from this machine's: the newest that a request has is mostly a few seconds old when
//! it arrives, so that what is from the time to come, or long past, was timed by a clock that is wrong, or sent late.
//!
//! Bounded: so many services, of which the one that was silent longest makes room, and of each its last requests.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use serde::Serialize;

/// Most services that are remembered.
const SERVICES_MAX: usize = 256;
/// Requests of a service of which the median is taken.
const REQUESTS_MAX: usize = 32;

/// How far a service's clock is from this machine's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Clock {
    /// `service.name`.
    pub(crate) service: String,
    /// By how much the newest of a request is later than its arrival, in the median of the last requests; less than zero where
    /// it is earlier.
    pub(crate) ahead_ns: i64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Clocks(Mutex<HashMap<String, Requests>>);

#[derive(Debug, Default)]
struct Requests {
    ahead_ns: VecDeque<i64>,
    last_unix_ns: i64,
}

impl Clocks {
    /// Takes note of a request that arrived at this time, by the newest that it has of each service.
    pub(super) fn note<'a>(
        &self,
        newest: impl Iterator<Item = (&'a str, i64)>,
        arrived_unix_ns: i64,
    ) {
        let mut services = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (service, time_unix_ns) in newest {
            if !services.contains_key(service) && services.len() >= SERVICES_MAX {
                let stalest = services
                    .iter()
                    .min_by_key(|(_, requests)| requests.last_unix_ns);
                if let Some(stalest) = stalest.map(|(service, _)| service.clone()) {
                    services.remove(&stalest);
                }
            }
            let requests = services.entry(service.to_owned()).or_default();
            requests.last_unix_ns = arrived_unix_ns;
            if requests.ahead_ns.len() >= REQUESTS_MAX {
                requests.ahead_ns.pop_front();
            }
            let ahead_ns = time_unix_ns.saturating_sub(arrived_unix_ns);
            requests.ahead_ns.push_back(ahead_ns);
        }
    }

    /// What is known, by service.
    pub(super) fn told(&self) -> Vec<Clock> {
        let services = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let clock = |(service, requests): (&String, &Requests)| {
            let mut ahead_ns: Vec<i64> = requests.ahead_ns.iter().copied().collect();
            ahead_ns.sort_unstable();
            Clock {
                service: service.clone(),
                ahead_ns: ahead_ns.get(ahead_ns.len() / 2).copied().unwrap_or(0),
            }
        };
        let mut told: Vec<Clock> = services.iter().map(clock).collect();
        told.sort_unstable_by(|a, b| a.service.cmp(&b.service));
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_late_request_does_not_make_a_clock_wrong() {
        let clocks = Clocks::default();
        for time in [99, 20, 98, 97] {
            clocks.note([("shop", time), ("fast", time + 900)].into_iter(), 100);
        }
        let told = clocks.told();
        let told: Vec<_> = told
            .iter()
            .map(|clock| (clock.service.as_str(), clock.ahead_ns))
            .collect();
        assert_eq!(told, [("fast", 898), ("shop", -2)]);
    }

    #[test]
    fn a_clock_that_was_set_right_is_right_soon_and_services_are_bounded() {
        let clocks = Clocks::default();
        (0..100).for_each(|at| clocks.note([("shop", at + 3_600)].into_iter(), at));
        (100..117).for_each(|at| clocks.note([("shop", at)].into_iter(), at));
        assert_eq!(clocks.told()[0].ahead_ns, 0);
        for number in 0..1_000 {
            clocks.note(
                [(format!("service-{number}").as_str(), 0)].into_iter(),
                200 + number,
            );
        }
        assert_eq!(clocks.told().len(), SERVICES_MAX);
    }
}
