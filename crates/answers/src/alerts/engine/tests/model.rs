//! The engine beside a model that looks at the whole past each time.

use proptest::prelude::*;

use super::*;

/// What a case is.
#[derive(Clone, Debug)]
struct Case {
    /// The values of each device, minute by minute.
    devices: Vec<Vec<u8>>,
    for_: u64,
    keep: u64,
    has_hysteresis: bool,
    /// After which minute the engine is saved and another one takes up what it left.
    restart: usize,
}

fn case() -> impl Strategy<Value = Case> {
    let values = prop::collection::vec(prop::sample::select(vec![1, 85, 95]), 30);
    let devices = prop::collection::vec(values, 1..4);
    (devices, 0_u64..4, 0_u64..4, any::<bool>(), 0_usize..30).prop_map(
        |(devices, for_, keep, has_hysteresis, restart)| Case {
            devices,
            for_,
            keep,
            has_hysteresis,
            restart,
        },
    )
}

impl Case {
    fn rule(&self) -> Rule {
        let threshold = above_90();
        let threshold = if self.has_hysteresis {
            threshold.resolve_at(80.0)
        } else {
            threshold
        };
        Rule::new("high", Condition::Threshold(threshold))
            .for_(minutes(self.for_))
            .keep_firing_for(minutes(self.keep))
    }

    /// Whether a device fires after each of its minutes, from the first one on.
    fn fires(&self, values: &[u8]) -> Vec<bool> {
        let wait = self.for_ as usize;
        let mut fires: Vec<bool> = Vec::new();
        let mut on: Vec<bool> = Vec::new();
        for (minute, value) in values.iter().enumerate() {
            let was_firing = fires.last().copied().unwrap_or(false);
            let was_on = on.last().copied().unwrap_or(false);
            let back = if self.has_hysteresis && was_firing && was_on {
                80
            } else {
                90
            };
            on.push(*value > back);
            let lasts = minute >= wait && on[minute - wait..].iter().all(|on| *on);
            let kept_from = (minute + 1).saturating_sub(self.keep.max(1) as usize);
            let is_kept = was_firing && on[kept_from..].iter().any(|on| *on);
            fires.push(lasts || is_kept);
        }
        fires
    }

    fn expected(&self) -> Vec<String> {
        let fires: Vec<Vec<bool>> = self
            .devices
            .iter()
            .map(|values| self.fires(values))
            .collect();
        let mut told = Vec::new();
        for minute in 0..30 {
            for (device, fires) in fires.iter().enumerate() {
                let before = minute > 0 && fires[minute - 1];
                let phase = match (before, fires[minute]) {
                    (false, true) => "Firing",
                    (true, false) => "Resolved",
                    _ => continue,
                };
                let value = self.devices[device][minute];
                told.push(format!("{minute} {device} {phase} {value}"));
            }
        }
        told
    }

    /// What the engine says, with its series in this order.
    fn run(&self, is_backwards: bool) -> Vec<String> {
        let (mut script, mut engine) = (Script::default(), engine(self.rule()));
        let mut all = Vec::new();
        for minute in 0..30 {
            let now = START + minute as u64 * MINUTE;
            let mut devices: Vec<usize> = (0..self.devices.len()).collect();
            if is_backwards {
                devices.reverse();
            }
            for device in devices {
                let value = f64::from(self.devices[device][minute]);
                script.gauge(&device.to_string(), now, value);
            }
            all.extend(told(&engine.evaluate(&script, now)));
            if minute == self.restart {
                let text = serde_json::to_string(&engine.state()).unwrap();
                engine = super::engine(self.rule());
                assert_eq!(
                    engine.restore(serde_json::from_str(&text).unwrap(), now),
                    []
                );
            }
        }
        all
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_engine_says_what_a_naive_model_says_over_any_restart(case in case()) {
        let expected = case.expected();
        prop_assert_eq!(case.run(false), &expected[..]);
        prop_assert_eq!(case.run(true), &expected[..]);
    }
}
