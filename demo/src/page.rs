//! After the report: everything that was recorded, on the page of `sonde`, until Ctrl-C.
//!
//! `sonde` is a program of its own, which takes a quarter of an hour to build the first time. So the model's answers come
//! first, and what is being built is said while it is.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};

use crate::observe;
use crate::say;

/// What the program is called in its folder.
const SONDE: &str = if cfg!(windows) { "sonde.exe" } else { "sonde" };

/// Where a collector that runs already shows its page.
const PAGE: &str = "http://127.0.0.1:4319";

/// Shows the recording at `lines`: on the page of a collector that runs, else on one of its own until the user ends it.
pub fn show(lines: &Path) -> anyhow::Result<()> {
    let sonde = built()?;
    if import(&sonde, PAGE, lines, Stdio::null())? {
        say(&format!("\nEverything that was recorded is at {PAGE}"));
        return Ok(());
    }
    let mut collector = Collector::start(&sonde)?;
    let imported = import(&sonde, &collector.page, lines, Stdio::inherit())?;
    ensure!(
        imported,
        "`sonde import` could not take up the recording; it said why"
    );
    say(&format!(
        "\nEverything that was recorded is at {}\nCtrl-C ends it. Your own programs: OTEL_EXPORTER_OTLP_ENDPOINT={}",
        collector.page, collector.otlp
    ));
    let ended = collector.child.wait().context("cannot wait for `sonde`")?;
    // At Ctrl-C it ends well.
    ensure!(ended.success(), "`sonde` ended with {ended}");
    Ok(())
}

/// Sends the recording to a collector; whether it took it.
fn import(sonde: &Path, page: &str, lines: &Path, errors: Stdio) -> anyhow::Result<bool> {
    let imported = Command::new(sonde)
        .args(["import", "--service", observe::SERVICE, "--collector", page])
        .arg(lines)
        .stdout(Stdio::null())
        .stderr(errors)
        .status()
        .context("cannot start `sonde import`")?;
    Ok(imported.success())
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
        let mut child = Command::new(sonde)
            .arg("serve")
            .args(arguments)
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
        // What it says later is the user's to read.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| say(&line)));
        Ok(page
            .zip(otlp)
            .map(|(page, otlp)| Self { child, page, otlp }))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // Where the user ended both, it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
