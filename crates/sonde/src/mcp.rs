//! `sonde mcp`: an agent asks the collector over standard input and output, by the Model Context Protocol
//! (modelcontextprotocol.io, revision 2025-06-18): JSON-RPC 2.0, one message a line. Nothing here changes anything.

use std::io::{self, BufRead as _, Write as _};

use serde_json::{Value, json};

use crate::{
    cli::CollectorArguments,
    collector::{Collector, Parameters, encoded},
};

/// The newest revision of the protocol that this is written for, and the older ones whose messages are the same here.
const REVISIONS: [&str; 3] = ["2025-06-18", "2025-03-26", "2024-11-05"];
/// Longest message.
const MESSAGE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Most bytes of an answer: an agent reads it as a whole.
const ANSWER_BYTES_MAX: usize = 200_000;
/// Most nodes of a comparison's tree.
const NODES_MAX: usize = 16;

/// JSON-RPC's errors (jsonrpc.org/specification, section 5.1).
const PARSE_ERROR: i64 = -32_700;
const INVALID_REQUEST: i64 = -32_600;
const METHOD_NOT_FOUND: i64 = -32_601;
const INVALID_PARAMS: i64 = -32_602;

/// What an agent can ask.
struct Tool {
    name: &'static str,
    what: &'static str,
    /// Names, whether they must be given, and meanings.
    arguments: &'static [(&'static str, bool, &'static str)],
}

const FROM: (&str, bool, &str) = (
    "from",
    false,
    "since when: RFC 3339, or how long ago, such as -15m or -2d; without it the last hour",
);
const TO: (&str, bool, &str) = ("to", false, "until when; without it now");
const SERVICE: (&str, bool, &str) = ("service", false, "only this service.name");
const FILTER: (&str, bool, &str) = (
    "q",
    false,
    "what one of its spans is like: duration > 100ms and gpu.op = \"softmax\"",
);
const OPERATION: (&str, bool, &str) = (
    "operation",
    false,
    "only spans of this name, with what is below them",
);
const VERSION: (&str, bool, &str) = ("version", false, "only this service.version");
const LIMIT: (&str, bool, &str) = ("limit", false, "at most so many");
const TRACE_ID: (&str, bool, &str) = ("trace_id", true, "32 hexadecimal digits");

