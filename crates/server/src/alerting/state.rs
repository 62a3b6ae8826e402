//! What of alerts outlives the server: a file of JSON, written anew and renamed, so that it is whole whenever it is read.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

use radiosonde_answers::alerts::{State as EngineState, routing};
use radiosonde_notify::Alarms;
use serde::{Deserialize, Serialize};

/// The file's name in the data folder.
const NAME: &str = "alerts.json";
/// Largest file that is read, in bytes.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    engine: EngineState,
    router: routing::State,
}

/// Where it is kept; nowhere, where nothing outlives the server.
#[derive(Debug)]
pub(super) struct StateFile(Option<PathBuf>);

impl StateFile {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self(folder.map(|folder| folder.join(NAME)))
    }

    /// What of `alarms` is kept.
    pub(super) fn of(alarms: &mut Alarms) -> Kept {
        Kept {
            engine: alarms.engine().state(),
            router: alarms.router().save(),
        }
    }

    /// Takes up what an earlier server kept. Of a file that cannot be read people are told, and alerts begin anew.
    pub(super) fn restore(&self, alarms: &mut Alarms, now_unix_ns: u64) -> Option<String> {
        let path = self.0.as_ref()?;
        let text = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Ok(found) if found.len() > BYTES_MAX => Err("it is too large".to_owned()),
            _ => fs::read(path).map_err(|error| error.to_string()),
        };
        let kept = text.and_then(|text| {
            serde_json::from_slice::<Kept>(&text).map_err(|error| error.to_string())
        });
        let restored = kept.and_then(|kept| {
            alarms
                .restore(kept.engine, kept.router, now_unix_ns)
                .map_err(|error| error.to_string())
        });
        let words = restored.err()?;
        Some(format!(
            "alerts begin anew, because {} cannot be read: {words}",
            path.display()
        ))
    }

    /// Writes it; the error is for people.
    pub(super) fn write(&self, kept: &Kept) -> Result<(), String> {
        let Some(path) = &self.0 else { return Ok(()) };
        let written = serde_json::to_vec(kept)
            .map_err(io::Error::other)
            .and_then(|text| {
                let new = path.with_extension("json.new");
                let mut file = fs::File::create(&new)?;
                file.write_all(&text)?;
                file.sync_all()?;
                fs::rename(&new, path)
            });
        written.map_err(|error| {
            let path = path.display();
            format!("what is known of alerts is not kept: {path}: {error}")
        })
    }
}
