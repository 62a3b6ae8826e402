//! Programs of others that tests start, and what is done where they are missing.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// A program that ends with the test.
pub struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Peer {
    pub fn start(program: &Path, arguments: &[&str]) -> Self {
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

/// Where a program is: where the variable says, or on the path and in the folders of daemons. A test without it says
/// loudly that it was skipped.
pub fn find(program: &str, variable: &str, how: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Some(path.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let daemons = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&path)
        .chain(daemons)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: {program} is not here; {how}, or name it by {variable}");
    }
    found
}

/// A port that was free a moment ago, for programs that cannot say which one they chose.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The file once `is_whole` is true of it.
pub fn read_until(path: &Path, is_whole: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    for _ in 0..3000 {
        text = fs::read_to_string(path).unwrap_or_default();
        if is_whole(&text) {
            return text;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("never whole: {text}");
}
