use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::alerts::{
    Alert, Labels, Severity,
    routing::{Email, Encryption, Hook, Notified, PagerDuty, Reason, Webhook},
};

const SECOND_NS: u64 = 1_000_000_000;
/// 2026-11-30, 11:17 UTC.
const NOW_UNIX_NS: u64 = 1_796_037_420 * SECOND_NS;
const URL: &str = "https://sonde.example.com/?a=1&b=2";

fn texts(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn alert(service: &str, phase: Phase, severity: Severity) -> Alert {
    Alert {
        labels: texts(&[
            ("alertname", "ModelSlow"),
            ("service.name", service),
            ("model", "llama"),
            ("severity", severity.label()),
        ]),
        annotations: texts(&[
            ("summary", "p99 of <chat> is 812 ms & rising"),
            (
                "description",
                "The slowest 1 % of requests took longer than 500 ms for 5 minutes.",
            ),
            (
                "action",
                "Look at `sonde why`; [scale out](https://evil.example.com) or roll back.",
            ),
        ]),
        severity,
        phase,
        value: Some(0.812),
        started_unix_ns: NOW_UNIX_NS - 900 * SECOND_NS,
        fired_unix_ns: Some(NOW_UNIX_NS - 600 * SECOND_NS),
        resolved_unix_ns: (phase == Phase::Resolved).then_some(NOW_UNIX_NS - 60 * SECOND_NS),
    }
}

fn notification(reason: Reason, status: Phase, alerts: Vec<Alert>) -> Notification {
    let firing = alerts
        .iter()
        .filter(|alert| alert.phase == Phase::Firing)
        .count() as u64;
    Notification {
        id: 7,
        time_unix_ns: NOW_UNIX_NS,
        receiver: "team".to_owned(),
        group_key: r#"{}/{severity="critical"}:{alertname="ModelSlow"}"#.to_owned(),
        group_labels: texts(&[("alertname", "ModelSlow")]),
        reason,
        status,
        firing: firing + 3,
        resolved: alerts.len() as u64 - firing,
        alerts: alerts
            .into_iter()
            .map(|alert| Notified {
                alert,
                is_news: true,
                firings: 1,
                firings_over_ns: 0,
            })
            .collect(),
        left_out: 3,
        hidden: 1,
        repeat_unix_ns: NOW_UNIX_NS + 14_400 * SECOND_NS,
    }
}

/// One that fires and one that is resolved; another was left out, and one is silenced.
fn changed() -> Notification {
    let alerts = vec![
        alert("chat", Phase::Firing, Severity::Critical),
        alert("search", Phase::Resolved, Severity::Warning),
    ];
    notification(Reason::Changed, Phase::Firing, alerts)
}

/// One that flapped, and is well.
fn digest() -> Notification {
    let mut digest = notification(
        Reason::Digest,
        Phase::Resolved,
        vec![alert("chat", Phase::Resolved, Severity::Warning)],
    );
    (digest.alerts[0].firings, digest.alerts[0].firings_over_ns) = (10, 1_140 * SECOND_NS);
    (digest.left_out, digest.hidden, digest.firing) = (0, 0, 0);
    digest
}

fn receivers() -> [Receiver; 6] {
    let hook = || Hook {
        url: Secret::new("https://hooks.example.com/SECRET"),
        send_resolved: true,
    };
    let webhook = || Webhook {
        url: Secret::new("https://example.com/base/"),
        authorization: Some(Secret::new("Bearer SECRET")),
        alerts_max: 100,
        send_resolved: true,
    };
    let service = PagerDuty {
        routing_key: Secret::new("SECRET"),
        url: "https://events.pagerduty.com/v2/enqueue".to_owned(),
        send_resolved: true,
    };
    let email = Email {
        to: vec!["ana@example.com".to_owned()],
        from: "sonde@example.com".to_owned(),
        server: "smtp.example.com:587".to_owned(),
        encryption: Encryption::StartTls,
        username: None,
        password: None,
        send_resolved: true,
    };
    [
        Receiver::Slack(hook()),
        Receiver::Teams(hook()),
        Receiver::Webhook(webhook()),
        Receiver::PagerDuty(service),
        Receiver::Alertmanager(webhook()),
        Receiver::Email(email),
    ]
}

fn request(receiver: &Receiver, notification: &Notification) -> Request {
    match message(receiver, notification, URL) {
        Message::Http(request) => request,
        Message::Mail(mail) => panic!("{mail:?}"),
    }
}

/// The body as it is read, on many lines, in the order in which it is written.
fn pretty(request: &Request) -> String {
    let body = std::str::from_utf8(&request.body).unwrap();
    serde_json::from_str::<Value>(body).unwrap();
    body.replace("{\"", "{\n\"")
        .replace(",\"", ",\n\"")
        .replace("},{", "},\n{")
}

#[test]
fn bodies_are_these() {
    for receiver in &receivers()[..5] {
        for (name, notification) in [("changed", changed()), ("digest", digest())] {
            let request = request(receiver, &notification);
            insta::assert_snapshot!(format!("{}_{name}", receiver.kind()), pretty(&request));
        }
    }
}

#[test]
fn a_mail_is_this() {
    let Message::Mail(mail) = message(&receivers()[5], &changed(), URL) else {
        panic!("no mail");
    };
    let headers: Vec<String> = mail
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let picture = format!(
        "From: {}\nTo: {}\nSubject: {}\n{}\n\n{}\n----\n{}",
        mail.from,
        mail.to.join(", "),
        mail.subject,
        headers.join("\n"),
        mail.text,
        mail.html
    );
    insta::assert_snapshot!(picture);
}

#[test]
fn addresses_and_header_fields_are_the_receivers() {
    let [slack, _, webhook, pagerduty, alertmanager, _] = receivers();
    let sent = |receiver: &Receiver| {
        let request = request(receiver, &changed());
        let headers: Vec<String> = request
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.reveal()))
            .collect();
        format!("{} {}", request.url.reveal(), headers.join(", "))
    };
    assert_eq!(
        sent(&slack),
        "https://hooks.example.com/SECRET content-type: application/json"
    );
    assert_eq!(
        sent(&webhook),
        "https://example.com/base/ content-type: application/json, authorization: Bearer SECRET"
    );
    assert_eq!(
        sent(&alertmanager),
        "https://example.com/base/api/v2/alerts content-type: application/json, authorization: Bearer SECRET"
    );
    assert_eq!(
        sent(&pagerduty),
        "https://events.pagerduty.com/v2/enqueue content-type: application/json"
    );
    for receiver in receivers() {
        assert!(
            !format!("{:?}", message(&receiver, &changed(), URL)).contains("SECRET"),
            "{}",
            receiver.kind()
        );
    }
}

