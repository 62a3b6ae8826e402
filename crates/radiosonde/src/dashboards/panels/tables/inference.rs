//! Generative models, batches, phases and training.

use super::{Ask, Form, Plan, Table, line, panel, unit};

pub(super) const PLAN: Plan = Plan {
    name: "inference",
    title: "Inference",
    about: "Requests of generative models, batches, the phases inside, and training.",
    panels: PANELS,
};

static PANELS: &[Table] = &[
    panel(
        "Requests a second",
        Form::Number,
        unit::A_SECOND,
        6,
        &[line(Ask::Rate("gen_ai.server.request.duration"), &[], "")],
    ),
    panel(
        "First token, 95 % within",
        Form::Number,
        unit::SECONDS,
        6,
        &[line(
            Ask::Within(0.95, "gen_ai.server.time_to_first_token"),
            &[],
            "",
        )],
    ),
    panel(
        "Tokens generated a second",
        Form::Number,
        unit::NUMBER,
        6,
        &[line(Ask::Rate("radiosonde.gen_ai.output_tokens"), &[], "")],
    ),
    panel(
        "Share that fails",
        Form::Number,
        unit::SHARE,
        6,
        &[line(
            Ask::With("gen_ai.server.request.duration", "error.type", None),
            &[],
            "",
        )],
    ),
    panel(
        "Requests by model and operation",
        Form::Areas,
        unit::A_SECOND,
        12,
        &[line(
            Ask::Rate("gen_ai.server.request.duration"),
            &["gen_ai.request.model", "gen_ai.operation.name"],
            "",
        )],
    ),
    panel(
        "Tokens a second",
        Form::Lines,
        unit::NUMBER,
        12,
        &[
            line(
                Ask::Rate("radiosonde.gen_ai.input_tokens"),
                &["gen_ai.request.model"],
                "in",
            ),
            line(
                Ask::Rate("radiosonde.gen_ai.output_tokens"),
                &["gen_ai.request.model"],
                "out",
            ),
        ],
    ),
    panel(
        "Duration of requests",
        Form::Heatmap,
        unit::SECONDS,
        12,
        &[line(
            Ask::Buckets("gen_ai.server.request.duration"),
            &[],
            "",
        )],
    ),
    panel(
        "Time to the first token",
        Form::Lines,
        unit::SECONDS,
        12,
        &[
            line(
                Ask::Within(0.5, "gen_ai.server.time_to_first_token"),
                &[],
                "50 %",
            ),
            line(
                Ask::Within(0.95, "gen_ai.server.time_to_first_token"),
                &[],
                "95 %",
            ),
            line(
                Ask::Within(0.99, "gen_ai.server.time_to_first_token"),
                &[],
                "99 %",
            ),
        ],
    ),
    panel(
        "Time between tokens",
        Form::Lines,
        unit::SECONDS,
        12,
        &[
            line(
                Ask::Within(0.5, "gen_ai.server.time_per_output_token"),
                &[],
                "50 %",
            ),
            line(
                Ask::Within(0.95, "gen_ai.server.time_per_output_token"),
                &[],
                "95 %",
            ),
            line(
                Ask::Within(0.99, "gen_ai.server.time_per_output_token"),
                &[],
                "99 %",
            ),
        ],
    ),
    panel(
        "Waiting before work begins, 95 % within",
        Form::Lines,
        unit::SECONDS,
        12,
        &[line(
            Ask::Within(0.95, "radiosonde.gen_ai.queue.duration"),
            &["gen_ai.request.model"],
            "",
        )],
    ),
    panel(
        "Batches a second",
        Form::Areas,
        unit::A_SECOND,
        12,
        &[line(
            Ask::Rate("ml.inference.count"),
            &["model", "device"],
            "",
        )],
    ),
    panel(
        "Requests in a batch",
        Form::Heatmap,
        unit::NUMBER,
        12,
        &[line(Ask::Buckets("ml.inference.batch_size"), &[], "")],
    ),
    panel(
        "Batches, 95 % within",
        Form::Lines,
        unit::SECONDS,
        12,
        &[line(
            Ask::Within(0.95, "ml.inference.duration"),
            &["model", "device"],
            "",
        )],
    ),
    panel(
        "Phases of the model, 95 % within",
        Form::Lines,
        unit::SECONDS,
        12,
        &[line(
            Ask::Within(0.95, "model.phase.duration"),
            &["phase"],
            "",
        )],
    ),
    panel(
        "Training: loss",
        Form::Lines,
        unit::NUMBER,
        12,
        &[line(Ask::Most("ml.loss"), &["job", "model"], "")],
    ),
    panel(
        "Training: steps, 95 % within",
        Form::Lines,
        unit::SECONDS,
        12,
        &[line(
            Ask::Within(0.95, "ml.train_step.duration"),
            &["model"],
            "",
        )],
    ),
];
