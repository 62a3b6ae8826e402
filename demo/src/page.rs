//! After the report: everything that was recorded, on the page of `sonde`, until Ctrl-C.
//!
//! `sonde` is a program of its own, which takes a quarter of an hour to build the first time. So the model's answers come
//! first, and what is being built is said while it is.

use std::env;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Lines, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};

use anyhow::{Context, bail, ensure};
use tempfile::NamedTempFile;

use crate::observe;
use crate::out::{LINES, Out};
use crate::say;

/// What the program is called in its folder.
const SONDE: &str = if cfg!(windows) { "sonde.exe" } else { "sonde" };

/// Where a collector that runs already shows its page.
const PAGE: &str = "http://127.0.0.1:4319";

/// How `sonde serve` is started so that it ends with this process, whatever ends that: the shell beside it waits at a pipe
/// that only this process holds open. It is deaf to what a terminal sends to both, because it has to outlive that, and
/// leaves standard error to `sonde`, so that its end is the end of what there is to read.
#[cfg(unix)]
const BESIDE: &str = r#"
trap '' HUP INT QUIT
"$0" serve "$@" </dev/null &
child=$!
exec 2>/dev/null
read -r line
kill "$child"
wait "$child"
"#;

/// A recording that is shown afterwards.
#[derive(Debug)]
pub enum Shown {
    /// The one in the folder of `--out`.
    At(PathBuf),
    /// One that has no name: nobody else can open it, and it is gone with the process, whatever ends that.
    Unnamed(File),
}

impl Shown {
    /// The recording in `out`, or else one that is still empty.
    pub fn new(out: Option<&Out>) -> anyhow::Result<Self> {
        match out {
            Some(out) => Ok(Self::At(out.path(LINES))),
            None => tempfile::tempfile().map(Self::Unnamed).context(
                "cannot make a temporary file for what the page shows; name a folder that you may write by TMPDIR, or \
                 end after the report with --once",
            ),
        }
    }

    /// The file to record into, where that is in no folder.
    pub const fn lines(&self) -> Option<&File> {
        match self {
            Self::At(_) => None,
            Self::Unnamed(file) => Some(file),
        }
    }

    /// Shows it on the page of a collector that runs, else on one of its own until the user ends it.
    pub fn show(&self) -> anyhow::Result<()> {
        let sonde = built()?;
        if self.import(&sonde, PAGE, Stdio::null())? {
            say(&format!("\nEverything that was recorded is at {PAGE}"));
            return Ok(());
        }
        let collector = Collector::start(&sonde)?;
        let imported = self.import(&sonde, &collector.page, Stdio::inherit())?;
        ensure!(
            imported,
            "`sonde import` could not take up the recording; it said why"
        );
        say(&format!(
            "\nEverything that was recorded is at {}\nCtrl-C ends it. Your own programs: OTEL_EXPORTER_OTLP_ENDPOINT={}",
            collector.page, collector.otlp
        ));
        let ended = collector.ended().context("cannot wait for `sonde`")?;
        // At Ctrl-C it ends well.
        ensure!(ended.success(), "`sonde` ended with {ended}");
        Ok(())
    }

    /// Sends it to a collector; whether that took it.
    fn import(&self, sonde: &Path, page: &str, errors: Stdio) -> anyhow::Result<bool> {
        let mut import = Command::new(sonde);
        import
            .args(["import", "--service", observe::SERVICE, "--collector", page])
            .stdout(Stdio::null())
            .stderr(errors);
        // There until it was read.
        let _copy = self
            .hand_to(&mut import)
            .context("cannot hand the recording to `sonde import`")?;
        let imported = import.status().context("cannot start `sonde import`")?;
        Ok(imported.success())
    }

    /// Has `import` read it. Where a file without a name cannot be opened again, that is a copy of it.
    fn hand_to(&self, import: &mut Command) -> io::Result<Option<NamedTempFile>> {
        match self {
            Self::At(path) => {
                import.arg(path);
                Ok(None)
            }
            Self::Unnamed(file) if cfg!(target_os = "linux") => {
                import.arg("/dev/stdin").stdin(file.try_clone()?);
                Ok(None)
            }
            Self::Unnamed(file) => {
                let (mut file, mut copy) = (file, NamedTempFile::new()?);
                file.seek(SeekFrom::Start(0))?;
                io::copy(&mut file, &mut copy)?;
                import.arg(copy.path());
                Ok(Some(copy))
            }
        }
    }
}

