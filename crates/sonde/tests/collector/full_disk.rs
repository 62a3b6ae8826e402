//! A collector whose disk is full or read-only.

use std::{fs, io, path::PathBuf};

use super::{
    faults::{Sender, Sent, logs, post, skipped},
    *,
};

/// A file system of its own with so much room, which is gone when this is: in a namespace of mounts that only its holder, and
/// collectors that are started for it, are in.
struct SmallDisk {
    holder: Child,
    mount: TempDir,
    is_root: bool,
}

impl SmallDisk {
    /// `None`, and a word about it, where nothing may be mounted.
    fn mounted(options: &str) -> Option<Self> {
        // Where we are not root, we are in a namespace of our own.
        let found = [true, false]
            .into_iter()
            .find_map(|is_root| Self::mounted_as(is_root, options));
        if found.is_none() {
            skipped("no file system may be mounted here (unshare, nsenter and tmpfs)");
        }
        found
    }

    fn mounted_as(is_root: bool, options: &str) -> Option<Self> {
        let mount = TempDir::new().unwrap();
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if !is_root {
            command.args(["--user", "--map-root-user"]);
        }
        let script = format!("mount -t tmpfs -o {options} none \"$0\" && echo mounted && exec cat");
        let mut holder = command
            .args(["sh", "-c", &script])
            .arg(mount.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut said = String::new();
        let mut out = BufReader::new(holder.stdout.take().unwrap());
        out.read_line(&mut said).unwrap();
        let disk = Self {
            holder,
            mount,
            is_root,
        };
        (said == "mounted\n" && disk.inside(&Command::new("true")).status().ok()?.success())
            .then_some(disk)
    }

    /// The command, as it is run where the disk is.
    fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(["--target", &self.holder.id().to_string(), "--mount"]);
        if !self.is_root {
            inside.args(["--user", "--preserve-credentials"]);
        }
        inside.arg("--").arg(command.get_program());
        inside.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }

    /// A file of the disk, as it is found from outside.
    fn file(&self, name: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        let within = self.mount.path().strip_prefix("/").unwrap();
        root.join(within).join(name)
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut options = fs::OpenOptions::new();
        let file = options.create(true).append(true);
        let mut file = file.open(self.file("filler")).unwrap();
        for length in [1 << 16, 1] {
            while file.write_all(&vec![b'x'; length]).is_ok() {}
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.file("filler")).unwrap();
    }

