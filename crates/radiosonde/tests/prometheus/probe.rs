//! The test of a destination, at the real programs.

use std::path::Path;

use radiosonde::{
    config::{Format, RawConfig},
    exporter::probe::{self, Verdict},
};

use crate::peers::{self, Peer};

fn shows_the_test(kind: &str, peer: &Peer) {
    let text = format!(
        "[otlp]\ndiscover = false\n[[exporters]]\ntype = \"{kind}\"\nendpoint = \"{}\"\n{}",
        peer.url(),
        if kind == "pushgateway" {
            "job = \"tests\""
        } else {
            ""
        },
    );
    let raw = RawConfig::parse(Format::Toml, &text, Path::new("radiosonde.toml")).unwrap();
    let destinations = probe::run(raw).unwrap();
    let checks = &destinations[0].checks;
    let names: Vec<_> = checks.iter().map(|check| check.check).collect();
    assert_eq!(names, ["metrics", "read back", "clock"], "{checks:?}");
    // VictoriaMetrics tells no time.
    for check in &checks[..2] {
        assert_eq!(check.verdict, Verdict::Pass, "{checks:?}");
    }
    assert!(destinations[0].is_well(), "{checks:?}");
}

#[test]
fn prometheus_and_victoria_metrics_show_the_test() {
    for peer in [
        peers::prometheus("prometheus", "exemplar-storage", None),
        peers::victoria_metrics(),
    ]
    .into_iter()
    .flatten()
    {
        shows_the_test("remote_write", &peer);
    }
}

#[test]
fn a_pushgateway_shows_the_test() {
    if let Some(peer) = peers::pushgateway() {
        shows_the_test("pushgateway", &peer);
    }
}