/// What Alertmanager 0.25.0 sent to a webhook after our body for it had been posted to it, with the alerts of [`changed`].
const OF_ALERTMANAGER: &str = r#"{"receiver":"hook","status":"firing","alerts":[
    {"status":"firing","labels":{"alertname":"ModelSlow","model":"llama","service_name":"chat","severity":"critical"},
     "annotations":{"summary":"p99"},"startsAt":"2026-11-30T11:07:00Z","endsAt":"0001-01-01T00:00:00Z",
     "generatorURL":"https://sonde.example.com/","fingerprint":"87a8e485b4ed3637"},
    {"status":"resolved","labels":{"alertname":"ModelSlow","model":"llama","service_name":"search","severity":"warning"},
     "annotations":{"summary":"p99"},"startsAt":"2026-11-30T11:07:00Z","endsAt":"2026-11-30T11:16:00Z",
     "generatorURL":"https://sonde.example.com/","fingerprint":"e934c605df54ddb0"}],
    "groupLabels":{"alertname":"ModelSlow"},"commonLabels":{"alertname":"ModelSlow","model":"llama"},
    "commonAnnotations":{"summary":"p99"},"externalURL":"http://vm:9093","version":"4",
    "groupKey":"{}:{alertname=\"ModelSlow\"}","truncatedAlerts":0}"#;

#[test]
fn what_reads_the_webhook_of_alertmanager_reads_ours() {
    let theirs: Value = serde_json::from_str(OF_ALERTMANAGER).unwrap();
    let mut notification = changed();
    (notification.left_out, notification.receiver) = (0, "hook".to_owned());
    notification.group_key = r#"{}:{alertname="ModelSlow"}"#.to_owned();
    for notified in &mut notification.alerts {
        notified.alert.annotations = texts(&[("summary", "p99")]);
        let service = notified.alert.labels.remove("service.name").unwrap();
        notified
            .alert
            .labels
            .insert("service_name".to_owned(), service);
    }
    let [_, _, webhook, ..] = receivers();
    let Message::Http(request) = message(&webhook, &notification, "https://sonde.example.com/")
    else {
        panic!("no request");
    };
    let mut ours: Value = serde_json::from_slice(&request.body).unwrap();
    ours["externalURL"] = theirs["externalURL"].clone();
    // What versions since 0.34 say as well.
    assert_eq!(
        ours.as_object_mut().unwrap().remove("notification_reason"),
        Some("changed".into())
    );
    assert_eq!(ours, theirs);
}

