//! Configuration files: TOML, JSON and YAML, read into the same tree.

use std::{
    fmt,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use toml::de::{DeTable, DeValue};

use super::{
    ConfigError, ConfigErrors, RawConfig,
    written::{Node, Source, Written},
};
use crate::exporter::refuse_special;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// TOML: `.toml`.
    Toml,
    /// JSON: `.json`.
    Json,
    /// YAML: `.yaml`, `.yml`.
    Yaml,
}

/// The names under which a file in the working directory is found, in the order in which they are looked for.
pub const FILE_NAMES: [&str; 4] = [
    "radiosonde.toml",
    "radiosonde.json",
    "radiosonde.yaml",
    "radiosonde.yml",
];

/// Deepest nesting of tables and lists; the deepest setting needs three.
const DEPTH_MAX: usize = 32;
/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

impl Format {
    /// The format that a file's name says.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "toml" => Some(Self::Toml),
            "json" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            _ => None,
        }
    }
}

impl RawConfig {
    /// Takes settings from the text of a file; `path` is what messages call it. Unknown keys are kept as errors that
    /// [`Config::new`](super::Config::new) reports with all others.
    pub fn parse(format: Format, text: &str, path: &Path) -> Result<Self, ConfigErrors> {
        let path: Arc<Path> = Arc::from(path);
        let tree = match format {
            Format::Toml => toml_tree(text),
            Format::Json => json_tree(text),
            Format::Yaml => yaml_tree(text),
        };
        let tree = tree.map_err(|Broken { line, problem }| {
            let source = Source::File {
                path: Arc::clone(&path),
                line,
                key: String::new(),
            };
            ConfigError::new(source, "", "", problem, "")
        })?;
        let mut raw = Self::default();
        raw.add_tree(tree, &path);
        Ok(raw)
    }

    /// Reads a configuration file; the end of its name says how it is written.
    pub fn read(path: &Path) -> Result<Self, ConfigErrors> {
        let refuse = |problem: String, mend: &str| {
            let source = Source::File {
                path: Arc::from(path),
                line: None,
                key: String::new(),
            };
            ConfigErrors::from(ConfigError::new(source, "", "", problem, mend))
        };
        let Some(format) = Format::of(path) else {
            return Err(refuse(
                "is no configuration file by its name".to_owned(),
                "let the name end in .toml, .json, .yaml or .yml",
            ));
        };
        let cannot = |error: std::io::Error| {
            refuse(
                format!("cannot be read: {error}"),
                "make the file readable, or name another one in RADIOSONDE_CONFIG",
            )
        };
        // Opening a named pipe would wait for whoever writes to it.
        refuse_special(path, true).map_err(cannot)?;
        // Read to the limit rather than trusted: a device has no length, and a file may grow.
        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(cannot)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(refuse(
                format!("has more than {FILE_BYTES_MAX} bytes"),
                "name the right file",
            ));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            refuse(
                format!("is not UTF-8: {}", error.utf8_error()),
                "save it as UTF-8",
            )
        })?;
        Self::parse(format, &text, path)
    }

    /// The file that `named` says, else the one in `directory`, else nothing.
    pub(super) fn find_file(
        named: Option<PathBuf>,
        directory: &Path,
    ) -> Result<Option<PathBuf>, ConfigErrors> {
        if named.is_some() {
            return Ok(named);
        }
        let mut found = FILE_NAMES
            .iter()
            .map(|name| directory.join(name))
            .filter(|path| path.is_file());
        let Some(first) = found.next() else {
            return Ok(None);
        };
        match found.next() {
            None => Ok(Some(first)),
            Some(second) => {
                let source = Source::File {
                    path: Arc::from(first.as_path()),
                    line: None,
                    key: String::new(),
                };
                let problem = format!(
                    "is not the only configuration file: {} is there too",
                    second.display()
                );
                let mend = "remove one, or name one in RADIOSONDE_CONFIG";
                Err(ConfigError::new(source, "", "", problem, mend).into())
            }
        }
    }
}

/// A file that is not what its name says.
struct Broken {
    line: Option<usize>,
    problem: String,
}

impl Broken {
    fn new(line: Option<usize>, problem: impl Into<String>) -> Self {
        Self {
            line,
            problem: problem.into(),
        }
    }

    fn too_deep(line: Option<usize>) -> Self {
        Self::new(line, format!("is nested deeper than {DEPTH_MAX} levels"))
    }
}

type Tree = Result<Vec<(String, Node)>, Broken>;

fn toml_tree(text: &str) -> Tree {
    let line_of = |offset: usize| {
        let before = text.as_bytes().get(..offset).unwrap_or_default();
        before.split(|&byte| byte == b'\n').count()
    };
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map(|span| line_of(span.start));
        Broken::new(line, format!("is not TOML: {}", error.message()))
    })?;
    toml_table(table.get_ref(), &line_of, 0)
}

fn toml_table(table: &DeTable<'_>, line_of: &impl Fn(usize) -> usize, depth: usize) -> Tree {
    table
        .iter()
        .map(|(key, value)| {
            let line = Some(line_of(key.span().start));
            let value = toml_value(value.get_ref(), line, line_of, depth)?;
            Ok((key.get_ref().to_string(), Node { value, line }))
        })
        .collect()
}

