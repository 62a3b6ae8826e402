//! The configuration as it stands, each value with its source.

use std::fmt;

use super::{Config, Source, environment::variable_of, settings::KEYS};

/// Prints a configuration as TOML, each value with its source, secrets replaced.
pub struct Effective<'a>(pub(super) &'a Config);

impl fmt::Display for Effective<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut section = "";
        for (key, value) in KEYS.iter().zip(self.0.settings.shown()) {
            let (of, name) = key.path.split_once('.').unwrap_or(("", key.path));
            if of != section {
                let gap = if section.is_empty() { "" } else { "\n" };
                writeln!(f, "{gap}[{of}]")?;
                section = of;
            }
            let source = self.0.source(key.path);
            match value {
                Some(_) if key.is_secret && *source != Source::Default => {
                    writeln!(f, "# {name} = \"[redacted]\" # {source}")?;
                }
                Some(value) => writeln!(f, "{name} = {value} # {source}")?,
                None => writeln!(f, "# {name} is not set")?,
            }
        }
        for exporter in self.0.exporters() {
            exporter.show(f)?;
        }
        Ok(())
    }
}

/// Every key with its default, its variables and what it is for, as Markdown.
pub fn reference() -> String {
    Reference.to_string()
}

struct Reference;

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("| key | default | variables | meaning |\n|---|---|---|---|\n")?;
        for (key, default) in KEYS.iter().zip(Config::default().settings.shown()) {
            write!(f, "| `{}` | ", key.path)?;
            if let Some(default) = default {
                write!(f, "`{default}`")?;
            }
            write!(f, " | `{}`", variable_of(key.path))?;
            for (variable, _) in key.variables {
                write!(f, ", `{variable}`")?;
            }
            writeln!(f, " | {} |", key.help.trim())?;
        }
        Ok(())
    }
}