const TOOLS: &[Tool] = &[
    Tool {
        name: "overview",
        what: "Requests, errors, latency quantiles and tokens by service and operation",
        arguments: &[FROM, TO, SERVICE],
    },
    Tool {
        name: "traces",
        what: "Lists traces, the newest or the slowest first",
        arguments: &[
            FILTER,
            ("order", false, "recent or slowest"),
            FROM,
            TO,
            SERVICE,
            LIMIT,
        ],
    },
    Tool {
        name: "trace",
        what: "All spans and logs of one trace",
        arguments: &[TRACE_ID],
    },
    Tool {
        name: "show",
        what: "All that is known of one identifier: the spans and logs of its trace, the exemplars of metrics that name it, where its profile's samples are; of several traces the newest",
        arguments: &[
            (
                "id",
                true,
                "a trace's or span's hexadecimal digits, or a correlation ID (the attribute correlation.id, request_id ...)",
            ),
            FROM,
            TO,
        ],
    },
    Tool {
        name: "why",
        what: "Says where the time went and why it took so long, with evidence, what is ruled out and what cannot be told: of a trace, of a span of it, or of all requests of a time, a service, an operation, and then what the slow ones have that the typical ones have not",
        arguments: &[
            (
                "trace_id",
                false,
                "of this trace alone: 32 hexadecimal digits",
            ),
            (
                "span",
                false,
                "of this span of the trace and what is below it: 16 hexadecimal digits",
            ),
            OPERATION,
            VERSION,
            FILTER,
            FROM,
            TO,
            SERVICE,
        ],
    },
    Tool {
        name: "compare",
        what: "Says what is different between two sides and what makes it, with evidence: two traces, before and after a time (at), two versions, two filters. Every difference is b less a; a trace alone is compared with the typical ones like it",
        arguments: &[
            ("a", false, "a filter: the first side"),
            ("b", false, "a filter: the second side"),
            ("a_trace", false, "the first side is this trace"),
            ("b_trace", false, "the second side is this trace"),
            ("a_version", false, "the first side's service.version"),
            ("b_version", false, "the second side's service.version"),
            ("a_service", false, "the first side's service.name"),
            ("b_service", false, "the second side's service.name"),
            ("a_operation", false, "the first side's spans are called so"),
            (
                "b_operation",
                false,
                "the second side's spans are called so",
            ),
            ("a_from", false, "the first side's time begins"),
            ("a_to", false, "the first side's time ends"),
            ("b_from", false, "the second side's time begins"),
            ("b_to", false, "the second side's time ends"),
            (
                "at",
                false,
                "the first side ends and the second begins: before and after",
            ),
            OPERATION,
            FILTER,
            FROM,
            TO,
            SERVICE,
        ],
    },
    Tool {
        name: "logs",
        what: "Logs and events, the newest first",
        arguments: &[
            ("q", false, "text that they contain"),
            (
                "severity",
                false,
                "the least: trace, debug, info, warn, error or fatal",
            ),
            ("trace_id", false, "only of this trace"),
            FROM,
            TO,
            SERVICE,
            LIMIT,
        ],
    },
    Tool {
        name: "metrics",
        what: "Lists metrics, or gives the readings of one",
        arguments: &[
            ("name", false, "the metric whose readings are asked for"),
            FROM,
            TO,
            SERVICE,
        ],
    },
    Tool {
        name: "queue",
        what: "Says of each queue how many wait and since when, how many arrive and are done, whether L = λW (Little's law), who is ahead by trace, what is stuck and when it is full, and what cannot be told",
        arguments: &[("q", false, "part of the queue's name"), FROM, TO, SERVICE],
    },
    Tool {
        name: "semconv",
        what: "Which names each service uses for what OpenTelemetry has names for, and what those are called here",
        arguments: &[FROM, TO, SERVICE],
    },
    Tool {
        name: "services",
        what: "Which services there are and who calls whom, with errors and latency",
        arguments: &[FROM, TO],
    },
    Tool {
        name: "flame",
        what: "Where programs spend their time, from profiles: libraries by what is charged to them, functions by what they took themselves, and the tree of calls",
        arguments: &[
            ("type", false, "what is counted: cpu, wall, alloc_space ..."),
            ("trace_id", false, "only within this trace"),
            ("q", false, "text that the stacks contain"),
            FROM,
            TO,
            SERVICE,
        ],
    },
    Tool {
        name: "query",
        what: "Answers a SELECT over the tables spans, logs, points, profiles and operations (spans added up by minute); attributes['http.route'] is an attribute, durations are nanoseconds",
        arguments: &[("statement", true, "the statement")],
    },
    Tool {
        name: "promql",
        what: "Answers a query in PromQL over metrics by the names that Prometheus gives them (gen_ai_server_request_duration_seconds_bucket); with step for each step from `from` to `to`, otherwise once at `to`",
        arguments: &[
            (
                "query",
                true,
                "the query: histogram_quantile(0.95, sum by (le) (rate(x_bucket[5m])))",
            ),
            ("step", false, "how far apart: 15s, 1m"),
            FROM,
            TO,
        ],
    },
    Tool {
        name: "doctor",
        what: "Who sent what, what was refused and why, and what is checked: clocks, sampling, losses, spans without parents",
        arguments: &[],
    },
];