    fn serve(&self, change: impl FnOnce(&mut Command)) -> Command {
        let mut command = serve();
        command.arg("--data").arg(self.mount.path().join("data"));
        change(&mut command);
        self.inside(&command)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// What a refusal for want of room has to say.
fn assert_asks_for_room(sent: &Sent) {
    assert_eq!(
        (sent.status, sent.retry_after.as_deref()),
        (503, Some("10")),
        "{}",
        sent.text
    );
    assert!(
        sent.text.contains("data folder") && sent.text.contains("make room"),
        "{}",
        sent.text
    );
}

/// Fills the disk until no log finds room on it, which has to be said.
fn must_be_refused(sender: &mut Sender, collector: &Collector, disk: &SmallDisk) {
    // The collector may remove a file meanwhile, and a log needs more than what is left of a page.
    let refused = (0..1000).find_map(|_| {
        disk.fill();
        sender.send(collector, 20_000).err()
    });
    assert_asks_for_room(&refused.unwrap());
}

#[test]
fn a_full_disk_is_said_and_costs_nothing_that_was_acknowledged() {
    let Some(disk) = SmallDisk::mounted("size=24m") else {
        return;
    };
    // Of so little that segments are made all the time.
    let start = || {
        Collector::started(disk.serve(|command| {
            command.args(["--max-size", "16MiB"]);
        }))
    };
    let mut collector = start();
    let mut sender = Sender::default();
    for _ in 0..50 {
        sender.must_send(&collector, 100_000);
    }
    // Whoever asks is answered.
    for _ in 0..3 {
        must_be_refused(&mut sender, &collector, &disk);
        assert_eq!(logs(&collector), sender.kept);
    }
    assert!(collector.text(&["doctor"]).contains("cannot be written"));

    // One that ends on a full disk, however it does, has what it acknowledged when there is room again.
    collector.signal("-9");
    collector.child.wait().unwrap();
    if let Some(said) = refusal(disk.serve(|_| {})) {
        assert!(said.contains("make room"), "{said}");
    }
    disk.make_room();
    let mut collector = start();
    assert_eq!(logs(&collector), sender.kept);
    must_be_refused(&mut sender, &collector, &disk);
    collector.signal("-TERM");
    collector.child.wait().unwrap();
    disk.make_room();
    let collector = start();
    assert_eq!(logs(&collector), sender.kept);
}

/// What a collector says that refuses to start; nothing where it starts, which is ended then.
fn refusal(mut command: Command) -> Option<String> {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    err.read_line(&mut said).unwrap();
    if said.contains("sonde: page") {
        let _ = child.kill();
        child.wait().unwrap();
        return None;
    }
    io::Read::read_to_string(&mut err, &mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{said}");
    Some(said)
}

#[test]
fn a_collector_does_not_fill_a_disk_that_is_smaller_than_what_it_may_keep() {
    let Some(disk) = SmallDisk::mounted("size=16m") else {
        return;
    };
    // Of the 2 GiB that it may keep by default.
    let collector = Collector::started(disk.serve(|_| {}));
    let mut sender = Sender::default();
    let mut refused = 0;
    // Three times what the disk holds, and twice what it holds when it is compressed.
    while sender.kept.len() < 600 {
        if let Err(sent) = sender.send(&collector, 100_000) {
            // What is written may be behind what comes for a moment.
            assert_eq!(sent.status, 503, "{}", sent.text);
            refused += 1;
            assert!(refused < 300, "{}", sent.text);
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
    let status = ureq::get(format!("{}/api/v1/status", collector.page)).call();
    let status = status.unwrap().body_mut().read_to_string().unwrap();
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["store"]["bytes_max"], 10 * 1024 * 1024);
    let found = logs(&collector);
    assert!(found.len() > 20 && found.last() == sender.kept.last());
    // Only what came first is gone.
    let first = found.first().unwrap();
    assert!(found.iter().eq(sender.kept.range(first..)), "{found:?}");
}

#[test]
fn a_collector_goes_on_when_somebody_makes_room() {
    let Some(disk) = SmallDisk::mounted("size=24m") else {
        return;
    };
    let collector = Collector::started(disk.serve(|command| {
        command.args(["--max-size", "16MiB"]);
    }));
    let mut sender = Sender::default();
    for _ in 0..3 {
        must_be_refused(&mut sender, &collector, &disk);
        disk.make_room();
        // More than a generation has, so that there is a log for the next one.
        for _ in 0..60 {
            sender.must_send(&collector, 50_000);
        }
        assert_eq!(logs(&collector), sender.kept);
    }
}

#[test]
fn a_sort_without_room_is_said_and_harms_nobody() {
    let Some(disk) = SmallDisk::mounted("size=1m") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let mut command = serve();
    command
        .arg("--data")
        .arg(folder.path())
        .env("TMPDIR", disk.mount.path());
    let collector = Collector::started(disk.inside(&command));
    let large = "SELECT value, value * 7919 % 1000003 AS other FROM generate_series(1, 40000000) ORDER BY other";
    let body = json!({ "statement": large }).to_string();
    let sent = post(&format!("{}/api/v1/sql", collector.page), &body);
    assert_eq!(sent.status, 507, "{}", sent.text);
    assert!(
        sent.text.contains("temporary files") && sent.text.contains("TMPDIR"),
        "{}",
        sent.text
    );
    let answer = collector.json(&["query", "SELECT 1 AS one"]);
    assert_eq!(answer["rows"], json!([[1]]));
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_with_its_mend() {
    let Some(disk) = SmallDisk::mounted("ro") else {
        return;
    };
    for folder in ["", "new"] {
        let mut command = serve();
        command.arg("--data").arg(disk.mount.path().join(folder));
        let said = refusal(disk.inside(&command)).unwrap();
        for words in [
            &disk.mount.path().display().to_string(),
            "Read-only file system",
            "permit writing there, or name another folder",
        ] {
            assert!(said.contains(words), "{said}");
        }
    }
}
