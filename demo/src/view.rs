//! What a person sees while the demo runs.
//!
//! [`Transcript`] writes the answers in the order of the requests, each as it is being generated; answers that
//! run ahead are held back until it is their turn. [`Ticker`] writes one line per finished request instead.
//! Both are plain functions of the progress they are given.

mod wrap;

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::serve::{Outcome, Progress};

use wrap::Wrap;

/// Columns that answers are wrapped at.
const COLUMNS: usize = 88;

/// Answers in order, as text.
#[derive(Debug)]
pub struct Transcript<W> {
    to: W,
    /// The request whose answer is being shown.
    current: u32,
    wrap: Wrap,
    held: BTreeMap<u32, Held>,
}

/// What is known of a request whose turn has not come, or that is being shown.
#[derive(Debug, Default)]
struct Held {
    prompt: Option<&'static str>,
    text: String,
    ended: Option<Outcome>,
}

impl<W: Write> Transcript<W> {
    /// Writes to `to`, starting with request 1.
    pub fn new(to: W) -> Self {
        Self {
            to,
            current: 1,
            wrap: Wrap::new(COLUMNS),
            held: BTreeMap::new(),
        }
    }

    /// Shows what can be shown now.
    pub fn on(&mut self, progress: Progress) -> io::Result<()> {
        match progress {
            Progress::Started { request, prompt } => self.entry(request).prompt = Some(prompt),
            Progress::Text { request, text } => self.entry(request).text.push_str(&text),
            Progress::Ended(outcome) => {
                let request = outcome.request;
                self.entry(request).ended = Some(outcome);
            }
        }
        while self.show_current()? {}
        self.to.flush()
    }

    fn entry(&mut self, request: u32) -> &mut Held {
        self.held.entry(request).or_default()
    }

    /// Shows what there is of the current request; true when that was its end and the next one's turn came.
    fn show_current(&mut self) -> io::Result<bool> {
        let Some(held) = self.held.get_mut(&self.current) else {
            return Ok(false);
        };
        if let Some(prompt) = held.prompt.take() {
            writeln!(self.to, "{:>2}  {prompt}", self.current)?;
        }
        let text = std::mem::take(&mut held.text);
        self.wrap.push(&mut self.to, &text)?;
        let Some(outcome) = held.ended.take() else {
            return Ok(false);
        };
        self.wrap.finish(&mut self.to)?;
        writeln!(self.to, "    [{}]\n", summary(&outcome))?;
        self.held.remove(&self.current);
        self.current += 1;
        Ok(true)
    }
}

/// One line per finished request, with the model's label: each may be read alone.
#[derive(Debug)]
pub struct Ticker<'a, W> {
    to: W,
    label: &'a str,
    requests: u32,
    ended: u32,
}

impl<'a, W: Write> Ticker<'a, W> {
    /// Writes to `to` about `requests` requests to the model called `label`.
    pub fn new(to: W, label: &'a str, requests: u32) -> Self {
        Self {
            to,
            label,
            requests,
            ended: 0,
        }
    }

    /// Writes a line when a request has ended.
    pub fn on(&mut self, progress: &Progress) -> io::Result<()> {
        if let Progress::Ended(outcome) = progress {
            self.ended += 1;
            let (ended, requests, label) = (self.ended, self.requests, self.label);
            let request = outcome.request;
            writeln!(
                self.to,
                "{ended}/{requests}  {label}  request {request}: {}",
                summary(outcome)
            )?;
        }
        Ok(())
    }
}

/// A request in a line.
fn summary(outcome: &Outcome) -> String {
    if let Some(error) = &outcome.error {
        return format!("failed: {error}");
    }
    let waited = format!("waited {:.2} s", outcome.queue_seconds);
    let first = outcome
        .first_token_seconds
        .map(|first| format!("first token after {first:.2} s"));
    let rate = outcome
        .tokens_per_second
        .map(|rate| format!("then {rate:.1} tokens/s"));
    let tokens = format!("{} tokens", outcome.output_tokens);
    [Some(waited), first, rate, Some(tokens)]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests;
