//! The command lines of `sonde top` and `sonde record`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{
    CollectorArguments, Format,
    units::{bytes, duration},
};

pub const HELP: &str = "\
Examples:
  sonde top
  sonde top --replay session.jsonl               what `sonde record` wrote; , and . step, p pauses, + and - change the speed
  sonde top --replay session.jsonl --speed 10
  sonde top --replay session.jsonl --text        each poll's screen as text
  sonde top --replay session.jsonl --text 100x30 --keys '4j .'    a screen after each key";

pub const RECORD_HELP: &str = "\
Examples:
  sonde record session.jsonl                     until Ctrl-C
  sonde record session.jsonl --for 10m --every 2s
  sonde top --replay session.jsonl

A poll takes as much as the collector has to show; what did not change is not written again. How much it was is said at the
beginning and at the end.";

/// The command line of `sonde top`.
#[derive(Debug, Args)]
pub struct TopArguments {
    /// How much of the past is looked at: 30s, 15m, 2h, 7d.
    #[arg(long, value_name = "DURATION", default_value = "15m")]
    pub window: String,
    /// Show what `sonde record` wrote into this file, instead of what a collector has.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["window", "collector"])]
    pub replay: Option<PathBuf>,
    /// With --replay, how many times as fast as it was: 0.1 to 1000.
    #[arg(long, value_name = "TIMES", default_value = "1", value_parser = speed, requires = "replay")]
    pub speed: f64,
    /// With --replay, write the screens as text, of this many columns and rows [without them: 120x40].
    #[arg(long, value_name = "WIDTHxHEIGHT", num_args = 0..=1, default_missing_value = "120x40", value_parser = size, requires = "replay")]
    pub text: Option<(u16, u16)>,
    /// With --text, the keys that are pressed one after another, with a screen after each; without it, each poll's screen.
    #[arg(long, requires = "text", allow_hyphen_values = true)]
    pub keys: Option<String>,
    /// Which collector.
    #[command(flatten)]
    pub collector: CollectorArguments,
}

/// The command line of `sonde record`.
#[derive(Debug, Args)]
pub struct RecordArguments {
    /// The file, JSON lines; it must not be there yet.
    pub file: PathBuf,
    /// How long; without it, until Ctrl-C.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub length: Option<Duration>,
    /// How often the collector is asked; at most ten times a second.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval)]
    pub every: Duration,
    /// How much of the past is looked at, each time: 30s, 15m, 2h, 7d.
    #[arg(long, value_name = "DURATION", default_value = "15m")]
    pub window: String,
    /// End before the file is larger than this.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = bytes)]
    pub max_size: u64,
    /// Which collector.
    #[command(flatten)]
    pub collector: CollectorArguments,
    /// The form of what is said at the end.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Shortest time between two polls.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

fn interval(text: &str) -> Result<Duration, String> {
    let every = duration(text)?;
    if every < INTERVAL_MIN {
        return Err("ask every 100ms or less often".to_owned());
    }
    Ok(every)
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text.trim_end_matches('x').parse::<f64>().ok();
    speed
        .filter(|speed| (0.1..=1000.0).contains(speed))
        .ok_or_else(|| "write a number from 0.1 to 1000".to_owned())
}

/// Reads `120x40`.
fn size(text: &str) -> Result<(u16, u16), String> {
    let sides = text.split_once('x');
    let side = |text: &str| {
        let side = text.parse::<u16>().ok();
        side.filter(|side| (1..=1000).contains(side))
    };
    sides
        .and_then(|(width, height)| Some((side(width)?, side(height)?)))
        .ok_or_else(|| "write columns and rows, at most 1000 of each: 120x40".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_speed_size_or_interval_is_refused() {
        assert_eq!((speed("2"), speed("0.5x")), (Ok(2.0), Ok(0.5)));
        for text in ["0", "-1", "inf", "nan", "1001", "fast"] {
            assert!(speed(text).is_err(), "{text}");
        }
        assert_eq!(size("80x24"), Ok((80, 24)));
        for text in ["80", "x", "0x1", "80x", "1001x5", "-1x5"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert!(interval("99ms").is_err() && interval("100ms").is_ok());
    }
}
