//! Devices.

use super::{Ask, Form, Plan, Table, line, panel, panel_about, unit};

pub(super) const PLAN: Plan = Plan {
    name: "gpu",
    title: "GPU",
    about: "How busy the devices are, and what they do.",
    panels: PANELS,
};

static PANELS: &[Table] = &[
    panel_about(
        "GPU utilisation",
        "A row for each device: the share of the time in which it had work.",
        Form::Rows,
        unit::SHARE,
        24,
        &[line(
            Ask::Most("hw.gpu.utilization"),
            &["instance", "hw.id"],
            "",
        )],
    ),
    panel(
        "GPU utilisation over time",
        Form::Lines,
        unit::SHARE,
        12,
        &[line(
            Ask::Most("hw.gpu.utilization"),
            &["instance", "hw.id"],
            "",
        )],
    ),
    panel(
        "Bandwidth of memory in use",
        Form::Lines,
        unit::SHARE,
        12,
        &[line(
            Ask::Most("radiosonde.gpu.dram.bandwidth.utilization"),
            &["instance", "hw.id"],
            "",
        )],
    ),
    panel(
        "Device memory in use",
        Form::Lines,
        unit::BYTES,
        12,
        &[
            line(
                Ask::Most("hw.gpu.memory.usage"),
                &["instance", "hw.id"],
                "in use",
            ),
            line(
                Ask::Most("hw.gpu.memory.limit"),
                &["instance", "hw.id"],
                "there is",
            ),
        ],
    ),
    panel(
        "Device memory: share in use",
        Form::Rows,
        unit::SHARE,
        12,
        &[line(
            Ask::Filled("hw.gpu.memory.usage", "hw.gpu.memory.limit"),
            &["instance", "hw.id"],
            "",
        )],
    ),
    panel(
        "Temperature",
        Form::Lines,
        unit::CELSIUS,
        12,
        &[line(
            Ask::Most("hw.temperature"),
            &["instance", "hw.id"],
            "",
        )],
    ),
    panel(
        "Power",
        Form::Areas,
        unit::WATT,
        12,
        &[line(Ask::Sum("hw.power"), &["instance", "hw.id"], "")],
    ),
    panel(
        "Kernels inside operations, 95 % within",
        Form::Lines,
        unit::SECONDS,
        12,
        &[line(
            Ask::Within(0.95, "gpu.kernel.duration"),
            &["internal_kernel_name"],
            "",
        )],
    ),
    panel(
        "Waiting for devices, 95 % within",
        Form::Lines,
        unit::SECONDS,
        12,
        &[line(
            Ask::Within(0.95, "gpu.synchronize.duration"),
            &["device"],
            "",
        )],
    ),
    panel_about(
        "Found in caches",
        "The share of accesses that found what they asked for.",
        Form::Lines,
        unit::SHARE,
        12,
        &[line(
            Ask::With("gpu.cache.access.count", "hit", Some("true")),
            &["cache_key"],
            "",
        )],
    ),
    panel(
        "Compilation of kernels, 95 % within",
        Form::Lines,
        unit::SECONDS,
        12,
        &[line(
            Ask::Within(0.95, "gpu.compile.duration"),
            &["backend"],
            "",
        )],
    ),
];
