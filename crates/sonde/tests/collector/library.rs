//! Our own library as a client: what a program records after one `init` is found by the program's commands.

use tracing::{info, info_span};

use super::{Collector, TempDir};

const BLOCKS: u64 = 24;

/// Records as a program does that knows `tracing` alone.
fn generate() {
    let generation = info_span!("text_generation", model = "qwen2.5").entered();
    for block_id in 0..BLOCKS {
        let _block = info_span!("transformer_block", block_id).entered();
        info_span!("attention")
            .in_scope(|| std::thread::sleep(std::time::Duration::from_millis(1)));
    }
    info!(tokens = 17, "generated");
    drop(generation);
    for access in 0..10 {
        radiosonde::core::record(&radiosonde::core::events::ResourceCacheAccess {
            cache_key: "pipeline",
            hit: access < 7,
            bytes: 4096,
        });
    }
}

#[test]
fn what_our_library_records_is_found_and_the_tree_is_drawn() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path());
    let guard = radiosonde::builder()
        .service_name("engine")
        .otlp(&collector.otlp_http)
        .init()
        .unwrap();
    generate();
    drop(guard);

    let traces = collector.json(&["traces", "model = qwen2.5"]);
    assert_eq!(traces["traces"][0]["spans"], 1 + 2 * BLOCKS);
    assert_eq!(traces["traces"][0]["name"], "text_generation");
    let id = traces["traces"][0]["trace_id"].as_str().unwrap();
    let drawn = collector.text(&["trace", id]);
    for line in [
        "text_generation [engine]",
        "transformer_block",
        "attention",
        "generated",
    ] {
        assert!(drawn.contains(line), "{line} in {drawn}");
    }
    // Of each span the page draws what its children take of it, from these numbers.
    let trace = collector.json(&["trace", id]);
    let spans = trace["spans"].as_array().unwrap();
    let lasted = |name: &str| -> u64 {
        let named = spans.iter().filter(|span| span["name"] == name);
        named
            .map(|span| span["duration_ns"].as_u64().unwrap())
            .sum()
    };
    assert!(lasted("attention") <= lasted("transformer_block"));
    assert!(lasted("transformer_block") <= lasted("text_generation"));
    assert!(collector.text(&["logs"]).contains("generated"));

    let value = |query: &str| {
        let answer = collector.json(&["query", "--promql", query]);
        answer["result"][0]["value"][1]
            .as_str()
            .unwrap_or_else(|| panic!("{query}: {answer}"))
            .to_owned()
    };
    let hits =
        "sum(gpu_cache_access_count_total{hit=\"true\"}) / sum(gpu_cache_access_count_total)";
    assert_eq!(value(hits), "0.7");
    assert_eq!(value("sum(gpu_cache_bytes_total)"), "40960");
    assert!(collector.text(&["metrics"]).contains("gpu.cache.bytes"));
}
