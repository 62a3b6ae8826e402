//! The level of a directive, and what a word that is none was meant to be.

use tracing_core::LevelFilter;

use super::directive::Fault;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Reads a level that stands at byte `at` of its directive.
pub(super) fn parse(text: &str, at: usize) -> Result<LevelFilter, Fault> {
    let at = at + text.len() - text.trim_start().len();
    let text = text.trim();
    if let Ok(level) = text.parse() {
        return Ok(level);
    }
    if let Some(split) = text.find([';', ' ', '|', '=']) {
        return Err((
            at + split,
            format!("`{text}` is not a level; separate directives by commas"),
        ));
    }
    let lower = text.to_ascii_lowercase();
    let nearest = LEVELS
        .into_iter()
        .min_by_key(|level| edit_distance(&lower, level))
        .filter(|level| {
            lower.starts_with(level)
                || level.starts_with(&lower)
                || edit_distance(&lower, level) <= 2
        });
    let mend = nearest.map_or_else(String::new, |level| format!(" (did you mean `{level}`?)"));
    Err((
        at,
        format!(
            "`{text}` is not a level{mend}; levels are off, error, warn, info, debug, trace, or 0 to 5"
        ),
    ))
}

/// The level that `word` is but for one letter too many, too few or wrong, or for the order of its letters.
pub(super) fn meant(word: &str) -> Option<&'static str> {
    let sorted = |text: &str| {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        letters
    };
    let word = word.to_ascii_lowercase();
    LEVELS
        .into_iter()
        .find(|level| sorted(&word) == sorted(level) || edit_distance(&word, level) == 1)
}

/// Levenshtein distance in characters, for suggestions alone.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(32).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(x != y))
                .min(above + 1)
                .min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}
