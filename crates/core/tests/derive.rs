//! What `#[derive(Event)]` makes of a struct, as a user of the crate sees it.

use std::{borrow::Cow, time::Duration};

use radiosonde_core::{
    Event,
    event::{AnyEvent, Descriptor, EventValue, FieldKind, FieldType, Role, ShapeList},
    model::Severity,
};

/// A batch left
/// an exporter.
#[derive(Event, Clone, Debug, PartialEq)]
#[event(
    name = "test.export",
    level = "debug",
    alias("batch_exported", "export"),
    count = "test.export.count",
    series_max = 7
)]
struct Exported<'a> {
    /// Where to.
    #[label]
    exporter: &'a str,
    /// How many.
    #[measure(counter, unit = "{record}")]
    records: u64,
    /// How long.
    #[measure(histogram, bounds = [0.5, 1])]
    #[event(micros = "duration_us", alias("took_ms", times = 1000000))]
    duration: Duration,
    /// How full the queue is.
    #[measure(gauge, name = "test.queue", unit = "1")]
    fullness: Option<f64>,
    /// How long it waited.
    waited: Option<Duration>,
}

const EXPORTED: Exported<'_> = Exported {
    exporter: "otlp",
    records: 3,
    duration: Duration::from_nanos(152_300),
    fullness: None,
    waited: None,
};

#[test]
fn the_descriptor_says_what_the_struct_says() {
    let descriptor = Exported::DESCRIPTOR;
    assert_eq!(
        (descriptor.name, descriptor.type_name, descriptor.target),
        ("test.export", "Exported", "metrics")
    );
    assert_eq!(descriptor.description, "A batch left an exporter.");
    assert_eq!(descriptor.severity, Severity::Debug);
    assert_eq!(descriptor.aliases, ["batch_exported", "export"]);
    assert_eq!(
        (descriptor.count, descriptor.series_max),
        (Some("test.export.count"), 7)
    );
    let fields: Vec<_> = descriptor
        .fields
        .iter()
        .map(|field| (field.name, field.field_type, field.unit, &field.role))
        .collect();
    assert_eq!(
        fields,
        [
            ("exporter", FieldKind::Text, "", &Role::Label),
            (
                "records",
                FieldKind::U64,
                "{record}",
                &Role::Counter {
                    metric: "test.export.records"
                }
            ),
            ("duration_us", FieldKind::U64, "us", &Role::Attribute),
            (
                "duration_ns",
                FieldKind::Duration,
                "s",
                &Role::Histogram {
                    metric: "test.export.duration",
                    bounds: &[0.5, 1.0]
                }
            ),
            (
                "fullness",
                FieldKind::F64,
                "1",
                &Role::Gauge {
                    metric: "test.queue"
                }
            ),
            ("waited_ns", FieldKind::Duration, "s", &Role::Attribute),
        ]
    );
}

