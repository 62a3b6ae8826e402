//! What a reading does to a baseline.
//!
//! ```text
//! learning ─▶ calm ─▶ candidate (a sum is above nothing) ─▶ found ─▶ told ─▶ calm again, or adopted as the new normal
//!                        └──── part of what is normal ◀───────┘ too small to matter, or usual at this hour
//! ```

use super::{
    ALLOWANCE, Adopted, Anomaly, Baseline, DEVIATIONS, DEVIATIONS_MAX, Direction, Expected,
    FAR_FOR_ONE, FAR_MISSED, FAR_READINGS, FOLLOW_NS, INDEPENDENT_MIN, Kind, NS_PER_S, SCORE_MAX,
    Season, Settings, THRESHOLD, Verdict, WEEK_NS, Watch,
    correlation::Correlation,
    cusum::{Sums, normal_deviate},
    season::{Hour, Hours, Usual},
    window::{SPAN_NS, Spread, Window},
};

/// How much of an hour has to be known for it to be remembered.
const HOUR_KNOWN_NS: u64 = SPAN_NS / 2;

impl Baseline {
    /// A baseline that knows nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            reference: Window::default(),
            candidate: Window::default(),
            up: Sums::NONE,
            down: Sums::NONE,
            correlation: Correlation::default(),
            hours: Hours::default(),
            last_unix_ns: None,
            since_unix_ns: 0,
            learnt_readings: 0,
            has_learnt: false,
            ongoing: None,
            adopted: None,
            trend_looked_unix_ns: 0,
            reached: None,
            unusual: None,
            unusual_silent_until_unix_ns: 0,
            was_below_pressure: false,
            pressed_since_unix_ns: None,
            ignored: 0,
        }
    }

    /// Takes a reading, at a time in nanoseconds since the Unix epoch, and says how things stand. One that is no number or not
    /// later than the last is counted under [`Baseline::ignored`] and changes nothing.
    pub fn observe(&mut self, time_unix_ns: u64, value: f64) -> Verdict {
        let is_late = self.last_unix_ns.is_some_and(|last| time_unix_ns <= last);
        if is_late || !value.is_finite() {
            self.ignored += 1;
            return self.verdict();
        }
        self.after_pause(time_unix_ns);
        self.turn_hour(time_unix_ns);
        self.last_unix_ns = Some(time_unix_ns);
        if self.has_learnt {
            self.judge(time_unix_ns, value);
        } else {
            self.learn(time_unix_ns, value);
        }
        self.verdict()
    }

    /// How things stood after the last reading.
    pub fn verdict(&self) -> Verdict {
        if !self.has_learnt {
            let (readings_more, seconds_more) = self.lacks();
            return Verdict::Learning {
                readings_more,
                seconds_more,
            };
        }
        match self.ongoing {
            Some(anomaly) if self.is_watched(anomaly.direction) => Verdict::Anomalous(anomaly),
            _ => Verdict::Normal(self.expected()),
        }
    }

    /// How many readings were no numbers or came too late.
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }

    /// The last change that lasted and became normal.
    pub const fn adopted(&self) -> Option<Adopted> {
        self.adopted
    }

    /// As many as fit are enough for whoever asks for more.
    pub(super) fn readings_min(&self) -> usize {
        self.settings
            .readings_min
            .clamp(2, super::window::READINGS_MAX / 2)
    }

    fn is_watched(&self, direction: Direction) -> bool {
        match self.settings.watch {
            Watch::Both => true,
            Watch::Rises => direction == Direction::Up,
            Watch::Falls => direction == Direction::Down,
        }
    }

    /// After a pause longer than what the window spans, the last hour is learnt anew; what was usual at each hour stays.
    fn after_pause(&mut self, time_unix_ns: u64) {
        let Some(last) = self.last_unix_ns else {
            self.since_unix_ns = time_unix_ns;
            return;
        };
        if time_unix_ns - last > SPAN_NS {
            self.reference.clear();
            self.learnt_readings = 0;
            self.has_learnt = false;
            self.since_unix_ns = time_unix_ns;
            self.calm_down();
        }
    }

    /// Remembers the hour that has ended.
    fn turn_hour(&mut self, time_unix_ns: u64) {
        let Some(last) = self.last_unix_ns else {
            return;
        };
        let ended = Hours::number(last);
        if ended == Hours::number(time_unix_ns) {
            return;
        }
        let is_known = self.has_learnt && self.reference.seconds_ns() >= HOUR_KNOWN_NS;
        let hour = is_known.then(|| {
            let (low, median, high) = self.reference.range();
            let (reached_low, reached_high) = self.reached.unwrap_or((low, high));
            Hour::of(low.min(reached_low), median, high.max(reached_high))
        });
        self.hours.remember(ended, hour);
        self.reached = None;
    }

    fn learn(&mut self, time_unix_ns: u64, value: f64) {
        self.reference.push(time_unix_ns, value);
        self.learnt_readings += 1;
        if self.reference.len() < self.readings_min() {
            return;
        }
        // Only now: ranks among the first few would all lean to one side.
        let each = self.learnt_readings as f64 / self.reference.len() as f64;
        let scores = self
            .reference
            .readings()
            .map(|(_, value)| self.score(value));
        self.correlation = Correlation::of(scores, each);
        let (readings_more, seconds_more) = self.lacks();
        self.has_learnt = readings_more == 0 && seconds_more <= 0.0;
    }

    /// How many readings and seconds are still to be learnt. Readings that depend on each other say less, so that it takes
    /// more of them, but no more than half an hour.
    fn lacks(&self) -> (usize, f64) {
        let known_ns = self.reference.seconds_ns();
        let seconds_more = (self.settings.learning_s - known_ns as f64 / NS_PER_S).max(0.0);
        let least = self.readings_min();
        if self.reference.len() < least {
            return (least - self.reference.len(), seconds_more);
        }
        let needed = (INDEPENDENT_MIN * self.correlation.readings_for_one()).ceil() as u64;
        let readings_more = if known_ns >= SPAN_NS / 2 {
            0
        } else {
            needed.saturating_sub(self.learnt_readings)
        };
        (readings_more as usize, seconds_more)
    }

    /// Below and above which values are as far beyond the smallest and largest of the last hour as these are from the median.
    fn unheard_of(&self) -> (f64, f64) {
        let median = self.reference.median();
        let (smallest, largest) = (self.reference.smallest(), self.reference.largest());
        (2.0 * smallest - median, 2.0 * largest - median)
    }

    /// The normal deviate of a reading's rank among those of the last hour.
    fn score(&self, value: f64) -> f64 {
        normal_deviate(self.reference.share_below(value)).clamp(-SCORE_MAX, SCORE_MAX)
    }

    fn judge(&mut self, time_unix_ns: u64, value: f64) {
        let score = self.score(value);
        let readings_for_one = self.correlation.readings_for_one();
        self.correlation.add(score);
        let (far_below, far_above) = self.unheard_of();
        for (sums, score, is_far) in [
            (&mut self.up, score, value > far_above),
            (&mut self.down, -score, value < far_below),
        ] {
            sums.ranks.add(
                time_unix_ns,
                score - ALLOWANCE,
                THRESHOLD * readings_for_one,
            );
            let evidence = if is_far { 1.0 } else { -FAR_MISSED };
            let threshold = FAR_READINGS.max(FAR_FOR_ONE * readings_for_one);
            sums.far.add(time_unix_ns, evidence, threshold);
        }
        self.candidate.push(time_unix_ns, value);
        self.look_at_pressure(time_unix_ns, value);
        self.look_at_hour(time_unix_ns, value);
        if self.up.are_nothing() && self.down.are_nothing() {
            self.is_calm();
        } else {
            self.look_at_candidate(time_unix_ns);
        }
        self.look_at_trend(time_unix_ns);
        if let Some(anomaly) = self.ongoing {
            self.reach(anomaly.value);
        }
    }

    /// A level belongs to this hour, whether it is told or usual.
    fn reach(&mut self, level: f64) {
        let (low, high) = self.reached.unwrap_or((level, level));
        self.reached = Some((low.min(level), high.max(level)));
    }

    /// Nothing speaks for a change: what waited becomes part of what is normal, except for what was told.
    fn is_calm(&mut self) {
        match self.ongoing.map(|anomaly| anomaly.kind) {
            None | Some(Kind::Trend) => {
                self.merge();
                self.correlation.settle();
            }
            Some(Kind::Step | Kind::Spike) if self.unusual.is_none() => {
                self.ongoing = None;
                self.correlation.discard();
            }
            Some(_) => self.correlation.discard(),
        }
        self.candidate.clear();
    }

    fn merge(&mut self) {
        for (time_unix_ns, value) in self.candidate.readings() {
            self.reference.push(time_unix_ns, value);
        }
    }

    /// Forgets what spoke for a change.
    fn calm_down(&mut self) {
        self.up = Sums::NONE;
        self.down = Sums::NONE;
        self.candidate.clear();
        self.correlation.discard();
        self.ongoing = None;
        self.unusual = None;
        self.pressed_since_unix_ns = None;
    }

    fn look_at_candidate(&mut self, time_unix_ns: u64) {
        let found = [(self.up, Direction::Up), (self.down, Direction::Down)]
            .into_iter()
            .find_map(|(sums, direction)| sums.have_found().then_some(direction));
        let level = self.candidate.median();
        if let Some(anomaly) = &mut self.ongoing {
            anomaly.value = level;
            self.adopt_when_it_lasts(time_unix_ns);
            return;
        }
        let lasted = self.candidate.seconds_ns();
        let is_enough = self.candidate.len() >= self.readings_min();
        match found {
            Some(direction) if self.matters(level, direction) => {
                self.reach(level);
                if !self.is_usual(time_unix_ns, level) {
                    self.tell(time_unix_ns, level, direction);
                } else if is_enough {
                    self.follow();
                }
            }
            Some(_) if is_enough && lasted >= FOLLOW_NS => self.follow(),
            None if is_enough && lasted >= FOLLOW_NS => {
                self.merge();
                self.calm_down();
            }
            _ => {}
        }
    }

    /// Takes the candidate as what is normal without a word.
    fn follow(&mut self) {
        std::mem::swap(&mut self.reference, &mut self.candidate);
        self.calm_down();
    }

    /// When the level changed: the split of the candidate at which absolute distances from the median before and from the
    /// level after are smallest together, which is the likeliest one for noise with a heavy tail (Laplace's). The sums alone
    /// may have begun a few readings early by chance.
    fn onset_unix_ns(&self, level: f64) -> Option<u64> {
        let median = self.reference.median();
        let (mut sum, mut least) = (0.0, 0.0);
        let mut onset_unix_ns = self.candidate.first_unix_ns();
        let mut readings = self.candidate.readings().peekable();
        while let Some((_, value)) = readings.next() {
            sum += (value - median).abs() - (value - level).abs();
            if sum < least
                && let Some(&(next_unix_ns, _)) = readings.peek()
            {
                least = sum;
                onset_unix_ns = Some(next_unix_ns);
            }
        }
        onset_unix_ns
    }

    fn tell(&mut self, time_unix_ns: u64, level: f64, direction: Direction) {
        self.ongoing = Some(Anomaly {
            kind: Kind::Step,
            direction,
            expected: self.expected(),
            value: level,
            since_unix_ns: self.onset_unix_ns(level).unwrap_or(time_unix_ns),
            found_unix_ns: time_unix_ns,
            score: self.deviations(level),
        });
    }

    /// What lasts becomes normal, but for pressure.
    fn adopt_when_it_lasts(&mut self, time_unix_ns: u64) {
        let Some(anomaly) = self.ongoing else {
            return;
        };
        let lasted_s = time_unix_ns.saturating_sub(anomaly.found_unix_ns) as f64 / NS_PER_S;
        let is_enough = self.candidate.len() >= self.readings_min();
        if anomaly.kind == Kind::Pressure || lasted_s < self.settings.adopt_after_s || !is_enough {
            return;
        }
        self.adopted = Some(Adopted {
            since_unix_ns: anomaly.since_unix_ns,
            adopted_unix_ns: time_unix_ns,
            before: anomaly.expected,
        });
        self.since_unix_ns = anomaly.since_unix_ns;
        self.unusual_silent_until_unix_ns = time_unix_ns + WEEK_NS;
        self.correlation = Correlation::default();
        self.follow();
    }

    /// Where a value is by more than what matters outside of what is usual.
    pub(super) fn away_from(&self, usual: &Usual, value: f64) -> Option<Direction> {
        let least = self.least_that_matters(usual.median);
        if value > usual.high + least {
            Some(Direction::Up)
        } else if value < usual.low - least {
            Some(Direction::Down)
        } else {
            None
        }
    }

    pub(super) fn is_usual(&self, time_unix_ns: u64, value: f64) -> bool {
        self.hours
            .usual(time_unix_ns)
            .is_some_and(|usual| self.away_from(&usual, value).is_none())
    }

    pub(super) fn least_that_matters(&self, median: f64) -> f64 {
        (self.settings.change_share_min * median.abs()).max(self.settings.change_min)
    }

    /// Whether a level is outside of what is normal, and by enough.
    fn matters(&self, level: f64, direction: Direction) -> bool {
        let Spread {
            median,
            below,
            above,
        } = self.reference.spread();
        let (further, deviation) = match direction {
            Direction::Up => (level - median, above),
            Direction::Down => (median - level, below),
        };
        further > DEVIATIONS * deviation
            && further >= self.least_that_matters(median)
            && further > 0.0
    }

    /// How many deviations a level is away; where nothing ever deviated, half of what matters is one.
    pub(super) fn deviations(&self, level: f64) -> f64 {
        let Spread {
            median,
            below,
            above,
        } = self.reference.spread();
        let deviation = if level < median { below } else { above };
        let deviation = deviation.max(self.least_that_matters(median) / DEVIATIONS);
        ((level - median).abs() / deviation.max(f64::MIN_POSITIVE)).min(DEVIATIONS_MAX)
    }

    /// What is normal now: what is usual at this hour where the last hour agrees with it, else the last hour.
    pub(super) fn expected(&self) -> Expected {
        let (low, median, high) = self.reference.range();
        let usual = self
            .last_unix_ns
            .and_then(|last| self.hours.usual(last))
            .filter(|usual| (usual.low..=usual.high).contains(&median));
        let recent = Expected {
            low,
            median,
            high,
            season: Season::Recent,
            since_unix_ns: self.since_unix_ns,
            readings: self.reference.len(),
        };
        usual.map_or(recent, |usual| Expected {
            low: usual.low,
            median: usual.median,
            high: usual.high,
            season: usual.season,
            ..recent
        })
    }
}
