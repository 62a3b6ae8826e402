//! Traces of Datadog's libraries: `/v0.3/traces` and `/v0.4/traces`, whose spans are maps, and `/v0.5/traces`, whose spans are lists
//! of what maps have under names, with every text in a table before them.

use std::borrow::Cow;

use radiosonde_store::row::Value as RowValue;

use super::{
    super::{
        attributes::Attributes,
        parts::{LinkItem, close_list, push_link},
        protobuf::utf8,
        sink::{Id, Sink, SpanItem, Unreadable},
        text,
        wire::Malformed,
    },
    Origin,
    msgpack::{Reader, Value},
};

/// `Status.StatusCode.ERROR` of OTLP.
const ERROR: i64 = 2;
/// Most texts of a table: no more than 64 MiB of places of them.
const TEXTS_MAX: u32 = 2_097_152;
/// Parts of a span in a list.
const PARTS: u32 = 12;
/// The upper half of the identifier of a chunk's trace, in hexadecimal.
const UPPER: &str = "_dd.p.tid";

/// Where texts of spans are.
enum Texts<'a> {
    /// In the spans themselves.
    Here,
    /// In a table, into which numbers point.
    Table(Vec<&'a [u8]>),
}

impl<'a> Texts<'a> {
    fn of(&self, value: Value<'a>) -> Result<Cow<'a, str>, Malformed> {
        let bytes = match (self, value) {
            (_, Value::Bytes(bytes)) => bytes,
            (_, Value::Nil) => &[],
            (Self::Table(texts), Value::Unsigned(at)) => usize::try_from(at)
                .ok()
                .and_then(|at| texts.get(at))
                .ok_or(Malformed("it points beyond the table of its texts"))?,
            _ => return Err(Malformed("it has something else where text is to be")),
        };
        Ok(utf8(bytes))
    }
}

/// A span, of which maps and lists are not looked into yet.
#[derive(Default)]
struct Span<'a> {
    service: Cow<'a, str>,
    name: Cow<'a, str>,
    resource: Cow<'a, str>,
    kind: Cow<'a, str>,
    trace_id: u64,
    #[expect(clippy::struct_field_names, reason = "it is the format's name")]
    span_id: u64,
    parent_id: u64,
    start_unix_ns: i64,
    duration_ns: i64,
    is_error: bool,
    meta: Option<Reader<'a>>,
    metrics: Option<Reader<'a>>,
    links: Option<Reader<'a>>,
}

/// What the spans of a chunk have in common, said by one of them.
#[derive(Default)]
struct Chunk<'a> {
    upper: [u8; 8],
    environment: Cow<'a, str>,
}

/// What all spans are made with.
#[derive(Default)]
struct Scratch<'a> {
    origin: Origin,
    attributes: Attributes<'a>,
    links: String,
}

/// Reads a list of chunks, each a list of the spans of a trace.
pub(super) fn read(request: &[u8], sink: &mut Sink) -> Result<(), Unreadable> {
    chunks(Reader::new(request), &Texts::Here, sink)
}

/// Reads a list of a table of texts and of a list of chunks.
pub(super) fn read_by_table(request: &[u8], sink: &mut Sink) -> Result<(), Unreadable> {
    let mut reader = Reader::new(request);
    if reader.list()? != 2 {
        return Err(Malformed("it is not a table of texts and a list of traces").into());
    }
    let count = reader.list()?;
    if count > TEXTS_MAX {
        return Err(Unreadable::TooMuch("its table has more than 2097152 texts"));
    }
    let mut texts = Vec::new();
    for _ in 0..count {
        let Value::Bytes(text) = reader.value()? else {
            return Err(Malformed("its table has something that is no text").into());
        };
        texts.push(text);
    }
    chunks(reader, &Texts::Table(texts), sink)
}