/// The program beside this one, built if it is not there yet or not current.
fn built() -> anyhow::Result<PathBuf> {
    let own = env::current_exe().context("cannot tell where this program is")?;
    let sonde = own.with_file_name(SONDE);
    let Some(cargo) = env::var_os("CARGO") else {
        if sonde.exists() {
            return Ok(sonde);
        }
        bail!(
            "`sonde` is not built; start the demo by `cargo demo`, or end it after the report with --once"
        );
    };
    if !sonde.exists() {
        say(
            "\nBuilding `sonde`, which shows all of it on a page. A query engine is a part of it: that takes 15 to 25 minutes \
             the first time. Ctrl-C if the report is enough.",
        );
    }
    let built = Command::new(cargo)
        .args(["build", "--package", "sonde", "--quiet"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .context("cannot start cargo to build `sonde`")?;
    ensure!(
        built.success(),
        "`cargo build -p sonde` failed; it said why"
    );
    ensure!(
        sonde.exists(),
        "cargo built `sonde` elsewhere than {}; start it yourself",
        sonde.display()
    );
    Ok(sonde)
}

/// A collector that ends with the demo.
struct Collector {
    child: Child,
    page: String,
    otlp: String,
    /// Says what it says, until it ends.
    saying: Option<JoinHandle<()>>,
}

impl Collector {
    /// Starts one on the usual ports, or on others where those are taken.
    fn start(sonde: &Path) -> anyhow::Result<Self> {
        let free = "127.0.0.1:0";
        let elsewhere = ["--page", free, "--otlp-http", free, "--otlp-grpc", free];
        match Self::try_start(sonde, &[])? {
            Some(collector) => Ok(collector),
            None => Self::try_start(sonde, &elsewhere)?
                .context("`sonde serve` ended at once; it said why"),
        }
    }

    /// `None` where it ends before it listens.
    fn try_start(sonde: &Path, arguments: &[&str]) -> anyhow::Result<Option<Self>> {
        let mut child = serve(sonde)
            .args(arguments)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start `sonde serve`")?;
        let stderr = child
            .stderr
            .take()
            .context("`sonde serve` has no standard error")?;
        let (mut page, mut otlp) = (None, None);
        let mut lines = BufReader::new(stderr).lines();
        while page.is_none() || otlp.is_none() {
            let Some(Ok(line)) = lines.next() else {
                child.wait().context("cannot wait for `sonde serve`")?;
                return Ok(None);
            };
            let address = line.split_whitespace().last().map(str::to_owned);
            if line.contains(" page ") {
                page = address;
            } else if line.contains("OTLP/HTTP") {
                otlp = address;
            }
        }
        let saying = Some(thread::spawn(move || pass_on(lines)));
        Ok(page.zip(otlp).map(|(page, otlp)| Self {
            child,
            page,
            otlp,
            saying,
        }))
    }

    /// Waits until it ends.
    fn ended(mut self) -> io::Result<ExitStatus> {
        // To wait for the process itself would end it: that closes its standard input.
        if let Some(saying) = self.saying.take() {
            let _ = saying.join();
        }
        self.child.wait()
    }
}

/// What it says later is the user's to read.
fn pass_on(lines: Lines<BufReader<ChildStderr>>) {
    for line in lines {
        match line {
            Ok(line) => say(&line),
            // A line that is no text.
            Err(error) if error.kind() == ErrorKind::InvalidData => {}
            Err(_) => return,
        }
    }
}

/// `sonde serve`, without its options.
#[cfg(unix)]
fn serve(sonde: &Path) -> Command {
    let mut serve = Command::new("/bin/sh");
    serve.args(["-c", BESIDE]).arg(sonde);
    serve
}

/// `sonde serve`, without its options.
#[cfg(not(unix))]
fn serve(sonde: &Path) -> Command {
    let mut serve = Command::new(sonde);
    serve.arg("serve");
    serve
}

impl Drop for Collector {
    fn drop(&mut self) {
        // Where the user ended both, it has ended already.
        if cfg!(not(unix)) {
            let _ = self.child.kill();
        }
        // Closes its standard input, which ends it.
        let _ = self.child.wait();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, Instant};

    use super::*;

    /// A program in place of `sonde`, which leaves its number in the file `id` beside it.
    fn stand_in(folder: &Path, serves: &str) -> PathBuf {
        let path = folder.join(SONDE);
        let script = format!(
            "#!/bin/sh\necho $$ > {0}/id.begun && mv {0}/id.begun {0}/id\n{serves}\n",
            folder.display()
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    fn is_alive(id: &str) -> bool {
        let asked = Command::new("kill")
            .args(["-0", id])
            .stderr(Stdio::null())
            .status();
        asked.unwrap().success()
    }

    const LISTENS: &str =
        "echo 'sonde: page       http://p' >&2; echo 'sonde: OTLP/HTTP  http://o' >&2";

    #[test]
    fn a_collector_ends_when_what_started_it_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let sonde = stand_in(folder.path(), &format!("{LISTENS}; exec sleep 600"));
        let mut collector = Collector::start(&sonde).unwrap();
        assert_eq!(
            (collector.page.as_str(), collector.otlp.as_str()),
            ("http://p", "http://o")
        );
        let id = fs::read_to_string(folder.path().join("id")).unwrap();
        let id = id.trim();
        assert!(is_alive(id));
        // As the end of this process does, whatever ends it.
        drop(collector.child.stdin.take());
        let until = Instant::now() + Duration::from_secs(20);
        while is_alive(id) {
            assert!(Instant::now() < until, "it is still there");
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn how_a_collector_ends_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let sonde = stand_in(folder.path(), &format!("{LISTENS}; exit 3"));
        let collector = Collector::start(&sonde).unwrap();
        assert_eq!(collector.ended().unwrap().code(), Some(3));
        let sonde = stand_in(folder.path(), "exit 3");
        assert!(Collector::start(&sonde).is_err());
    }

    #[test]
    fn a_recording_without_a_name_is_read_as_often_as_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let got = folder.path().join("got");
        // The last argument is the file; it is opened twice, as `sonde import` does.
        let reads = format!(
            "for file; do :; done; cat \"$file\" \"$file\" > {}",
            got.display()
        );
        let sonde = stand_in(folder.path(), &reads);
        let shown = Shown::new(None).unwrap();
        let mut file = shown.lines().unwrap();
        io::Write::write_all(&mut file, b"line\n").unwrap();
        for _ in 0..2 {
            assert!(shown.import(&sonde, "http://p", Stdio::null()).unwrap());
            assert_eq!(fs::read_to_string(&got).unwrap(), "line\nline\n");
        }
    }
}
