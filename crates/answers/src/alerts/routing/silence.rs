//! Silences: somebody says that for a time they do not want to hear of some alerts.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    super::Labels,
    matcher::{self, Matcher},
};

/// Most silences that are kept, those that are over among them.
pub const SILENCES_MAX: usize = 500;
/// Most matchers of a silence.
pub const SILENCE_MATCHERS_MAX: usize = 16;
/// Most regular expressions of all silences together: each may take some hundred kilobytes.
pub const SILENCE_EXPRESSIONS_MAX: usize = 200;
/// Longest name and comment, in bytes.
const TEXT_BYTES_MAX: usize = 2_048;

/// Alerts of which nothing new is to be heard for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// What it is called; given when it is made.
    pub id: String,
    /// Which alerts: those that all of these match.
    pub matchers: Vec<Matcher>,
    /// From when on, in nanoseconds since the Unix epoch.
    pub starts_unix_ns: u64,
    /// Until when, in nanoseconds since the Unix epoch.
    pub ends_unix_ns: u64,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

impl Silence {
    /// Whether it holds then.
    pub const fn is_active(&self, now_unix_ns: u64) -> bool {
        self.starts_unix_ns <= now_unix_ns && now_unix_ns < self.ends_unix_ns
    }
}

/// Why a silence is not made, or not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SilenceError {
    /// It has no matcher, or every one also matches alerts without the label, so that it would be for all alerts.
    TooWide,
    /// It has more than [`SILENCE_MATCHERS_MAX`] matchers, or a text that is too long.
    TooLarge,
    /// It ends before it starts, or has ended.
    Over,
    /// There are [`SILENCES_MAX`] that are not over, or no room for its expressions.
    Full,
    /// There is none of that name.
    Unknown(String),
}

impl fmt::Display for SilenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooWide => f.write_str("this silence would be for every alert; name a label that the alerts have, such as alertname=\"...\""),
            Self::TooLarge => write!(f, "a silence has at most {SILENCE_MATCHERS_MAX} matchers, and texts of {TEXT_BYTES_MAX} bytes"),
            Self::Over => f.write_str("this silence ends before it starts, or has ended; give a later end"),
            Self::Full => write!(f, "there are {SILENCES_MAX} silences that are not over, or {SILENCE_EXPRESSIONS_MAX} expressions in them; end one"),
            Self::Unknown(id) => write!(f, "there is no silence `{id}`"),
        }
    }
}

impl std::error::Error for SilenceError {}

/// All that are kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Silences {
    kept: Vec<Silence>,
    made: u64,
    /// Changes with every silence that is made or ended, so that whoever was hidden is looked at again.
    #[serde(skip)]
    version: u64,
}

impl Silences {
    pub(super) fn add(
        &mut self,
        mut silence: Silence,
        now_unix_ns: u64,
    ) -> Result<String, SilenceError> {
        if silence.matchers.iter().all(Matcher::matches_absence) {
            return Err(SilenceError::TooWide);
        }
        let too_long = [&silence.created_by, &silence.comment]
            .iter()
            .any(|text| text.len() > TEXT_BYTES_MAX);
        if silence.matchers.len() > SILENCE_MATCHERS_MAX || too_long {
            return Err(SilenceError::TooLarge);
        }
        if silence.ends_unix_ns <= silence.starts_unix_ns.max(now_unix_ns) {
            return Err(SilenceError::Over);
        }
        let expressions = |silence: &Silence| {
            silence
                .matchers
                .iter()
                .filter(|matcher| matcher.has_expression())
                .count()
        };
        let is_full = |kept: &[Silence]| {
            kept.len() >= SILENCES_MAX
                || kept.iter().map(expressions).sum::<usize>() + expressions(&silence)
                    > SILENCE_EXPRESSIONS_MAX
        };
        while is_full(&self.kept) {
            // The one that has been over for longest makes room.
            let over = self
                .kept
                .iter()
                .enumerate()
                .filter(|(_, kept)| kept.ends_unix_ns <= now_unix_ns);
            let Some((oldest, _)) = over.min_by_key(|(_, kept)| kept.ends_unix_ns) else {
                return Err(SilenceError::Full);
            };
            self.kept.remove(oldest);
        }
        self.made += 1;
        silence.id = format!("silence-{}", self.made);
        let id = silence.id.clone();
        self.kept.push(silence);
        self.version += 1;
        Ok(id)
    }

