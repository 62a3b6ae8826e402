use super::*;

fn faults(toml: &str) -> String {
    let routing: Routing = toml::from_str(toml).unwrap();
    routing.check().unwrap_err().to_string()
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_place() {
    let faults = faults(
        r#"
        mute_times = [{ name = "nights" }, { name = "nights", offset = "CET", spans = [{ times = ["9-17"] }] }]
        inhibit = [{ source = ["severity=critical"], target = [] }]
        [route]
        matchers = ["a=b"]
        group_wait = "soon"
        repeat_interval = "0s"
        group_by = ["...", "a"]
        flap_firings = 1
        routes = [
            { receiver = "nobody", matchers = ['a=~"("'], mute_times = ["weekends"], routes = [{ matchers = ["x"] }] },
        ]
        [receivers.chat]
        kind = "slack"
        url = "hooks.example.com/secret"
        [receivers.pager]
        kind = "pagerduty"
        routing_key = ""
        [receivers.machine]
        kind = "webhook"
        url = "https://example.com/"
        authorization = "Bearer a\nb"
        alerts_max = 0
        [receivers.people]
        kind = "email"
        to = ["ana"]
        from = "sonde@example.com"
        server = "smtp.example.com"
        username = "sonde"
        "#,
    );
    assert!(!faults.contains("secret"), "an address is a key");
    insta::assert_snapshot!(faults);
}

#[test]
fn keys_that_are_none_are_told() {
    for (toml, word) in [
        ("[route]\nreciever = 'x'", "reciever"), // spelling: ignore
        (
            "[receivers.a]\nkind = 'slack'\nurl = 'https://x/'\nchannel = '#a'",
            "channel",
        ),
        ("[receivers.a]\nkind = 'pigeon'", "pigeon"),
        ("[receivers.a]\nkind = 'slack'", "url"),
    ] {
        let error = toml::from_str::<Routing>(toml).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn a_tree_that_is_too_deep_or_too_large_is_refused() {
    let mut deep = Route::default();
    for _ in 0..ROUTE_DEPTH_MAX {
        deep = Route {
            routes: vec![deep],
            ..Route::default()
        };
    }
    let routing = |route: Route| Routing {
        route: Route {
            receiver: Some("a".to_owned()),
            ..route
        },
        receivers: toml::from_str("a = { kind = 'slack', url = 'https://x/' }").unwrap(),
        ..Routing::default()
    };
    assert!(
        routing(deep)
            .check()
            .unwrap_err()
            .to_string()
            .contains("16 deep")
    );
    let wide = Route {
        routes: vec![Route::default(); ROUTES_MAX],
        ..Route::default()
    };
    assert!(
        routing(wide)
            .check()
            .unwrap_err()
            .to_string()
            .contains("at most 1000 routes")
    );
}

#[test]
fn an_alert_takes_the_deepest_routes_that_match() {
    let routing: Routing = toml::from_str(
        r#"
        route = { receiver = "a", group_by = ["service"], routes = [
            { matchers = ["severity=critical"], receiver = "b", continue = true },
            { matchers = ["team=gpu"], group_by = ["..."], routes = [{ matchers = ["model=x"], receiver = "b" }] },
            { matchers = ["severity=critical"] },
        ] }
        receivers.a = { kind = "webhook", url = "http://x/" }
        receivers.b = { kind = "webhook", url = "http://x/" }
        "#,
    )
    .unwrap();
    let plan = routing.check().unwrap();
    let taken = |words: &[(&str, &str)]| {
        let labels = words
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let taken = plan
            .explain(&labels, 0)
            .into_iter()
            .map(|taken| format!("{} {}", taken.receiver, taken.group_key));
        taken.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(taken(&[("service", "chat")]), r#"a {}:{service="chat"}"#);
    assert_eq!(
        taken(&[("severity", "critical"), ("team", "gpu")]),
        "b {}/{severity=\"critical\"}:{}\na {}/{team=\"gpu\"}:{severity=\"critical\", team=\"gpu\"}"
    );
    assert_eq!(
        taken(&[("model", "x"), ("team", "gpu")]),
        "b {}/{team=\"gpu\"}/{model=\"x\"}:{model=\"x\", team=\"gpu\"}"
    );
    // Two routes with the same matchers have keys of their own.
    assert_eq!(
        taken(&[("severity", "critical")]),
        "b {}/{severity=\"critical\"}:{}\na {}/{severity=\"critical\"}#2:{}"
    );
}

#[test]
fn secrets_are_in_no_debug_output() {
    let routing: Routing = toml::from_str(
        r#"
        route.receiver = "a"
        receivers.a = { kind = "slack", url = "https://hooks/SECRET" }
        receivers.b = { kind = "pagerduty", routing_key = "SECRET" }
        receivers.c = { kind = "webhook", url = "https://SECRET/", authorization = "Bearer SECRET" }
        receivers.d = { kind = "email", to = ["a@b"], from = "c@d", server = "s:25", username = "u", password = "SECRET" }
        "#,
    )
    .unwrap();
    let plan = routing.check().unwrap();
    assert!(!format!("{routing:?}{plan:?}{:?}", Router::new(plan.clone())).contains("SECRET"));
    assert_eq!(plan.receiver("a").map(Receiver::kind), Some("slack"));
}

#[test]
fn the_example_of_the_documentation_is_a_configuration() {
    let page = include_str!("../../../../../docs/alert-routing.md");
    let examples: Vec<&str> = page
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(!examples.is_empty());
    for example in examples {
        let routing: Routing = toml::from_str(example).unwrap();
        routing.check().unwrap();
    }
}