fn chunks<'a>(
    mut reader: Reader<'a>,
    texts: &Texts<'a>,
    sink: &mut Sink,
) -> Result<(), Unreadable> {
    let mut scratch = Scratch::default();
    for chunk_at in 0..reader.list()? {
        let spans = reader.list()?;
        let mut ahead = reader;
        let mut chunk = Chunk::default();
        for _ in 0..spans {
            chunk.note(&span(&mut ahead, texts)?, texts)?;
        }
        for span_at in 0..spans {
            sink.at(chunk_at as usize, 0, span_at as usize);
            let span = span(&mut reader, texts)?;
            keep(&span, &chunk, texts, sink, &mut scratch)?;
        }
    }
    if !reader.is_empty() {
        return Err(Malformed("more follows than its list of traces").into());
    }
    Ok(())
}

/// A span in either form.
fn span<'a>(reader: &mut Reader<'a>, texts: &Texts<'a>) -> Result<Span<'a>, Malformed> {
    let mut span = Span::default();
    match texts {
        Texts::Here => {
            for _ in 0..reader.map()? {
                let Value::Bytes(name) = reader.value()? else {
                    return Err(Malformed("a span has a field without a name"));
                };
                span.field(name, reader, texts)?;
            }
        }
        Texts::Table(_) => {
            const FIELDS: [&[u8]; PARTS as usize] = [
                b"service",
                b"name",
                b"resource",
                b"trace_id",
                b"span_id",
                b"parent_id",
                b"start",
                b"duration",
                b"error",
                b"meta",
                b"metrics",
                b"type",
            ];
            if reader.list()? != PARTS {
                return Err(Malformed("a span is not a list of twelve"));
            }
            for name in FIELDS {
                span.field(name, reader, texts)?;
            }
        }
    }
    Ok(span)
}

impl<'a> Span<'a> {
    fn field(
        &mut self,
        name: &[u8],
        reader: &mut Reader<'a>,
        texts: &Texts<'a>,
    ) -> Result<(), Malformed> {
        match name {
            b"service" => self.service = texts.of(reader.value()?)?,
            b"name" => self.name = texts.of(reader.value()?)?,
            b"resource" => self.resource = texts.of(reader.value()?)?,
            b"type" => self.kind = texts.of(reader.value()?)?,
            b"trace_id" => self.trace_id = reader.value()?.unsigned(),
            b"span_id" => self.span_id = reader.value()?.unsigned(),
            b"parent_id" => self.parent_id = reader.value()?.unsigned(),
            b"start" => self.start_unix_ns = reader.value()?.signed(),
            b"duration" => self.duration_ns = reader.value()?.signed(),
            b"error" => self.is_error = reader.value()?.signed() != 0,
            b"meta" => self.meta = Some(reader.skip()?),
            b"metrics" => self.metrics = Some(reader.skip()?),
            b"span_links" => self.links = Some(reader.skip()?),
            _ => {
                reader.skip()?;
            }
        }
        Ok(())
    }

    /// Hands each text of `meta` to `take`.
    fn each_meta(
        &self,
        texts: &Texts<'a>,
        mut take: impl FnMut(Cow<'a, str>, Cow<'a, str>),
    ) -> Result<(), Malformed> {
        let Some(mut meta) = self.meta else {
            return Ok(());
        };
        for _ in 0..meta.map()? {
            let key = texts.of(meta.value()?)?;
            take(key, texts.of(meta.value()?)?);
        }
        Ok(())
    }
}

impl<'a> Chunk<'a> {
    /// Takes what a span says of all.
    fn note(&mut self, span: &Span<'a>, texts: &Texts<'a>) -> Result<(), Malformed> {
        span.each_meta(texts, |key, value| match &*key {
            UPPER => self.upper = text::from_hex(&value).unwrap_or(self.upper),
            "env" if self.environment.is_empty() => self.environment = value,
            _ => {}
        })
    }
}

