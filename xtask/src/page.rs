//! The page of `web/`: that what is built of it is current, and that it works in a browser on a real collector.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{packages, shell};

/// Where the built page is, from the root of the repository.
const BUILT: &str = "crates/server/page";

/// Builds the page, compares it with what is committed, and tests it in Chromium.
pub fn check() -> Result<()> {
    if !shell::works(shell::tool("npm").arg("--version")) {
        bail!(
            "`npm` is not installed: install Node.js 20 or newer (https://nodejs.org) to change or test the page"
        );
    }
    npm(&["ci", "--no-audit", "--no-fund"])?;
    npm(&["run", "check"])?;
    npm(&["run", "build"])?;
    let changed = shell::output(shell::tool("git").args(["status", "--porcelain", "--", BUILT]))?;
    ensure!(
        changed.is_empty(),
        "{BUILT} is not what `npm run build` in web/ makes; commit what it made:\n{changed}"
    );
    let collector = Collector::start()?;
    collector.fill()?;
    let mut test = shell::tool("npm");
    test.args(["test"])
        .current_dir(folder())
        .env("RADIOSONDE_PAGE_URL", &collector.page)
        .env("RADIOSONDE_BUNDLE", collector.bundle()?);
    shell::run(&mut test)
}

fn folder() -> PathBuf {
    shell::root().join("web")
}

fn npm(arguments: &[&str]) -> Result<()> {
    shell::run(shell::tool("npm").args(arguments).current_dir(folder()))
}

/// A collector with a recording in it, as a person would have one.
struct Collector {
    child: Child,
    sonde: PathBuf,
    page: String,
    folder: PathBuf,
}

impl Drop for Collector {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Collector {
    fn start() -> Result<Self> {
        let programs = packages::build_programs(
            packages::select_all(shell::cargo().args(["build", "--bin", "sonde"]))?,
            packages::PROGRAM,
        )?;
        let sonde = programs
            .into_iter()
            .next()
            .context("the build made no `sonde`")?
            .path;
        let folder = shell::scratch("page")?;
        let free = "127.0.0.1:0";
        let mut child = Command::new(&sonde)
            .args([
                "serve",
                "--page",
                free,
                "--otlp-http",
                free,
                "--otlp-grpc",
                free,
                "--data",
            ])
            .arg(folder.join("data"))
            .arg("--dashboards")
            .arg(shell::root().join("examples/dashboards"))
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start `sonde serve`")?;
        let stderr = child
            .stderr
            .take()
            .context("`sonde serve` has no standard error")?;
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let said = lines
            .find(|line| line.contains(" page "))
            .context("`sonde serve` ended at once")?;
        let page = said
            .split_whitespace()
            .last()
            .unwrap_or_default()
            .to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self {
            child,
            sonde,
            page,
            folder,
        })
    }

    /// The page as a file, with what it has.
    fn bundle(&self) -> Result<PathBuf> {
        let file = self.folder.join("report.html");
        let mut export = shell::tool(&self.sonde);
        export
            .args(["export", "--from", "-1d", "--collector", &self.page])
            .arg(&file);
        shell::run(&mut export)?;
        Ok(file)
    }

    /// Sends it what the demo records.
    fn fill(&self) -> Result<()> {
        let recorded = self.folder.join("demo");
        let mut demo = shell::tool(packages::build_demo()?);
        demo.args([
            "--model",
            "tiny",
            "--requests",
            "6",
            "--once",
            "--format",
            "json",
            "--out",
        ])
        .arg(&recorded);
        shell::output(&mut demo)?;
        let import = |file: &Path| {
            let mut import = shell::tool(&self.sonde);
            import
                .args([
                    "import",
                    "--service",
                    "radiosonde-demo",
                    "--collector",
                    &self.page,
                ])
                .arg(file);
            shell::run(&mut import)
        };
        import(&recorded.join("events.jsonl"))
    }
}
