//! What the views print, given progress in the order that two workers produce it.

use super::*;
use crate::generate::Finish;

fn outcome(request: u32) -> Outcome {
    Outcome {
        request,
        prompt: "?",
        text: String::new(),
        error: None,
        worker: 1,
        prompt_tokens: 9,
        output_tokens: 12,
        finish: Some(Finish::Stop),
        queue_seconds: 0.5,
        first_token_seconds: Some(0.75),
        total_seconds: 1.5,
        tokens_per_second: Some(31.25),
        cpu_seconds: Some(0.9),
        cpu_ms_per_token: Some(25.0),
        kv_used_bytes: 100,
        kv_reserved_bytes: 200,
    }
}

fn started(request: u32, prompt: &'static str) -> Progress {
    Progress::Started { request, prompt }
}

fn text(request: u32, text: &str) -> Progress {
    Progress::Text {
        request,
        text: text.to_owned(),
    }
}

#[test]
fn answers_come_in_order_however_they_are_generated() {
    let mut transcript = Transcript::new(Vec::new());
    let mut failed = outcome(3);
    failed.error = Some("no more".to_owned());
    for progress in [
        started(1, "Who?"),
        started(2, "Where?"),
        text(2, "Over"),
        text(1, "It was"),
        text(2, " there."),
        Progress::Ended(outcome(2)),
        text(1, " me."),
        started(3, "When?"),
        Progress::Ended(outcome(1)),
        Progress::Ended(failed),
    ] {
        transcript.on(progress).unwrap();
    }
    insta::assert_snapshot!(String::from_utf8(transcript.to).unwrap(), @r"
     1  Who?
        It was me.
        [waited 0.50 s, first token after 0.75 s, then 31.2 tokens/s, 12 tokens]

     2  Where?
        Over there.
        [waited 0.50 s, first token after 0.75 s, then 31.2 tokens/s, 12 tokens]

     3  When?
        [failed: no more]
    ");
}

#[test]
fn the_current_answer_is_shown_before_it_is_complete() {
    let mut transcript = Transcript::new(Vec::new());
    transcript.on(started(1, "Who?")).unwrap();
    transcript.on(text(1, "It was ")).unwrap();
    assert_eq!(
        String::from_utf8(transcript.to).unwrap(),
        " 1  Who?\n    It was"
    );
}

#[test]
fn the_ticker_counts_what_has_ended() {
    let mut ticker = Ticker::new(Vec::new(), "tiny (random weights)", 2);
    ticker.on(&started(1, "Who?")).unwrap();
    ticker.on(&Progress::Ended(outcome(2))).unwrap();
    insta::assert_snapshot!(
        String::from_utf8(ticker.to).unwrap(),
        @"1/2  tiny (random weights)  request 2: waited 0.50 s, first token after 0.75 s, then 31.2 tokens/s, 12 tokens"
    );
}
