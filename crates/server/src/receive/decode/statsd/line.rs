//! One line of a datagram.

/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 512;
/// Most tags of a line.
const TAGS_MAX: usize = 64;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    Counter,
    Gauge,
    /// In milliseconds.
    Timer,
    /// Datadog's histograms and distributions.
    Histogram,
    Set,
}

impl Kind {
    pub(super) const fn unit(self) -> &'static str {
        match self {
            Self::Timer => "ms",
            _ => "",
        }
    }
}

/// What a line says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    pub(super) kind: Kind,
    pub(super) values: Vec<Value<'a>>,
    /// Which share of what happened was sent, above 0 and up to 1.
    pub(super) rate: f64,
    pub(super) tags: Vec<(&'a str, &'a str)>,
}

/// One value of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Number(f64),
    /// Of a gauge: by how much it changes.
    Change(f64),
    /// Of a set.
    Member(&'a str),
}

/// Reads a line; `None` where it is none.
pub(super) fn read(line: &str) -> Option<Sample<'_>> {
    let mut fields = line.split('|');
    let (name, values) = fields.next()?.split_once(':')?;
    // Events (`_e{`) and service checks (`_sc`) of Datadog's are no metrics.
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(['{', '}']) {
        return None;
    }
    let kind = match fields.next()? {
        "c" => Kind::Counter,
        "g" => Kind::Gauge,
        "ms" => Kind::Timer,
        "h" | "d" => Kind::Histogram,
        "s" => Kind::Set,
        _ => return None,
    };
    let mut sample = Sample {
        name,
        kind,
        values: Vec::new(),
        rate: 1.0,
        tags: Vec::new(),
    };
    for field in fields {
        if let Some(rate) = field.strip_prefix('@') {
            sample.rate = rate
                .parse()
                .ok()
                .filter(|rate| *rate > 0.0 && *rate <= 1.0)?;
        } else if let Some(tags) = field.strip_prefix('#') {
            let tags = tags.split(',').filter(|tag| !tag.is_empty());
            // A tag without a value is true.
            let tags = tags.map(|tag| tag.split_once(':').unwrap_or((tag, "true")));
            sample.tags.extend(tags);
        }
    }
    if sample.tags.len() > TAGS_MAX {
        return None;
    }
    let values = match kind {
        // A member may have colons in it.
        Kind::Set => vec![Value::Member(values)],
        _ => values
            .split(':')
            .map(|value| number(value, kind))
            .collect::<Option<_>>()?,
    };
    sample.values = values;
    Some(sample)
}

fn number(text: &str, kind: Kind) -> Option<Value<'static>> {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    let number: f64 = text
        .parse()
        .ok()
        .filter(|number: &f64| is_number && number.is_finite())?;
    Some(match kind {
        Kind::Gauge if text.starts_with(['+', '-']) => Value::Change(number),
        _ => Value::Number(number),
    })
}