#[test]
fn json_is_type_and_data_and_reads_back_by_any_name() {
    let json = serde_json::to_value(&EXPORTED).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "type": "Exported",
            "data": {"exporter": "otlp", "records": 3, "duration_us": 152, "duration_ns": 152_300}
        })
    );
    for (type_name, duration) in [
        ("Exported", r#""duration_ns":152300"#),
        ("test.export", r#""duration_us":152,"duration_ns":152300"#),
        (
            "export",
            r#""duration_ns":152300,"fullness":null,"more":{"a":[1]}"#,
        ),
    ] {
        let text = format!(
            r#"{{"type":"{type_name}","data":{{"exporter":"otlp","records":3,{duration}}}}}"#
        );
        let any: AnyEvent = serde_json::from_str(&text).unwrap();
        assert_eq!(any.read::<Exported<'_>>(), Some(Ok(EXPORTED)), "{text}");
        assert_eq!(serde_json::to_string(&any).unwrap(), text);
    }
    let any: AnyEvent = serde_json::from_str(
        r#"{"type":"export","data":{"exporter":"a","records":0,"took_ms":2}}"#,
    )
    .unwrap();
    let read = any.read::<Exported<'_>>().unwrap().unwrap();
    assert_eq!(read.duration, Duration::from_millis(2));
}

#[test]
fn an_event_that_cannot_be_read_says_which_field() {
    let read = |data: &str| {
        let any: AnyEvent =
            serde_json::from_str(&format!(r#"{{"data":{data},"type":"Exported"}}"#)).unwrap();
        any.read::<Exported<'_>>().unwrap().unwrap_err().to_string()
    };
    assert_eq!(
        read(r#"{"exporter":"a"}"#),
        "event `Exported`: field `records` is missing"
    );
    assert_eq!(
        read(r#"{"exporter":"a","records":-1}"#),
        "event `Exported`: field `records` has a value of another kind"
    );
    let deep = format!(
        r#"{{"type":"X","data":{{"a":{}1{}}}}}"#,
        "[".repeat(100),
        "]".repeat(100)
    );
    assert!(serde_json::from_str::<AnyEvent>(&deep).is_err());
}

/// Values of every kind, owned.
#[derive(Event, Debug, PartialEq)]
#[event(name = "test.owned", type = "AllKinds")]
struct Owned<T: Clone> {
    /// Generic.
    generic: T,
    /// Text.
    text: Cow<'static, str>,
    /// Integer.
    r#type: i8,
    /// Grid.
    grid: (u32, u32, u32),
    /// Shape.
    shape: Vec<u64>,
    /// Shapes.
    shapes: Vec<Vec<u64>>,
    /// Not a number.
    nan: Option<f32>,
    /// Yes or no.
    flag: bool,
}

#[test]
fn an_owned_event_deserializes() {
    let event = Owned {
        generic: "g".to_owned(),
        text: Cow::Borrowed("t"),
        r#type: -4,
        grid: (1, 2, 3),
        shape: vec![1, 4096],
        shapes: vec![vec![2, 3], vec![]],
        nan: Some(0.5),
        flag: true,
    };
    let text = serde_json::to_string(&event).unwrap();
    assert_eq!(
        text,
        r#"{"type":"AllKinds","data":{"generic":"g","text":"t","type":-4,"grid":[1,2,3],"shape":[1,4096],"shapes":[[2,3],[]],"nan":0.5,"flag":true}}"#
    );
    assert_eq!(serde_json::from_str::<Owned<String>>(&text).unwrap(), event);
    let error = serde_json::from_str::<Owned<u64>>(&text).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("field `generic` has a value of another kind"),
        "{error}"
    );
    let error = serde_json::from_str::<Started>(&text).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("expected event type `Started`, found `AllKinds`"),
        "{error}"
    );
}

/// Work began.
#[derive(Event, Debug, PartialEq)]
#[event(name = "test.started")]
struct Started;

/// An operation on tensors.
#[derive(Event, Debug, PartialEq)]
#[event(name = "test.op")]
struct Op<'a, T: ?Sized + EventValue + FieldType> {
    /// Shapes in.
    inputs: ShapeList<'a>,
    /// Shape out.
    output: &'a [u64],
    /// Anything.
    other: &'a T,
}

#[test]
fn unit_structs_and_borrowed_generics_are_events() {
    assert_eq!(
        serde_json::to_string(&Started).unwrap(),
        r#"{"type":"Started","data":{}}"#
    );
    assert_eq!(
        serde_json::from_str::<Started>(r#"{"type":"Started"}"#).unwrap(),
        Started
    );
    assert_eq!(
        Started::DESCRIPTOR.series_max,
        Descriptor::SERIES_MAX_DEFAULT
    );
    let op = Op {
        inputs: ShapeList::Slices(&[&[2, 3], &[3, 4]]),
        output: &[2, 4],
        other: "matmul",
    };
    assert_eq!(
        serde_json::to_string(&op).unwrap(),
        r#"{"type":"Op","data":{"inputs":[[2,3],[3,4]],"output":[2,4],"other":"matmul"}}"#
    );
}
