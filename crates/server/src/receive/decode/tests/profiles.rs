//! Profiles: every form becomes the same rows, and what leads nowhere is refused with its place.

use std::sync::Arc;

use opentelemetry_proto::tonic::{
    collector::profiles::v1development::ExportProfilesServiceRequest,
    common::v1::any_value::Value as Any,
    profiles::v1development::{
        Function, KeyValueAndUnit, Line, Link, Location, Mapping, Profile, ProfilesDictionary,
        ResourceProfiles, Sample, ScopeProfiles, Stack, ValueType,
    },
};
use prost::Message as _;

use super::{
    super::wire::{put_bytes, put_number},
    *,
};

const STRINGS: [&str; 13] = [
    "",
    "cpu",
    "nanoseconds",
    "main",
    "/srv/train.py",
    "matmul",
    "/venv/lib/python3.11/site-packages/torch/functional.py",
    "thread.name",
    "worker-1",
    "profile.frame.type",
    "/usr/lib/x86_64-linux-gnu/libc.so.6",
    "cpython",
    "service.name",
];

/// The tables of [`a_request`]: each begins with what stands for none.
fn a_dictionary() -> ProfilesDictionary {
    let function = |name_strindex, filename_strindex| Function {
        name_strindex,
        filename_strindex,
        ..Function::default()
    };
    let location = |function_index| Location {
        lines: vec![Line {
            function_index,
            line: 10 * i64::from(function_index),
            column: 0,
        }],
        attribute_indices: vec![2],
        ..Location::default()
    };
    let nameless = Location {
        mapping_index: 1,
        address: 0x1234,
        ..Location::default()
    };
    let attribute = |key_strindex, value| KeyValueAndUnit {
        key_strindex,
        value: Some(AnyValue { value: Some(value) }),
        unit_strindex: 0,
    };
    let library = Mapping {
        filename_strindex: 10,
        ..Mapping::default()
    };
    let link = Link {
        trace_id: TRACE.to_vec(),
        span_id: SPAN.to_vec(),
    };
    let stack = Stack {
        location_indices: vec![3, 2, 1],
    };
    ProfilesDictionary {
        mapping_table: vec![Mapping::default(), library],
        location_table: vec![Location::default(), location(1), location(2), nameless],
        function_table: vec![Function::default(), function(3, 4), function(5, 6)],
        link_table: vec![Link::default(), link],
        string_table: STRINGS.map(str::to_owned).to_vec(),
        attribute_table: vec![
            KeyValueAndUnit::default(),
            attribute(7, Any::StringValueStrindex(8)),
            attribute(9, Any::StringValue("cpython".to_owned())),
        ],
        stack_table: vec![Stack::default(), stack],
    }
}

/// Two frames of Python, of which the inner one calls into a library, in a span.
pub(super) fn a_request() -> ExportProfilesServiceRequest {
    let sample = |values: Vec<i64>, timestamps_unix_nano| Sample {
        stack_index: 1,
        attribute_indices: vec![1],
        link_index: 1,
        values,
        timestamps_unix_nano,
    };
    let times = vec![NOW as u64 + 1, NOW as u64 + 2];
    let profile = Profile {
        sample_type: Some(ValueType {
            type_strindex: 1,
            unit_strindex: 2,
        }),
        samples: vec![sample(vec![7, 8], times), sample(vec![9], Vec::new())],
        time_unix_nano: NOW as u64,
        duration_nano: 1_000,
        ..Profile::default()
    };
    let service = KeyValue {
        key: String::new(),
        key_strindex: 12,
        value: Some(AnyValue {
            value: Some(Any::StringValueStrindex(3)),
        }),
    };
    ExportProfilesServiceRequest {
        resource_profiles: vec![ResourceProfiles {
            resource: Some(Resource {
                attributes: vec![service],
                ..Resource::default()
            }),
            scope_profiles: vec![ScopeProfiles {
                scope: scope("sampler"),
                profiles: vec![profile],
                ..ScopeProfiles::default()
            }],
            ..ResourceProfiles::default()
        }],
        dictionary: Some(a_dictionary()),
    }
}

const ROWS: &str = "SELECT time, duration, trace_id, span_id, type, unit, value, thread, library, function, \
                    replace(replace(stack, chr(10), ' > '), chr(9), ':'), service, scope, attributes FROM profiles ORDER BY time";

