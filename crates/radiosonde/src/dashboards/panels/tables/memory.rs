//! Memory of hosts and devices.

use super::{Ask, Form, Plan, Table, line, panel, panel_about, unit};

pub(super) const PLAN: Plan = Plan {
    name: "memory",
    title: "Memory",
    about: "What takes memory, on hosts and devices.",
    panels: PANELS,
};

static PANELS: &[Table] = &[
    panel_about(
        "Outstanding",
        "What was taken and not given back.",
        Form::Areas,
        unit::BYTES,
        12,
        &[line(
            Ask::Left("memory.allocated", "memory.released"),
            &["type", "device"],
            "",
        )],
    ),
    panel(
        "Taken and given back a second",
        Form::Lines,
        unit::BYTES_A_SECOND,
        12,
        &[
            line(Ask::Rate("memory.allocated"), &["type", "device"], "taken"),
            line(
                Ask::Rate("memory.released"),
                &["type", "device"],
                "given back",
            ),
        ],
    ),
    panel(
        "Allocations a second",
        Form::Lines,
        unit::A_SECOND,
        12,
        &[
            line(
                Ask::Rate("memory.allocation.count"),
                &["type", "device"],
                "taken",
            ),
            line(
                Ask::Rate("memory.release.count"),
                &["type", "device"],
                "given back",
            ),
        ],
    ),
    panel_about(
        "Imbalances a second",
        "More was given back than was taken: something is reported twice or not at all.",
        Form::Lines,
        unit::A_SECOND,
        12,
        &[line(
            Ask::Rate("memory.imbalance.count"),
            &["type", "device"],
            "",
        )],
    ),
    panel(
        "Parts of models",
        Form::Areas,
        unit::BYTES,
        12,
        &[line(
            Ask::Sum("model.memory.usage"),
            &["component", "device"],
            "",
        )],
    ),
    panel(
        "Parts of models: in use of what is set aside",
        Form::Lines,
        unit::SHARE,
        12,
        &[line(
            Ask::Filled("model.memory.usage", "model.memory.reserved"),
            &["component", "device"],
            "",
        )],
    ),
    panel(
        "Allocators of frameworks",
        Form::Lines,
        unit::BYTES,
        12,
        &[
            line(
                Ask::Sum("radiosonde.gpu.allocator.allocated"),
                &["device"],
                "held by tensors",
            ),
            line(
                Ask::Sum("radiosonde.gpu.allocator.reserved"),
                &["device"],
                "taken from the driver",
            ),
        ],
    ),
    panel(
        "Free on devices",
        Form::Lines,
        unit::BYTES,
        12,
        &[line(Ask::Sum("hw.gpu.memory.free"), &["device"], "")],
    ),
    panel(
        "Memory of processes",
        Form::Areas,
        unit::BYTES,
        24,
        &[line(
            Ask::Sum("process.memory.usage"),
            &["job", "instance"],
            "",
        )],
    ),
];