fn toml_value(
    value: &DeValue<'_>,
    line: Option<usize>,
    line_of: &impl Fn(usize) -> usize,
    depth: usize,
) -> Result<Written, Broken> {
    if depth > DEPTH_MAX {
        return Err(Broken::too_deep(line));
    }
    Ok(match value {
        DeValue::String(text) => Written::Text(text.to_string()),
        DeValue::Boolean(value) => Written::Bool(*value),
        DeValue::Datetime(value) => Written::Text(value.to_string()),
        DeValue::Integer(value) => {
            let number = i64::from_str_radix(value.as_str(), value.radix());
            Written::Integer(
                number.map_err(|_| {
                    Broken::new(line, format!("holds a number out of range: {value}"))
                })?,
            )
        }
        DeValue::Float(value) => Written::Float(
            value
                .as_str()
                .parse()
                .map_err(|_| Broken::new(line, format!("holds a number out of range: {value}")))?,
        ),
        DeValue::Array(values) => Written::List(
            values
                .iter()
                .map(|value| {
                    let line = Some(line_of(value.span().start));
                    let value = toml_value(value.get_ref(), line, line_of, depth + 1)?;
                    Ok(Node { value, line })
                })
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(table) => Written::Table(toml_table(table, line_of, depth + 1)?),
    })
}

fn json_tree(text: &str) -> Tree {
    let Json(value) = serde_json::from_str(text)
        .map_err(|error| Broken::new(Some(error.line()), format!("is not JSON: {error}")))?;
    match value {
        Written::Table(table) => Ok(table),
        _ => Err(Broken::new(None, "does not hold a JSON object")),
    }
}

/// A JSON value. serde_json's own type would keep the last of two entries with one name and say nothing.
struct Json(Written);

impl<'de> Deserialize<'de> for Json {
    /// serde_json bounds the depth.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor).map(Self)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Written, E> {
        Ok(Written::Nothing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Written, E> {
        Ok(Written::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Written, E> {
        Ok(Written::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Written, E> {
        Ok(i64::try_from(value).map_or(Written::Float(value as f64), Written::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Written, E> {
        Ok(Written::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Written, E> {
        Ok(Written::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Written, A::Error> {
        let mut nodes = Vec::new();
        while let Some(Json(value)) = values.next_element()? {
            nodes.push(Node::new(value));
        }
        Ok(Written::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Written, A::Error> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if entries.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom(format_args!("says {name:?} twice")));
            }
            let Json(value) = map.next_value()?;
            entries.push((name, Node::new(value)));
        }
        Ok(Written::Table(entries))
    }
}

/// A list or table that is still open.
enum Open {
    List(Vec<Node>, usize),
    /// Entries, the key that waits for its value, the line.
    Table(Vec<(String, Node)>, Option<String>, usize),
}

fn yaml_tree(text: &str) -> Tree {
    let mut open: Vec<Open> = Vec::new();
    let mut root: Option<Node> = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            Broken::new(
                Some(error.marker().line()),
                format!("is not YAML: {}", error.info()),
            )
        })?;
        let line = span.start.line();
        let closed = match event {
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                let value = if plain {
                    yaml_plain(&text)
                } else {
                    Written::Text(text.into_owned())
                };
                Node {
                    value,
                    line: Some(line),
                }
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new(), line));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Table(Vec::new(), None, line));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(nodes, line)) => Node {
                    value: Written::List(nodes),
                    line: Some(line),
                },
                Some(Open::Table(entries, _, line)) => Node {
                    value: Written::Table(entries),
                    line: Some(line),
                },
                None => continue,
            },
            Event::Alias(_) => {
                return Err(Broken::new(
                    Some(line),
                    "uses a YAML alias (*); write the value out",
                ));
            }
            _ => continue,
        };
        if open.len() > DEPTH_MAX {
            return Err(Broken::too_deep(Some(line)));
        }
        place(&mut open, &mut root, closed)?;
    }
    match root.map(|node| node.value) {
        Some(Written::Table(table)) => Ok(table),
        // An empty document, or one of comments only.
        None | Some(Written::Nothing) => Ok(Vec::new()),
        Some(_) => Err(Broken::new(None, "does not hold a YAML mapping")),
    }
}

/// Puts a finished node where it belongs.
fn place(open: &mut [Open], root: &mut Option<Node>, node: Node) -> Result<(), Broken> {
    match open.last_mut() {
        None if root.is_some() => {
            return Err(Broken::new(node.line, "holds more than one YAML document"));
        }
        None => *root = Some(node),
        Some(Open::List(nodes, _)) => nodes.push(node),
        Some(Open::Table(entries, key, _)) => match key.take() {
            Some(name) if entries.iter().any(|(known, _)| *known == name) => {
                return Err(Broken::new(node.line, format!("says {name:?} twice")));
            }
            Some(name) => entries.push((name, node)),
            None => match node.value {
                Written::Text(name) => *key = Some(name),
                Written::Bool(_) | Written::Integer(_) | Written::Float(_) => {
                    *key = Some(node.value.to_string());
                }
                _ => return Err(Broken::new(node.line, "has a key that is not text")),
            },
        },
    }
    Ok(())
}

/// A scalar without quotes, by the core schema of YAML 1.2.
fn yaml_plain(text: &str) -> Written {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Written::Nothing,
        "true" | "True" | "TRUE" => return Written::Bool(true),
        "false" | "False" | "FALSE" => return Written::Bool(false),
        _ => {}
    }
    let digits = text.trim_start_matches(['+', '-']);
    if digits.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(number) = text.parse()
    {
        return Written::Integer(number);
    }
    let begins = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    match text.parse() {
        Ok(number) if begins => Written::Float(number),
        _ => Written::Text(text.to_owned()),
    }
}
