//! `sonde queue`: the truth about queues, as the collector has it.

use crate::{
    cli::{Format, queue::QueueArguments},
    collector::Collector,
    text::{self, list, member},
};

/// `sonde queue`.
pub fn run(arguments: &QueueArguments) -> anyhow::Result<String> {
    let mut parameters = arguments.range.parameters();
    parameters.extend(
        arguments
            .service
            .as_deref()
            .map(|service| ("service", service)),
    );
    parameters.extend(arguments.name.as_deref().map(|name| ("q", name)));
    let answer = Collector::new(&arguments.collector)?.get("queues", &parameters)?;
    if arguments.format == Format::Json {
        return Ok(text::json(&answer));
    }
    if list(&answer, "queues").is_empty() {
        return Ok(
            "No queue was reported in this time. Report any by three lines (docs/queues.md), or scrape an engine's metrics: \
             `sonde serve --scrape http://127.0.0.1:8000/metrics,job=vllm`.\n"
                .to_owned(),
        );
    }
    let words = member(&answer, "text");
    // Names come from whoever sent them; a terminal obeys control characters.
    let lines = words.lines().map(text::plain);
    let mut out = lines.collect::<Vec<_>>().join("\n");
    out.push('\n');
    if answer["more"] == true {
        out.push_str("There are more queues than are shown; name one, or its service.\n");
    }
    Ok(out)
}
