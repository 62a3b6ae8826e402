//! Which labels make how many series.

use super::*;

fn system() -> System {
    let system = System::empty();
    let mut rows = StoreRows::default();
    for request in 0..40_i64 {
        let trace = format!("{:032x}", (request + 1) * 0x9e37_79b9);
        let labels = [
            ("route", Attribute::Text("/pay")),
            ("request", Attribute::Text(&trace)),
            ("retry", Attribute::Int(request % 2)),
        ];
        for (name, labels) in [("requests", &labels[..]), ("requests.active", &labels[..1])] {
            rows.point(&PointRow {
                origin: origin("engine"),
                name,
                unit: "",
                kind: PointKind::Counter,
                time_unix_ns: START + request * MS,
                start_unix_ns: 0,
                value: 1.0,
                count: 0,
                distribution: "",
                exemplars: "",
                attributes: labels,
            });
        }
    }
    system.api.store.append(rows).unwrap();
    system
}

#[test]
fn labels_are_told_with_what_they_cost_and_what_takes_them_away() {
    let answer = system().get(&format!("/api/v1/cardinality?{RANGE}"));
    assert_eq!(
        (&answer["series"], &answer["is_partial"]),
        (&41.into(), &false.into())
    );
    let metric = &answer["metrics"][0];
    assert_eq!(
        (&metric["name"], &metric["series"]),
        (&"requests".into(), &40.into())
    );
    let label = &metric["labels"][0];
    assert_eq!(
        (&label["name"], &label["values"]),
        (&"request".into(), &40.into())
    );
    assert_eq!(
        (&label["series_without"], &label["series_saved"]),
        (&2.into(), &38.into())
    );
    assert_eq!(label["identifier"]["kind"], "hexadecimal");
    assert!(
        label["rule"]["collector"]
            .as_str()
            .unwrap()
            .contains("drop_label = \"request\"")
    );
    // Forty readings of one series, of which each takes 24 bytes.
    let other = &answer["metrics"][1];
    assert_eq!(other["bytes"], "route/pay".len() + 40 * 24);
}

#[test]
fn a_metric_and_a_number_of_them_can_be_asked_for() {
    let system = system();
    let answer = system.get(&format!("/api/v1/cardinality?q=active&{RANGE}"));
    assert_eq!(
        (
            &answer["metrics"].as_array().unwrap().len(),
            &answer["series"]
        ),
        (&1, &1.into())
    );
    let answer = system.get(&format!("/api/v1/cardinality?limit=1&{RANGE}"));
    assert_eq!(
        (
            &answer["metrics"].as_array().unwrap().len(),
            &answer["more_metrics"]
        ),
        (&1, &1.into())
    );
    let answer = system.get(&format!("/api/v1/cardinality?service=nobody&{RANGE}"));
    assert_eq!(answer["metrics"], serde_json::json!([]));
}
