//! Running the tools that the commands are made of.
//!
//! Every command is printed before it runs, and a failure repeats the whole command line, so that a reader of a log
//! can paste it.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// The folder of the workspace's `Cargo.toml`.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        // `cargo run` tells where the package is now; the folder it was compiled in may be another checkout that
        // shares the target folder.
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        package
            .parent()
            .map_or_else(|| package.clone(), Path::to_path_buf)
    })
}

/// A command that runs in the workspace's root.
pub fn tool(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// `cargo`, the one that runs us.
pub fn cargo() -> Command {
    tool(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Cargo of another toolchain, by name. The variables by which our own toolchain was chosen are taken away.
pub fn cargo_of(toolchain: &str) -> Command {
    let mut command = tool("rustup");
    command
        .args(["run", toolchain, "cargo"])
        .env_remove("CARGO")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("RUSTC");
    command
}

/// What one would type to repeat `command`, without its environment.
pub fn line(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let mut line = program.to_string_lossy().into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        line.push(' ');
        if argument.is_empty() || argument.contains([' ', '"', '\'', '*', '$']) {
            line.push('\'');
            line.push_str(&argument.replace('\'', r"'\''"));
            line.push('\'');
        } else {
            line.push_str(&argument);
        }
    }
    line
}

/// Prints the command, runs it with our own standard streams, and fails when it fails.
pub fn run(command: &mut Command) -> Result<()> {
    println!("$ {}", line(command));
    let status = command
        .status()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", line(command));
    }
    Ok(())
}

/// Runs the command and returns what it wrote to standard output; standard error passes through.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", line(command), output.status);
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` wrote something that is not UTF-8", line(command)))
}

/// Whether the command can be started and ends well, without printing anything.
pub fn works(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The folder that cargo builds in.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// A folder for what a command of ours writes, emptied first: `target/xtask/NAME`.
pub fn scratch(name: &str) -> Result<PathBuf> {
    let folder = target().join("xtask").join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Runs a command that must end within `limit`; one that does not is killed and is a failure.
pub fn run_within(command: &mut Command, limit: Duration) -> Result<()> {
    println!("$ {}", line(command));
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            if !status.success() {
                bail!("`{}` failed: {status}", line(command));
            }
            return Ok(());
        }
        if started.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!(
                "`{}` was still running after {} s and was killed",
                line(command),
                limit.as_secs()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_command_can_be_pasted() {
        let mut command = Command::new("/opt/bin/cargo");
        command.args(["test", "-E", "test(it's)", ""]);
        assert_eq!(line(&command), r"cargo test -E 'test(it'\''s)' ''");
    }

    #[test]
    fn a_failure_names_the_command() {
        let error = run(Command::new("false").arg("now"))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("`false now` failed"), "{error}");
        let error = run(&mut Command::new("/nowhere/at-all"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("cannot start `at-all`"), "{error}");
    }

    #[test]
    fn a_command_that_hangs_is_killed() {
        let error = run_within(Command::new("sleep").arg("60"), Duration::from_millis(50))
            .unwrap_err()
            .to_string();
        assert!(error.contains("was killed"), "{error}");
    }

    #[test]
    fn output_is_what_was_written() {
        assert_eq!(output(Command::new("printf").arg("a b")).unwrap(), "a b");
        assert!(!works(&mut Command::new("false")));
        assert!(works(&mut Command::new("true")));
    }
}