    pub(super) fn expire(&mut self, id: &str, now_unix_ns: u64) -> Result<(), SilenceError> {
        let found = self.kept.iter_mut().find(|silence| silence.id == id);
        let silence = found.ok_or_else(|| SilenceError::Unknown(id.to_owned()))?;
        if silence.ends_unix_ns <= now_unix_ns {
            return Err(SilenceError::Over);
        }
        silence.ends_unix_ns = now_unix_ns;
        silence.starts_unix_ns = silence.starts_unix_ns.min(now_unix_ns);
        self.version += 1;
        Ok(())
    }

    /// The first that silences an alert of these labels.
    pub(super) fn by(&self, labels: &Labels, now_unix_ns: u64) -> Option<&Silence> {
        self.kept.iter().find(|silence| {
            silence.is_active(now_unix_ns) && matcher::all_match(&silence.matchers, labels)
        })
    }

    /// When the next one ends that holds then.
    pub(super) fn next_end(&self, now_unix_ns: u64) -> Option<u64> {
        let active = self
            .kept
            .iter()
            .filter(|silence| silence.is_active(now_unix_ns));
        active.map(|silence| silence.ends_unix_ns).min()
    }

    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn kept(&self) -> &[Silence] {
        &self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silence(matchers: &[&str], starts: u64, ends: u64) -> Silence {
        Silence {
            id: String::new(),
            matchers: matchers.iter().map(|text| text.parse().unwrap()).collect(),
            starts_unix_ns: starts,
            ends_unix_ns: ends,
            created_by: "ana".into(),
            comment: "deploy".into(),
        }
    }

    #[test]
    fn a_silence_holds_from_its_start_up_to_its_end() {
        let mut silences = Silences::default();
        let id = silences
            .add(silence(&["service=\"chat\""], 10, 20), 5)
            .unwrap();
        let labels = Labels::from([("service".to_owned(), "chat".to_owned())]);
        let held = [9, 10, 19, 20].map(|now| silences.by(&labels, now).is_some());
        assert_eq!(held, [false, true, true, false]);
        assert!(silences.by(&Labels::new(), 15).is_none());
        assert_eq!(silences.next_end(15), Some(20));
        silences.expire(&id, 12).unwrap();
        assert!(silences.by(&labels, 15).is_none());
        assert_eq!(silences.expire(&id, 13), Err(SilenceError::Over));
        assert_eq!(
            silences.expire("x", 13),
            Err(SilenceError::Unknown("x".into()))
        );
    }

    #[test]
    fn a_silence_of_everything_or_of_the_past_is_refused() {
        let mut silences = Silences::default();
        for matchers in [&[][..], &["a=\"\""], &["a!=\"b\"", "c=~\".*\""]] {
            assert_eq!(
                silences.add(silence(matchers, 1, 9), 0),
                Err(SilenceError::TooWide),
                "{matchers:?}"
            );
        }
        assert_eq!(
            silences.add(silence(&["a=b"], 9, 9), 0),
            Err(SilenceError::Over)
        );
        assert_eq!(
            silences.add(silence(&["a=b"], 1, 9), 9),
            Err(SilenceError::Over)
        );
        assert_eq!(
            silences.add(silence(&["a=b"; 17], 1, 9), 0),
            Err(SilenceError::TooLarge)
        );
    }

    #[test]
    fn those_that_are_over_make_room_and_no_others() {
        let mut silences = Silences::default();
        for _ in 0..SILENCES_MAX {
            silences.add(silence(&["a=b"], 0, 10), 0).unwrap();
        }
        assert_eq!(
            silences.add(silence(&["a=b"], 0, 20), 9),
            Err(SilenceError::Full)
        );
        assert_eq!(
            silences.add(silence(&["a=b"], 0, 20), 10).unwrap(),
            "silence-501"
        );
        assert_eq!(silences.kept().len(), SILENCES_MAX);
        let mut few = Silences::default();
        for _ in 0..SILENCE_EXPRESSIONS_MAX {
            few.add(silence(&["a=~b"], 0, 10), 0).unwrap();
        }
        assert_eq!(
            few.add(silence(&["a=~b"], 0, 10), 0),
            Err(SilenceError::Full)
        );
        few.add(silence(&["a=b"], 0, 10), 0).unwrap();
    }
}
