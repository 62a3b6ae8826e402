use proptest::{collection::vec, prelude::*};

use super::*;

fn series(service: &str, metric: &str, labels: &[(&str, &str)]) -> Series {
    Series {
        service: service.to_owned(),
        sender: service.to_owned(),
        metric: metric.to_owned(),
        kind: "counter".to_owned(),
        labels: labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        first_unix_ns: 0,
        readings: 10,
        payload_bytes: 0,
    }
}

/// A metric of two routes, to which somebody added who asked.
fn injected() -> Vec<Series> {
    let mut all = vec![series("shop", "cache.hits", &[("tier", "l1")])];
    for user in 0..30 {
        for route in ["/cart", "/pay"] {
            let user = format!("user-{}", (user * 17) % 31);
            let labels = [("route", route), ("user_id", user.as_str())];
            all.push(series("shop", "requests", &labels));
        }
    }
    all.push(series("bank", "requests", &[("route", "/pay")]));
    all
}

#[test]
fn an_injected_user_id_is_found_with_what_it_costs_and_what_takes_it_away() {
    let report = report(&injected());
    assert_eq!((report.series, report.metrics.len()), (62, 2));
    let metric = &report.metrics[0];
    assert_eq!((metric.name.as_str(), metric.series), ("requests", 61));
    let services: Vec<_> = metric
        .services
        .iter()
        .map(|emitter| (emitter.service.as_str(), emitter.series))
        .collect();
    assert_eq!(services, [("shop", 60), ("bank", 1)]);
    let label = &metric.labels[0];
    assert_eq!(
        (
            label.name.as_str(),
            label.values,
            label.series_without,
            label.series_saved
        ),
        ("user_id", 30, 3, 58)
    );
    assert_eq!(label.services, ["shop"]);
    let top: Vec<_> = label
        .top
        .iter()
        .map(|held| (held.value.as_str(), held.series))
        .collect();
    assert_eq!(top, [("user-0", 2), ("user-1", 2), ("user-10", 2)]);
    assert_eq!(label.identifier.as_ref().unwrap().kind, Kind::Numbered);
    assert_eq!(
        label.rule.as_ref().unwrap().collector.as_deref().unwrap(),
        "[[metrics.rules]]\nmetric = \"requests\"\ndrop_label = \"user_id\"\n"
    );
    // The other label makes two of one, and is no identifier.
    let route = &metric.labels[1];
    assert_eq!((route.values, route.series_saved), (2, 30));
    assert_eq!(route.identifier, None);
    let top = (route.top[0].value.as_str(), route.top[0].series);
    assert_eq!(top, ("/pay", 31));
    // A label without which nothing is the same needs no rule.
    assert_eq!(report.metrics[1].labels[0].rule, None);
}

#[test]
fn bytes_are_those_of_the_formula() {
    let one = series("shop", "requests", &[("route", "/pay")]);
    assert_eq!(one.bytes(), 5 + 4 + 10 * READING_BYTES);
    let users = ["a", "b", "c"].map(|user| series("shop", "requests", &[("user", user)]));
    let report = report(&users);
    assert_eq!(report.bytes, 3 * (5 + 240));
    assert_eq!(report.metrics[0].labels[0].bytes_saved, 3 * (5 + 240) - 240);
}

#[test]
fn the_same_series_of_two_senders_are_two() {
    let one = series("shop", "requests", &[]);
    let mut other = one.clone();
    other.sender = "another process".to_owned();
    assert_eq!(report(&[one.clone(), other]).series, 2);
    assert_eq!(report(&[one.clone(), one]).series, 1);
    assert_eq!(report(&[]), Report::default());
}

fn any_series() -> impl Strategy<Value = Series> {
    let labels = proptest::sample::subsequence(vec!["a", "b", "c"], 0..=3);
    (0..2_u8, 0..2_u8, labels, vec(0..3_u8, 3), 0..5_u64).prop_map(
        |(service, metric, names, values, readings)| Series {
            service: format!("s{service}"),
            sender: format!("s{service}"),
            metric: format!("m{metric}"),
            kind: "counter".to_owned(),
            labels: names
                .iter()
                .zip(values)
                .map(|(name, value)| ((*name).to_owned(), value.to_string()))
                .collect(),
            first_unix_ns: 0,
            readings,
            payload_bytes: 0,
        },
    )
}

proptest! {
    #[test]
    fn what_is_said_to_be_saved_is_saved(all in vec(any_series(), 0..40)) {
        for metric in &report(&all).metrics {
            for label in &metric.labels {
                let mut without = all.clone();
                without.retain(|one| one.metric == metric.name);
                for one in &mut without {
                    one.labels.retain(|(name, _)| *name != label.name);
                }
                let left = report(&without);
                prop_assert_eq!(left.series, label.series_without);
                prop_assert_eq!(metric.series - left.series, label.series_saved);
                prop_assert_eq!(metric.bytes - left.bytes, label.bytes_saved);
            }
        }
    }

    #[test]
    fn the_order_in_which_series_come_says_nothing(
        all in vec(any_series(), 0..20).prop_shuffle(),
    ) {
        let mut sorted = all.clone();
        sorted.sort_by(|left, right| format!("{left:?}").cmp(&format!("{right:?}")));
        prop_assert_eq!(report(&all), report(&sorted));
    }
}