#[test]
fn a_profile_is_a_row_for_each_moment() {
    let request = a_request();
    let kept = Kept::new(
        Signal::Profiles,
        Encoding::Protobuf,
        &request.encode_to_vec(),
    );
    assert_eq!((kept.counts.samples, kept.counts.profiles), (3, 1));
    insta::assert_snapshot!(kept.ask(ROWS), @r#"
    2027-01-15T08:00:00.000000000Z | 1000 | abababababababababababababababab | cdcdcdcdcdcdcdcd | cpu | nanoseconds | 9 | worker-1 | torch | libc.so.6+0x1234 | main:/srv/train.py:10::cpython > matmul:/venv/lib/python3.11/site-packages/torch/functional.py:20::cpython > libc.so.6+0x1234:::/usr/lib/x86_64-linux-gnu/libc.so.6 | main | sampler | {"thread.name":"worker-1"}
    2027-01-15T08:00:00.000000001Z | 1000 | abababababababababababababababab | cdcdcdcdcdcdcdcd | cpu | nanoseconds | 7 | worker-1 | torch | libc.so.6+0x1234 | main:/srv/train.py:10::cpython > matmul:/venv/lib/python3.11/site-packages/torch/functional.py:20::cpython > libc.so.6+0x1234:::/usr/lib/x86_64-linux-gnu/libc.so.6 | main | sampler | {"thread.name":"worker-1"}
    2027-01-15T08:00:00.000000002Z | 1000 | abababababababababababababababab | cdcdcdcdcdcdcdcd | cpu | nanoseconds | 8 | worker-1 | torch | libc.so.6+0x1234 | main:/srv/train.py:10::cpython > matmul:/venv/lib/python3.11/site-packages/torch/functional.py:20::cpython > libc.so.6+0x1234:::/usr/lib/x86_64-linux-gnu/libc.so.6 | main | sampler | {"thread.name":"worker-1"}
    "#);
    let json = Kept::new(
        Signal::Profiles,
        Encoding::Json,
        forms::profiles(&request).as_bytes(),
    );
    assert_eq!(json.ask(ROWS), kept.ask(ROWS));
}

/// Changes the request, and says what is rejected and where.
fn rejected(
    change: impl FnOnce(&mut Profile, &mut ProfilesDictionary),
) -> Option<(Reason, String)> {
    let mut request = a_request();
    let mut dictionary = request.dictionary.take().unwrap();
    let profile = &mut request.resource_profiles[0].scope_profiles[0].profiles[0];
    change(profile, &mut dictionary);
    request.dictionary = Some(dictionary);
    let bytes = request.encode_to_vec();
    let (rows, counts, rejected) =
        decode(Signal::Profiles, Encoding::Protobuf, &bytes, NOW).unwrap();
    assert_eq!(
        (rows.is_empty(), counts.profiles),
        (rejected.items == 1, 1 - rejected.items)
    );
    rejected.first
}

#[test]
fn places_beyond_a_table_are_refused_with_a_reason() {
    let index = |change: fn(&mut Profile, &mut ProfilesDictionary)| {
        let (reason, place) = rejected(change).unwrap();
        assert_eq!(place, "resource_profiles[0].scope_profiles[0].profiles[0]");
        assert_eq!(reason, Reason::Index);
    };
    index(|profile, _| profile.samples[1].stack_index = 2);
    index(|profile, _| profile.samples[0].stack_index = -1);
    index(|profile, _| profile.samples[0].link_index = 9);
    index(|profile, _| profile.samples[0].attribute_indices = vec![3]);
    index(|profile, _| profile.attribute_indices = vec![i32::MIN]);
    index(|profile, _| profile.sample_type.as_mut().unwrap().unit_strindex = 99);
    index(|_, tables| tables.stack_table[1].location_indices[0] = 4);
    index(|_, tables| tables.location_table[3].mapping_index = 2);
    index(|_, tables| tables.location_table[2].lines[0].function_index = 3);
    index(|_, tables| tables.location_table[2].attribute_indices = vec![7]);
    index(|_, tables| tables.function_table[1].filename_strindex = i32::MAX);
    index(|_, tables| tables.mapping_table[1].filename_strindex = 13);
    index(|_, tables| tables.attribute_table[1].key_strindex = 13);
    index(|_, tables| tables.stack_table.clear());
}

#[test]
fn samples_that_cannot_be_are_refused_with_a_reason() {
    let reason = |change: fn(&mut Profile, &mut ProfilesDictionary)| {
        rejected(change).map(|(reason, _)| reason)
    };
    assert_eq!(reason(|_, _| {}), None);
    assert_eq!(
        reason(|profile, _| profile.sample_type = None),
        Some(Reason::SampleType)
    );
    assert_eq!(
        reason(|profile, _| profile.samples[0].values = vec![1]),
        Some(Reason::Sample)
    );
    assert_eq!(
        reason(|profile, _| profile.samples[1].values.clear()),
        Some(Reason::Sample)
    );
    assert_eq!(
        reason(|profile, _| profile.samples[0].timestamps_unix_nano = vec![1, 2]),
        Some(Reason::Time)
    );
    assert_eq!(
        reason(|profile, _| profile.time_unix_nano = 1),
        Some(Reason::Time)
    );
    assert_eq!(
        reason(|_, tables| tables.link_table[1].span_id = vec![1; 7]),
        Some(Reason::SpanId)
    );
    assert_eq!(
        reason(|_, tables| tables.link_table[1].trace_id = vec![1; 7]),
        Some(Reason::TraceId)
    );
    // A link to nothing is none.
    assert_eq!(
        reason(|_, tables| tables.link_table[1] = Link::default()),
        None
    );
}

#[test]
fn moments_of_a_sampler_are_the_time_of_its_period() {
    let mut request = a_request();
    let tables = request.dictionary.as_mut().unwrap();
    tables
        .string_table
        .extend(["samples".to_owned(), "count".to_owned()]);
    let profile = &mut request.resource_profiles[0].scope_profiles[0].profiles[0];
    profile.sample_type = Some(ValueType {
        type_strindex: 13,
        unit_strindex: 14,
    });
    profile.period_type = Some(ValueType {
        type_strindex: 1,
        unit_strindex: 2,
    });
    profile.period = 10_101_010;
    profile.samples.truncate(1);
    profile.samples[0].values.clear();
    let kept = Kept::new(
        Signal::Profiles,
        Encoding::Protobuf,
        &request.encode_to_vec(),
    );
    assert_eq!(
        kept.ask("SELECT type, unit, value FROM profiles LIMIT 1"),
        "cpu | nanoseconds | 10101010"
    );
}

#[test]
fn deep_stacks_are_cut_at_their_root() {
    let mut request = a_request();
    request.dictionary.as_mut().unwrap().stack_table[1].location_indices = vec![1; 5000];
    let kept = Kept::new(
        Signal::Profiles,
        Encoding::Protobuf,
        &request.encode_to_vec(),
    );
    let lines = "SELECT DISTINCT length(stack) - length(replace(stack, chr(10), '')), split_part(stack, chr(10), 1) FROM profiles";
    assert_eq!(kept.ask(lines), "1024 | (more frames)");
}

/// The frames of many samples times the length of their names is more than one request may become.
#[test]
fn stacks_of_a_request_are_bounded() {
    let mut request = a_request();
    let tables = request.dictionary.as_mut().unwrap();
    tables.string_table[3] = "x".repeat(5000);
    tables.stack_table = vec![
        Stack {
            location_indices: vec![1; 1000]
        };
        400
    ];
    let profile = &mut request.resource_profiles[0].scope_profiles[0].profiles[0];
    profile.samples = (0..400)
        .map(|stack_index| Sample {
            stack_index,
            values: vec![1],
            ..Sample::default()
        })
        .collect();
    let refused = decode(
        Signal::Profiles,
        Encoding::Protobuf,
        &request.encode_to_vec(),
        NOW,
    );
    assert!(matches!(
        refused,
        Err(Unreadable::TooMuch("its records take more than 256 MiB"))
    ));
    // And so is what is looked up for them.
    let tables = request.dictionary.as_mut().unwrap();
    tables.stack_table = vec![
        Stack {
            location_indices: vec![1; 50_000]
        };
        50
    ];
    let refused = decode(
        Signal::Profiles,
        Encoding::Protobuf,
        &request.encode_to_vec(),
        NOW,
    );
    assert!(matches!(
        refused,
        Err(Unreadable::TooMuch(
            "its dictionary has more than 2097152 entries"
        ))
    ));
}

/// Profiles in the order in which they come.
pub(super) fn all(request: &ExportProfilesServiceRequest) -> Vec<&Profile> {
    let scopes = request
        .resource_profiles
        .iter()
        .flat_map(|group| &group.scope_profiles);
    scopes.flat_map(|scope| &scope.profiles).collect()
}

/// Whether every place of a profile leads somewhere and its samples are what they may be, told another way than the decoder
/// tells it.
pub(super) fn is_sound(profile: &Profile, request: &ExportProfilesServiceRequest) -> bool {
    let tables = request.dictionary.as_ref().unwrap();
    let string = |place: &i32| tables.string_table.get(*place as usize).is_some();
    let attribute = |place: &i32| {
        let entry = tables.attribute_table.get(*place as usize);
        entry.is_some_and(|entry| string(&entry.key_strindex))
    };
    let function = |place: i32| {
        let function = tables.function_table.get(place as usize);
        function.is_some_and(|it| {
            [
                it.name_strindex,
                it.system_name_strindex,
                it.filename_strindex,
            ]
            .iter()
            .all(string)
        })
    };
    let location = |place: &i32| {
        tables
            .location_table
            .get(*place as usize)
            .is_some_and(|location| {
                let mapping = tables.mapping_table.get(location.mapping_index as usize);
                mapping.is_some_and(|mapping| string(&mapping.filename_strindex))
                    && location
                        .lines
                        .iter()
                        .all(|line| function(line.function_index))
                    && location.attribute_indices.iter().all(attribute)
            })
    };
    let sample = |sample: &Sample| {
        let (values, times) = (sample.values.len(), sample.timestamps_unix_nano.len());
        let stack = tables.stack_table.get(sample.stack_index as usize);
        let link = tables.link_table.get(sample.link_index as usize);
        stack.is_some_and(|stack| stack.location_indices.iter().all(location))
            && link.is_some_and(|link| link.span_id.len() == 8)
            && sample.attribute_indices.iter().all(attribute)
            && values + times > 0
            && (values == times || values == 0 || times == 0)
    };
    let counted = profile.sample_type.unwrap();
    let period = profile.period_type.unwrap_or_default();
    [
        counted.unit_strindex,
        period.type_strindex,
        period.unit_strindex,
    ]
    .iter()
    .all(string)
        && tables
            .string_table
            .get(counted.type_strindex as usize)
            .is_some_and(|kind| !kind.is_empty())
        && (profile.samples.is_empty() || profile.attribute_indices.iter().all(attribute))
        && profile.samples.iter().all(sample)
}

/// A profile as pprof writes it: two sample types, a function that was inlined into another, labels.
pub(super) fn a_pprof() -> Vec<u8> {
    let strings = [
        "",
        "samples",
        "count",
        "cpu",
        "nanoseconds",
        "runtime.mallocgc",
        "main.load",
        "main.main",
        "/src/app/main.go",
        "/srv/app",
        "trace_id",
        "span_id",
        "abababababababababababababababab",
        "cdcdcdcdcdcdcdcd",
        "thread",
        "main thread",
    ];
    let message = |fields: &[(u32, u64)]| {
        let mut out = Vec::new();
        fields
            .iter()
            .for_each(|(field, number)| put_number(&mut out, *field, *number));
        out
    };
    let mut out = Vec::new();
    put_bytes(&mut out, 1, &message(&[(1, 1), (2, 2)]));
    put_bytes(&mut out, 1, &message(&[(1, 3), (2, 4)]));
    let mut sample = Vec::new();
    put_bytes(&mut sample, 1, &[20, 10]);
    put_bytes(&mut sample, 2, &[3, 30]);
    for label in [[(1, 10), (2, 12)], [(1, 11), (2, 13)], [(1, 14), (2, 15)]] {
        put_bytes(&mut sample, 3, &message(&label));
    }
    put_bytes(&mut out, 2, &sample);
    let mut idle = Vec::new();
    put_bytes(&mut idle, 1, &[10]);
    put_bytes(&mut idle, 2, &[1, 0]);
    put_bytes(&mut out, 2, &idle);
    put_bytes(&mut out, 3, &message(&[(1, 5), (5, 9)]));
    let location = |id, lines: &[u64]| {
        let mut location = message(&[(1, id), (2, 5), (3, 0x1000 + id)]);
        for function in lines {
            put_bytes(&mut location, 4, &message(&[(1, *function), (2, 7)]));
        }
        location
    };
    // `load` was inlined into `main`.
    put_bytes(&mut out, 4, &location(10, &[102, 103]));
    put_bytes(&mut out, 4, &location(20, &[101]));
    for (id, name) in [(101, 5), (102, 6), (103, 7)] {
        put_bytes(&mut out, 5, &message(&[(1, id), (2, name), (4, 8)]));
    }
    for text in strings {
        // Also the empty one, which stands for none.
        out.push(6 << 3 | 2);
        out.push(text.len() as u8);
        out.extend_from_slice(text.as_bytes());
    }
    put_number(&mut out, 9, NOW as u64);
    put_number(&mut out, 10, 5_000);
    out
}

#[test]
fn a_profile_of_pprof_is_rows_of_each_of_its_types() {
    let told = Told {
        service: Some("shop".to_owned()),
        ..Told::default()
    };
    let (rows, counts, rejected) = super::super::decode(
        Signal::Profiles,
        Encoding::Pprof,
        &told,
        &a_pprof(),
        NOW,
        &Arc::default(),
    )
    .unwrap();
    assert_eq!((counts.samples, counts.profiles, rejected.items), (3, 2, 0));
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    store.append(rows).unwrap();
    let kept = Kept {
        store,
        counts,
        rejected,
        _folder: folder,
    };
    insta::assert_snapshot!(kept.ask(&ROWS.replace("ORDER BY time", "ORDER BY type, value")), @r#"
    2027-01-15T08:00:00.000000000Z | 5000 | abababababababababababababababab | cdcdcdcdcdcdcdcd | cpu | nanoseconds | 30 | main thread | (program) | runtime.mallocgc | main.main:/src/app/main.go:7:/srv/app > main.load:/src/app/main.go:7:/srv/app > runtime.mallocgc:/src/app/main.go:7:/srv/app | shop | '' | {"thread.name":"main thread"}
    2027-01-15T08:00:00.000000000Z | 5000 | - | - | samples | count | 1 | '' | (program) | main.load | main.main:/src/app/main.go:7:/srv/app > main.load:/src/app/main.go:7:/srv/app | shop | '' | -
    2027-01-15T08:00:00.000000000Z | 5000 | abababababababababababababababab | cdcdcdcdcdcdcdcd | samples | count | 3 | main thread | (program) | runtime.mallocgc | main.main:/src/app/main.go:7:/srv/app > main.load:/src/app/main.go:7:/srv/app > runtime.mallocgc:/src/app/main.go:7:/srv/app | shop | '' | {"thread.name":"main thread"}
    "#);
}

#[test]
fn folded_stacks_are_rows() {
    let text = "# a comment\nmain;step;memcpy_[k] 5\nmain (/srv/app.py:12);dot (/venv/lib/python3.11/site-packages/numpy/linalg.py:3) 7\n\n\
                main;[libcudart.so.12] 2.0\n 1\n";
    let kept = Kept::new(Signal::Profiles, Encoding::Folded, text.as_bytes());
    let rows = "SELECT type, unit, value, library, function, replace(replace(stack, chr(10), ' > '), chr(9), ':') FROM profiles ORDER BY value DESC";
    insta::assert_snapshot!(kept.ask(rows), @r#"
    samples | count | 7 | numpy | dot | main:/srv/app.py:12 > dot:/venv/lib/python3.11/site-packages/numpy/linalg.py:3
    samples | count | 5 | (unknown) | memcpy | main > step > memcpy::::kernel
    samples | count | 2 | libcudart | [libcudart.so.12] | main > [libcudart.so.12]:::libcudart.so.12
    samples | count | 1 | (unknown) | '' | ''
    "#);
    let wrong = decode(
        Signal::Profiles,
        Encoding::Folded,
        b"main;step 3\nmain",
        NOW,
    );
    assert_eq!(
        wrong.unwrap_err(),
        Unreadable::Malformed("line 2 does not end in a number, as a folded stack does".to_owned())
    );
}
