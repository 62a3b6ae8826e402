//! ClickHouse's engine behind a thin HTTP front ([`front.py`](../front.py)), where it is installed.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// The front, until it is dropped.
pub struct Front {
    child: Child,
    port: u16,
    folder: PathBuf,
}

/// Where `.ci/run` installs the engine.
const INSTALLED: &str = "../../target/tools/chdb";

impl Front {
    /// The front over an empty engine that has its data in `folder`; `None`, and loudly, where there is no engine.
    pub fn start(folder: &Path) -> Option<Self> {
        let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join(INSTALLED);
        if env::var_os("TEST_CHDB").is_none() && !installed.join("chdb").is_dir() {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: ClickHouse's engine is not installed (python3 -m pip install --no-deps --target target/tools/chdb \
                 chdb==4.4.0 chdb-core==26.9.0, or name a folder that has it in TEST_CHDB)"
            );
            return None;
        }
        Some(Self::open(folder, 0, None))
    }

    /// The front with the data that it has in `folder` already.
    pub fn again(folder: &Path, port: u16) -> Self {
        Self::open(folder, port, None)
    }

    /// The same, for one user alone.
    pub fn guarded(self, user: &str, password: &str) -> Self {
        let folder = self.folder.clone();
        drop(self);
        Self::open(&folder, 0, Some((user, password)))
    }

    fn open(folder: &Path, port: u16, user: Option<(&str, &str)>) -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = env::var_os("TEST_CHDB").map_or_else(|| manifest.join(INSTALLED), PathBuf::from);
        let mut command = Command::new("python3");
        command
            .arg(manifest.join("../store/tests/store/clickhouse/front.py"))
            .arg(folder.join("engine"))
            .arg(port.to_string())
            .env("PYTHONPATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some((user, password)) = user {
            command
                .env("FRONT_USER", user)
                .env("FRONT_PASSWORD", password);
        }
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let port = line
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("the front did not start; it says why above"));
        Self {
            child,
            port,
            folder: folder.to_owned(),
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address, with a database.
    pub fn url(&self, database: &str) -> String {
        format!("http://127.0.0.1:{}/{database}", self.port)
    }

    /// What it answers to a statement.
    pub fn ask(&self, statement: &str) -> String {
        let answer = ureq::post(self.url("")).send(statement);
        answer.unwrap().body_mut().read_to_string().unwrap()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // The end of its input ends it, after it has closed the engine.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