/// Answers messages until standard input ends.
pub fn run(arguments: &CollectorArguments) -> anyhow::Result<String> {
    let collector = Collector::new(arguments)?;
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    loop {
        let mut line = Vec::new();
        let read = io::Read::take(&mut input, MESSAGE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(String::new());
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if let Some(answer) = answer(&collector, &line) {
            let written = writeln!(output, "{answer}").and_then(|()| output.flush());
            if written.is_err() {
                return Ok(String::new());
            }
        }
    }
}

/// The answer to a message; a notification has none.
fn answer(collector: &Collector, line: &[u8]) -> Option<Value> {
    let Ok(message) = serde_json::from_slice::<Value>(line) else {
        return Some(error(&Value::Null, PARSE_ERROR, "this is no JSON"));
    };
    let id = message.get("id").cloned();
    let Some(method) = message["method"].as_str() else {
        let id = id.unwrap_or_default();
        return Some(error(&id, INVALID_REQUEST, "a message has a `method`"));
    };
    let id = id?;
    Some(match method {
        "initialize" => result(&id, &greeting(&message["params"])),
        "ping" => result(&id, &json!({})),
        "tools/list" => result(
            &id,
            &json!({"tools": TOOLS.iter().map(described).collect::<Vec<_>>()}),
        ),
        "tools/call" => match call(collector, &message["params"]) {
            Ok(answer) => result(&id, &answer),
            Err(message) => error(&id, INVALID_PARAMS, &message),
        },
        other => error(
            &id,
            METHOD_NOT_FOUND,
            &format!("there is no method `{other}`"),
        ),
    })
}

fn result(id: &Value, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

fn error(id: &Value, code: i64, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}

fn greeting(params: &Value) -> Value {
    let asked = params["protocolVersion"].as_str();
    let revision = REVISIONS
        .into_iter()
        .find(|revision| Some(*revision) == asked)
        .unwrap_or(REVISIONS[0]);
    json!({
        "protocolVersion": revision,
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "radiosonde", "version": env!("CARGO_PKG_VERSION")},
        "instructions": "Telemetry of programs that run models. Begin with `overview` or `traces` in order `slowest`, then ask `why` of a trace, of an operation or of a time, and `compare` what is slow with what is not.",
    })
}

fn described(tool: &Tool) -> Value {
    let properties: serde_json::Map<String, Value> = tool
        .arguments
        .iter()
        .map(|(name, _, what)| {
            (
                (*name).to_owned(),
                json!({"type": "string", "description": what}),
            )
        })
        .collect();
    let required: Vec<_> = tool
        .arguments
        .iter()
        .filter(|(_, required, _)| *required)
        .map(|(name, ..)| *name)
        .collect();
    json!({
        "name": tool.name,
        "description": tool.what,
        "inputSchema": {"type": "object", "properties": properties, "required": required, "additionalProperties": false},
        "annotations": {"readOnlyHint": true},
    })
}

/// Calls a tool. What the collector refuses is an answer as well: the agent can mend its question.
fn call(collector: &Collector, params: &Value) -> Result<Value, String> {
    let name = params["name"].as_str().unwrap_or_default();
    let tool = TOOLS.iter().find(|tool| tool.name == name).ok_or_else(|| {
        let names: Vec<_> = TOOLS.iter().map(|tool| tool.name).collect();
        format!("there is no tool `{name}`; there are {}", names.join(", "))
    })?;
    let given = params["arguments"].as_object().cloned().unwrap_or_default();
    let known = |name: &str| {
        tool.arguments
            .iter()
            .find(|(known, ..)| *known == name)
            .map(|(known, ..)| *known)
    };
    let mut values: Vec<(&'static str, String)> = Vec::new();
    for (name, value) in &given {
        let Some(known) = known(name) else {
            return Err(format!("`{}` takes no `{name}`", tool.name));
        };
        match value {
            Value::Null => {}
            Value::String(text) => values.push((known, text.clone())),
            other => values.push((known, other.to_string())),
        }
    }
    let lacks = |(name, required, _): &&(&str, bool, &str)| {
        *required && values.iter().all(|(given, _)| given != name)
    };
    if let Some((name, ..)) = tool.arguments.iter().find(lacks) {
        return Err(format!("`{}` needs `{name}`", tool.name));
    }
    let (text, is_error) = match ask(collector, tool.name, &values) {
        Ok(answer) => (shortened(answer.to_string()), false),
        Err(error) => (format!("{error:#}"), true),
    };
    Ok(json!({"content": [{"type": "text", "text": text}], "isError": is_error}))
}

fn ask(
    collector: &Collector,
    tool: &str,
    values: &[(&'static str, String)],
) -> anyhow::Result<Value> {
    let value = |wanted: &str| {
        values
            .iter()
            .find(|(name, _)| *name == wanted)
            .map_or("", |(_, value)| value.as_str())
    };
    let others = |left_out: &str| -> Parameters<'_> {
        let others = values.iter().filter(|(name, _)| *name != left_out);
        others
            .map(|(name, value)| (*name, value.as_str()))
            .collect()
    };
    match tool {
        "query" => collector.sql(value("statement")),
        "promql" => {
            let or = |given: &'static str, default: &'static str| {
                let given = value(given);
                if given.is_empty() { default } else { given }.to_owned()
            };
            let (from, to) = (or("from", "-1h"), or("to", "now"));
            crate::ask::promql::answer(collector, value("query"), value("step"), &from, &to)
        }
        "trace" => collector.get(
            &format!("traces/{}", encoded(value("trace_id"))),
            &Vec::new(),
        ),
        "show" => collector.get(&format!("show/{}", encoded(value("id"))), &others("id")),
        "why" if value("trace_id").is_empty() => {
            collector.get("why", &others("trace_id")).map(brief)
        }
        "why" => collector.get(
            &format!("traces/{}/why", encoded(value("trace_id"))),
            &others("trace_id"),
        ),
        "compare" => collector.get("compare", &others("")).map(brief),
        "services" => collector.get("map", &others("")),
        "flame" => {
            let mut parameters = others("");
            // An agent reads rankings; of the tree it gets what is large.
            parameters.push(("nodes", "300"));
            collector.get("flame", &parameters)
        }
        "doctor" => crate::ask::diagnosis(collector),
        "queue" => collector.get("queues", &others("")),
        "metrics" if !value("name").is_empty() => collector.get(
            &format!("metrics/{}", encoded(value("name"))),
            &others("name"),
        ),
        other => collector.get(other, &others("")),
    }
}

/// A comparison without what its text has as well, so that it is read as a whole: of the tree what contributes most.
fn brief(mut answer: Value) -> Value {
    for place in ["/tree/nodes", "/slow/comparison/tree/nodes"] {
        if let Some(Value::Array(nodes)) = answer.pointer_mut(place) {
            nodes.truncate(NODES_MAX);
        }
    }
    answer
}

fn shortened(mut text: String) -> String {
    if text.len() > ANSWER_BYTES_MAX {
        text.truncate(text.floor_char_boundary(ANSWER_BYTES_MAX));
        text.push_str("\n... the answer is longer than this; ask for less of it");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(message: &str) -> Option<Value> {
        // Nothing listens there.
        answer(&Collector::at("http://127.0.0.1:1"), message.as_bytes())
    }

    #[test]
    fn greets_in_the_revision_that_was_asked_for() {
        let greeting = told(r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2024-11-05"}}"#).unwrap();
        assert_eq!(greeting["result"]["protocolVersion"], "2024-11-05");
        assert_eq!(greeting["id"], 1);
        assert_eq!(
            told(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#),
            None
        );
    }

    #[test]
    fn every_tool_is_described_and_only_reads() {
        let list = told(r#"{"jsonrpc":"2.0","id":"a","method":"tools/list"}"#).unwrap();
        let tools = list["result"]["tools"].as_array().unwrap();
        assert_eq!(tools.len(), TOOLS.len());
        assert!(
            tools
                .iter()
                .all(|tool| tool["annotations"]["readOnlyHint"] == true)
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (message, words) in [
            ("{", "no JSON"),
            (r#"{"id":1}"#, "`method`"),
            (r#"{"id":1,"method":"shutdown"}"#, "no method"),
            (
                r#"{"id":1,"method":"tools/call","params":{"name":"drop"}}"#,
                "no tool",
            ),
            (
                r#"{"id":1,"method":"tools/call","params":{"name":"trace"}}"#,
                "needs `trace_id`",
            ),
            (
                r#"{"id":1,"method":"tools/call","params":{"name":"logs","arguments":{"colour":"red"}}}"#,
                "takes no `colour`",
            ),
            (
                r#"{"id":1,"method":"tools/call","params":{"name":"doctor"}}"#,
                "no collector answers",
            ),
        ] {
            let said = told(message).unwrap().to_string();
            assert!(said.contains(words), "{message}: {said}");
        }
    }
}
