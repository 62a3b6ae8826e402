use super::{
    super::tests::{Kept, NOW},
    Batch, Reason,
};

const LOGS: &str = "SELECT time, trace_id, span_id, severity, body, resource, attributes FROM logs ORDER BY time, body";

fn kept(messages: &[&[u8]]) -> Kept {
    let mut batch = Batch::new(NOW);
    for message in messages {
        batch.take(message, NOW + 9).unwrap();
    }
    Kept::of(batch.finish())
}

/// Examples of RFC 5424, section 6.5, with times of now.
#[test]
fn messages_of_rfc_5424_are_logs() {
    let kept = kept(&[
        "<34>1 2027-01-15T08:00:00.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed for lonvick on /dev/pts/8".as_bytes(), // spelling: ignore
        b"<165>1 2027-01-15T00:00:01.000003-08:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.\n",
        br#"<165>1 2027-01-15T08:00:02.003Z mymachine.example.com evntslog p-1 ID47 [exampleSDID@32473 iut="3" eventSource="App\"l\\ic\]ation"][otel@32473 trace_id="0242ac120002abababababababababab" span_id="cdcdcdcdcdcdcdcd"]"#,
        b"<0>1 - - - - - -",
    ]);
    assert_eq!(
        kept.ask(LOGS),
        "2027-01-15T08:00:00.000000009Z | - | - | 21 | '' | {\"service.name\":\"syslog\"} | {\"syslog.facility\":\"kern\"}\n\
         2027-01-15T08:00:00.003000000Z | - | - | 18 | 'su root' failed for lonvick on /dev/pts/8 | \
         {\"service.name\":\"su\",\"host.name\":\"mymachine.example.com\"} | {\"syslog.facility\":\"auth\",\"syslog.msgid\":\"ID47\"}\n\
         2027-01-15T08:00:01.000003000Z | - | - | 10 | %% It's time to make the do-nuts. | \
         {\"service.name\":\"myproc\",\"host.name\":\"192.0.2.1\"} | {\"syslog.facility\":\"local4\",\"process.pid\":8710}\n\
         2027-01-15T08:00:02.003000000Z | 0242ac120002abababababababababab | cdcdcdcdcdcdcdcd | 10 | '' | \
         {\"service.name\":\"evntslog\",\"host.name\":\"mymachine.example.com\"} | {\"syslog.facility\":\"local4\",\
         \"syslog.msgid\":\"ID47\",\"syslog.procid\":\"p-1\",\"syslog.exampleSDID@32473.iut\":\"3\",\
         \"syslog.exampleSDID@32473.eventSource\":\"App\\\"l\\\\ic]ation\"}"
    );
}

/// RFC 3164, section 5.4, and what programs make of it: with a year, without a host, without anything.
#[test]
fn messages_of_rfc_3164_are_logs_of_the_time_when_they_came() {
    let kept = kept(&[
        b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed",
        b"<13>Jan  5 08:00:00 app[7]: without a host",
        b"<13>2027-01-15T08:00:00+00:00 box app[8]: with a year",
        b"<14>key: value",
        b"<14>app[9]: process alone",
    ]);
    assert_eq!(
        kept.ask(LOGS),
        "2027-01-15T08:00:00.000000000Z | - | - | 10 | with a year | {\"service.name\":\"app\",\"host.name\":\"box\"} | \
         {\"syslog.facility\":\"user\",\"process.pid\":8}\n\
         2027-01-15T08:00:00.000000009Z | - | - | 18 | 'su root' failed | {\"service.name\":\"su\",\"host.name\":\"mymachine\"} | \
         {\"syslog.facility\":\"auth\",\"syslog.timestamp\":\"Oct 11 22:14:15\"}\n\
         2027-01-15T08:00:00.000000009Z | - | - | 9 | key: value | {\"service.name\":\"syslog\"} | {\"syslog.facility\":\"user\"}\n\
         2027-01-15T08:00:00.000000009Z | - | - | 9 | process alone | {\"service.name\":\"app\"} | \
         {\"syslog.facility\":\"user\",\"process.pid\":9}\n\
         2027-01-15T08:00:00.000000009Z | - | - | 10 | without a host | {\"service.name\":\"app\"} | \
         {\"syslog.facility\":\"user\",\"syslog.timestamp\":\"Jan  5 08:00:00\",\"process.pid\":7}"
    );
}

#[test]
fn what_is_no_message_is_counted_with_its_place() {
    let kept = kept(&[
        b"<13>1 - - app - - - fine",
        b"no priority",
        b"<192>too high",
        b"<+3>a sign",
        b"<13>1 yesterday - app - - - text",
        b"<13>1 - - app",
        br#"<13>1 - - app - - [id name="cut"#,
        b"",
    ]);
    assert_eq!((kept.counts.logs, kept.rejected.items), (1, 7));
    let place = "message 2".to_owned();
    assert_eq!(kept.rejected.first, Some((Reason::Syslog, place)));
}

#[test]
fn a_message_that_is_damaged_is_one_or_none() {
    let whole =
        br#"<165>1 2027-01-15T08:00:02.003Z host app p-1 ID47 [a@1 b="\"c" d="e"][f g="h"] text"#;
    let older = b"<34>Oct 11 22:14:15 host su[7]: text";
    for message in [&whole[..], older] {
        for at in 0..message.len() {
            let mut batch = Batch::new(NOW);
            batch.take(&message[..at], NOW).unwrap();
            for wrong in (0..8).map(|bit| message[at] ^ 1 << bit) {
                let mut changed = message.to_vec();
                changed[at] = wrong;
                batch.take(&changed, NOW).unwrap();
            }
            let (rows, counts, rejected) = batch.finish();
            assert_eq!(
                (rows.len() as u64, 9),
                (counts.logs, counts.logs + rejected.items)
            );
        }
    }
}
