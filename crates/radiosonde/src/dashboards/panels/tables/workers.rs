//! Pools of worker processes.

use super::{Ask, Form, Plan, Table, line, panel, unit};

pub(super) const PLAN: Plan = Plan {
    name: "workers",
    title: "Workers",
    about: "Pools of worker processes: their calls, their size, and what befalls them.",
    panels: PANELS,
};

static PANELS: &[Table] = &[
    panel(
        "Calls a second",
        Form::Number,
        unit::A_SECOND,
        6,
        &[line(Ask::Rate("worker.call.count"), &[], "")],
    ),
    panel(
        "Share that raises",
        Form::Number,
        unit::SHARE,
        6,
        &[line(
            Ask::Part("worker.call.exceptions", "worker.call.count"),
            &[],
            "",
        )],
    ),
    panel(
        "Calls, 95 % within",
        Form::Number,
        unit::SECONDS,
        6,
        &[line(Ask::Within(0.95, "worker.call.duration"), &[], "")],
    ),
    panel(
        "Workers that are busy",
        Form::Number,
        unit::SHARE,
        6,
        &[line(
            Ask::Filled("worker.pool.busy", "worker.pool.size"),
            &[],
            "",
        )],
    ),
    panel(
        "Workers of a pool",
        Form::Areas,
        unit::NUMBER,
        12,
        &[
            line(Ask::Sum("worker.pool.busy"), &["pool"], "busy"),
            line(Ask::Sum("worker.pool.idle"), &["pool"], "idle"),
        ],
    ),
    panel(
        "Calls that wait for a worker",
        Form::Lines,
        unit::NUMBER,
        12,
        &[line(Ask::Sum("worker.pool.queue.depth"), &["pool"], "")],
    ),
    panel(
        "Waiting for a worker, 95 % within",
        Form::Lines,
        unit::SECONDS,
        12,
        &[line(
            Ask::Within(0.95, "worker.pool.queue.duration"),
            &["pool"],
            "",
        )],
    ),
    panel(
        "Time that a worker is out, 95 % within",
        Form::Lines,
        unit::SECONDS,
        12,
        &[line(
            Ask::Within(0.95, "worker.pool.busy.duration"),
            &["pool"],
            "",
        )],
    ),
    panel(
        "Calls by library",
        Form::Areas,
        unit::A_SECOND,
        12,
        &[line(
            Ask::Rate("worker.call.count"),
            &["library", "function"],
            "",
        )],
    ),
    panel(
        "Calls that fail, by kind",
        Form::Areas,
        unit::A_SECOND,
        12,
        &[line(
            Ask::Rate("worker.call.exceptions"),
            &["library", "error.type"],
            "",
        )],
    ),
    panel(
        "Duration of calls",
        Form::Heatmap,
        unit::SECONDS,
        12,
        &[line(Ask::Buckets("worker.call.duration"), &[], "")],
    ),
    panel(
        "Phases of calls, 95 % within",
        Form::Lines,
        unit::SECONDS,
        12,
        &[
            line(Ask::Within(0.95, "worker.call.queue.duration"), &[], "wait"),
            line(
                Ask::Within(0.95, "worker.call.serialize.duration"),
                &[],
                "encode",
            ),
            line(
                Ask::Within(0.95, "worker.call.execute.duration"),
                &[],
                "work",
            ),
            line(
                Ask::Within(0.95, "worker.call.deserialize.duration"),
                &[],
                "decode",
            ),
        ],
    ),
    panel(
        "Crashes and missed heartbeats a second",
        Form::Lines,
        unit::A_SECOND,
        12,
        &[
            line(Ask::Rate("worker.crashes"), &["type"], "crash"),
            line(
                Ask::Rate("worker.heartbeat.misses"),
                &["pool"],
                "no heartbeat",
            ),
        ],
    ),
    panel(
        "Circuit breakers",
        Form::Lines,
        unit::A_SECOND,
        12,
        &[
            line(Ask::Rate("circuit_breaker.opened"), &["device"], "opened"),
            line(Ask::Rate("circuit_breaker.closed"), &["device"], "closed"),
            line(Ask::Rate("health.alerts"), &["alert_type"], "alert"),
        ],
    ),
];
