//! A server of ClickHouse's own, of 2018, as Debian has it: what it says of passwords and of what it does not know, at the wire.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use radiosonde_store::{ClickHouse, Config, OpenError, Store};

/// The server, until it is dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// A server that has its data in `folder`, with a password; `None`, and loudly, where there is none.
    fn start(folder: &Path) -> Option<Self> {
        let free = || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            listener.local_addr().unwrap().port()
        };
        let (port, native) = (free(), free());
        let at = folder.display();
        let config = format!(
            "<yandex><logger><level>error</level><console>1</console></logger><http_port>{port}</http_port>\
             <tcp_port>{native}</tcp_port><listen_host>127.0.0.1</listen_host><path>{at}/data/</path>\
             <tmp_path>{at}/tmp/</tmp_path><mark_cache_size>5368709120</mark_cache_size>\
             <users_config>users.xml</users_config><default_profile>default</default_profile>\
             <default_database>default</default_database></yandex>"
        );
        let users = "<yandex><profiles><default></default></profiles><quotas><default></default></quotas><users><default>\
                     <password>secret</password><networks><ip>::/0</ip></networks><profile>default</profile>\
                     <quota>default</quota></default></users></yandex>";
        fs::write(folder.join("config.xml"), config).unwrap();
        fs::write(folder.join("users.xml"), users).unwrap();
        let started = Command::new("clickhouse-server")
            .arg("--config-file=config.xml")
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = started else {
            use std::io::Write as _;
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: there is no clickhouse-server (apt-get install clickhouse-server)"
            );
            return None;
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(Instant::now() < deadline, "the server does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Some(Self { child, port })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_old_server_says_what_is_wrong_and_that_is_told_with_what_helps() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = Server::start(folder.path()) else {
        return;
    };
    let refused = |user: &str| {
        let address = format!("http://{user}127.0.0.1:{}/a", server.port);
        let place: ClickHouse = address.parse().unwrap();
        let config = Config {
            clickhouse: Some(place),
            ..Config::new(folder.path().join("store"))
        };
        match Store::open(config) {
            Err(OpenError::ClickHouse(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let words = refused("default:wrong@");
    assert!(
        words.contains("Wrong password") && words.contains("RADIOSONDE_CLICKHOUSE_PASSWORD"),
        "{words}"
    );
    let words = refused("default:secret@");
    assert!(
        words.contains("Unknown setting") && words.contains("of 2023 or newer"),
        "{words}"
    );
}
