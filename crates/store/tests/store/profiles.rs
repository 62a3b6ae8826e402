//! What profiles cost on the disk.

use radiosonde_store::{
    Config, Rows, Store, Table,
    query::{Cell, Limits},
    row::{Origin, SampleRow},
};

/// Samples of 16 threads at 99 Hz for a minute, sent every ten seconds: of 2,000 different stacks of 40 frames, as native and
/// Python frames of a model are, some of which are seen much more often than others.
#[test]
fn a_sample_costs_a_few_bytes() {
    const THREADS: u64 = 16;
    const SAMPLES: u64 = THREADS * 99 * 60;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    let stacks: Vec<String> = (0..2000_u64).map(stack).collect();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random = random.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
        random >> 33
    };
    let mut rows = Rows::default();
    for number in 0..SAMPLES {
        // The smaller of two is small more often.
        let at = next() % 2000;
        let stack = &stacks[at.min(next() % 2000) as usize];
        let moment = number / THREADS * 10_101_010 + next() % 50_000;
        rows.sample(&SampleRow {
            origin: Origin {
                service: "engine",
                resource: "{}",
                scope: "sampler",
            },
            time_unix_ns: 1_800_000_000_000_000_000 + moment as i64,
            duration_ns: 10_000_000_000,
            trace_id: Some(u128::from(number / 4000 + 1).to_be_bytes()),
            span_id: Some((number / 500 + 1).to_be_bytes()),
            kind: "cpu",
            unit: "nanoseconds",
            value: 10_101_010,
            thread: ["a", "b", "c", "d"][(number % 4) as usize],
            library: "torch",
            function: "leaf",
            stack,
            attributes: &[],
        });
        if (number + 1) % (SAMPLES / 6) == 0 {
            store.append(std::mem::take(&mut rows)).unwrap();
        }
    }
    store.append(rows).unwrap();
    store.flush().unwrap();
    let segments = store.segments();
    let of_profiles: Vec<_> = segments
        .iter()
        .filter(|segment| segment.table == Table::Profiles)
        .collect();
    let (bytes, rows) = (
        of_profiles.iter().map(|it| it.bytes).sum::<u64>(),
        of_profiles.iter().map(|it| it.rows).sum::<u64>(),
    );
    println!(
        "{:.2} bytes a sample, {} in all",
        bytes as f64 / rows as f64,
        bytes
    );
    assert_eq!(rows, SAMPLES);
    // Stacks are written once, and a sample's own columns take some bytes.
    assert!(bytes < 10 * rows, "{bytes} bytes for {rows} samples");
    let answer = store
        .sql(
            "SELECT sum(value), count(DISTINCT stack) FROM profiles",
            Limits::default(),
        )
        .unwrap();
    assert_eq!(answer.rows[0][0], Cell::Int(SAMPLES as i64 * 10_101_010));
}

fn stack(number: u64) -> String {
    let frame = |depth: u64| {
        let function = number / 5_u64.pow((7_u64.saturating_sub(depth / 6)) as u32);
        format!(
            "forward_{function}_{depth}\t/opt/venv/lib/python3.11/site-packages/torch/nn/modules/module_{}.py\t{}\t\tcpython",
            function % 37,
            function % 400 + 1
        )
    };
    (0..40).map(frame).collect::<Vec<_>>().join("\n")
}