#[test]
fn answers_mean_what_each_receiver_says_they_do() {
    let [slack, teams, _, pagerduty, ..] = receivers();
    let outcome = |receiver, status, body, retry_after| {
        judge(
            receiver,
            &Answer {
                status,
                retry_after,
                body,
            },
        )
    };
    assert_eq!(outcome(&slack, 200, "ok", None), Outcome::Delivered);
    assert!(matches!(
        outcome(&slack, 200, "<html>", None),
        Outcome::Failed { .. }
    ));
    assert_eq!(
        outcome(&slack, 404, "no_service", None),
        Outcome::Refused {
            because: "slack answered 404: no_service".to_owned()
        }
    );
    let busy = Outcome::Failed {
        because: "slack answered 429: rate_limited".to_owned(),
        retry_after_ms: Some(30_000),
    };
    assert_eq!(outcome(&slack, 429, "rate_limited", Some(" 30 ")), busy);
    assert_eq!(outcome(&pagerduty, 202, "{}", None), Outcome::Delivered);
    assert_eq!(outcome(&teams, 202, "", None), Outcome::Delivered);
    let away = Outcome::Failed {
        because: "teams answered 503".to_owned(),
        retry_after_ms: None,
    };
    assert_eq!(
        outcome(&teams, 503, "", Some("Mon, 30 Nov 2026 11:17:00 GMT")),
        away
    );
    assert!(
        matches!(outcome(&teams, 302, "", None), Outcome::Refused { because } if because.contains("leads to"))
    );
    assert!(
        matches!(outcome(&pagerduty, 400, &"x\n".repeat(5_000), None), Outcome::Refused { because } if because.len() < 300)
    );
    assert_eq!(judge_mail(250, "queued"), Outcome::Delivered);
    assert!(matches!(judge_mail(451, "later"), Outcome::Failed { .. }));
    assert_eq!(
        judge_mail(550, "no such user"),
        Outcome::Refused {
            because: "the mail server answered 550: no such user".to_owned()
        }
    );
}

#[test]
fn what_an_alert_says_stays_text() {
    let mut notification = changed();
    let nasty = "<!channel> & </p><script>x</script>\r\nBcc: all@example.com [a](https://evil)";
    notification.alerts[0].alert.annotations = texts(&[("summary", nasty), ("action", nasty)]);
    notification.group_labels = texts(&[("alertname", nasty)]);
    notification.alerts[0].alert.labels = texts(&[("alertname", nasty)]);
    notification.alerts.truncate(1);
    let [slack, teams, .., email] = receivers();
    let slack = String::from_utf8(request(&slack, &notification).body).unwrap();
    assert!(
        !slack.contains("<!channel>") && slack.contains("&lt;!channel&gt; &amp; &lt;/p"),
        "{slack}"
    );
    let teams = String::from_utf8(request(&teams, &notification).body).unwrap();
    assert!(
        !teams.contains(" [a]") && teams.contains(r"\\[a\\]"),
        "{teams}"
    );
    let Message::Mail(mail) = message(&email, &notification, URL) else {
        panic!("no mail");
    };
    assert!(
        !mail.html.contains("<script>") && mail.html.contains("&lt;script&gt;"),
        "{}",
        mail.html
    );
    assert!(
        !mail.subject.contains(['\r', '\n'])
            && mail.headers.iter().all(|(_, value)| value.is_ascii())
    );
}

/// As many alerts as a receiver takes, each as large as it likes.
fn large(receiver: &Receiver, text: &str) -> Notification {
    let alerts = (0..receiver.alerts_max()).map(|index| Alert {
        annotations: texts(&[("summary", text), ("description", text), ("action", text)]),
        labels: texts(&[
            ("alertname", text),
            ("pod", &index.to_string()),
            (text, text),
        ]),
        ..alert("chat", Phase::Firing, Severity::Error)
    });
    let mut large = notification(Reason::New, Phase::Firing, alerts.collect());
    large.group_labels = texts(&[("alertname", text), ("service", text)]);
    large.group_key = text.to_owned();
    large
}

#[test]
fn bodies_stay_within_the_limits_of_their_receivers() {
    for text in ["a", "ä", "\u{1}", "&", "\\\"", "𝄞"].map(|letter| letter.repeat(20_000)) {
        let [slack, teams, _, pagerduty, ..] = receivers();
        let body = request(&slack, &large(&slack, &text)).body;
        let message: Value = serde_json::from_slice(&body).unwrap();
        let blocks = message["blocks"].as_array().unwrap();
        let lengths: Vec<usize> = blocks
            .iter()
            .map(|block| block["text"]["text"].as_str().unwrap().chars().count())
            .collect();
        assert!(
            blocks.len() <= 50 && lengths.iter().all(|&length| length <= 3_000),
            "{lengths:?}"
        );
        assert!(lengths.iter().sum::<usize>() <= 13_200, "{lengths:?}");
        assert!(
            request(&teams, &large(&teams, &text)).body.len() <= 28_000,
            "{text:.1}"
        );
        let body = request(&pagerduty, &large(&pagerduty, &text)).body;
        let event: Value = serde_json::from_slice(&body).unwrap();
        assert!(body.len() <= 512 * 1024, "{}", body.len());
        assert!(
            event["payload"]["summary"]
                .as_str()
                .unwrap()
                .chars()
                .count()
                <= 1_024
        );
        assert!(event["dedup_key"].as_str().unwrap().chars().count() <= 255);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_body_is_json_whatever_alerts_hold(text in any::<String>(), other in "[<>&\\[\\]\"\\\\\n\u{0}-\u{1f}]{0,20}") {
        for receiver in &receivers()[..5] {
            let mut notification = changed();
            for notified in &mut notification.alerts {
                notified.alert.annotations.insert("summary".to_owned(), text.clone());
                notified.alert.labels.insert(other.clone(), text.clone());
            }
            notification.group_labels.insert(text.clone(), other.clone());
            let body = request(receiver, &notification).body;
            prop_assert!(serde_json::from_slice::<Value>(&body).is_ok());
        }
    }
}