/// Makes a row of a span.
fn keep<'a>(
    span: &Span<'a>,
    chunk: &Chunk<'a>,
    texts: &Texts<'a>,
    sink: &mut Sink,
    scratch: &mut Scratch<'a>,
) -> Result<(), Unreadable> {
    let Scratch {
        origin,
        attributes,
        links,
    } = scratch;
    attributes.clear();
    let own = [("resource.name", &span.resource), ("span.type", &span.kind)];
    for (key, value) in own {
        if !value.is_empty() {
            attributes.push_text(Cow::Borrowed(key), value.clone());
        }
    }
    let (mut version, mut kind, mut message) = (Cow::Borrowed(""), None, Cow::Borrowed(""));
    span.each_meta(texts, |key, value| match &*key {
        UPPER | "env" => {}
        "version" => version = value,
        "span.kind" => kind = Some(kind_of(&value)),
        "error.message" | "error.msg" => {
            message.clone_from(&value);
            attributes.push_text(key, value);
        }
        _ => attributes.push_text(key, value),
    })?;
    if let Some(mut metrics) = span.metrics {
        for _ in 0..metrics.map()? {
            let key = texts.of(metrics.value()?)?;
            let value = match metrics.value()? {
                Value::Float(number) => RowValue::Float(number),
                other => RowValue::Int(other.signed()),
            };
            attributes.push(key, value);
        }
    }
    links.clear();
    if let Some(given) = span.links {
        links_of(given, links)?;
    }
    close_list(links);
    let start_unix_ns = u64::try_from(span.start_unix_ns).unwrap_or(0);
    let item = SpanItem {
        trace_id: trace_id(chunk.upper, span.trace_id),
        span_id: Id::from_bytes(&span.span_id.to_be_bytes()),
        parent_span_id: Id::from_bytes(&span.parent_id.to_be_bytes()),
        name: &span.name,
        kind: kind.unwrap_or_else(|| kind_of_type(&span.kind)),
        start_unix_ns,
        end_unix_ns: start_unix_ns.saturating_add(span.duration_ns.max(0).cast_unsigned()),
        status: if span.is_error { ERROR } else { 0 },
        status_message: &message,
        links,
    };
    let source = origin.set([&span.service, "", &chunk.environment, &version]);
    sink.span(source, &item, attributes)?;
    Ok(())
}

fn trace_id(upper: [u8; 8], lower: u64) -> Id<16> {
    if lower == 0 {
        return Id::Missing;
    }
    Id::from_bytes(&[upper, lower.to_be_bytes()].concat())
}

/// A list of maps of `trace_id`, `trace_id_high` and `span_id`.
fn links_of(mut given: Reader<'_>, links: &mut String) -> Result<(), Malformed> {
    for _ in 0..given.list()? {
        let (mut upper, mut lower, mut span) = (0, 0, 0);
        for _ in 0..given.map()? {
            match given.value()? {
                Value::Bytes(b"trace_id") => lower = given.value()?.unsigned(),
                Value::Bytes(b"trace_id_high") => upper = given.value()?.unsigned(),
                Value::Bytes(b"span_id") => span = given.value()?.unsigned(),
                _ => {
                    given.skip()?;
                }
            }
        }
        let link = LinkItem {
            trace_id: trace_id(upper.to_be_bytes(), lower),
            span_id: Id::from_bytes(&span.to_be_bytes()),
        };
        push_link(
            links,
            &link,
            None::<fn(&mut String) -> Result<(), Malformed>>,
        )?;
    }
    Ok(())
}

/// `SpanKind` of OTLP.
fn kind_of(name: &str) -> i64 {
    match name {
        "server" => 2,
        "client" => 3,
        "producer" => 4,
        "consumer" => 5,
        _ => 1,
    }
}

/// The kind of a span that only says of which type it is.
fn kind_of_type(name: &str) -> i64 {
    match name {
        "web" => 2,
        "http" | "sql" | "db" | "cache" | "redis" | "memcached" | "mongodb" | "cassandra"
        | "elasticsearch" => 3,
        _ => 1,
    }
}
