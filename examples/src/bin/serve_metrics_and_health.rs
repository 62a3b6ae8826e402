//! Serve metrics and health from inside a program, for Prometheus and for Kubernetes' probes.
//!
//! `cargo run -p radiosonde-examples --bin serve_metrics_and_health`
//!
//! Here the program asks itself; elsewhere it is `curl http://127.0.0.1:9464/metrics`. No code is needed either:
//! `RADIOSONDE_HTTP_LISTEN=127.0.0.1:9464` turns the endpoint on in any program.

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use radiosonde::{core::metrics, health::Status};

fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn main() -> anyhow::Result<()> {
    // Port 0 takes a free one; a service names its port.
    let guard = radiosonde::builder().http("127.0.0.1:0").init()?;
    let address = guard
        .http_address()
        .ok_or_else(|| anyhow::anyhow!("recording is switched off"))?;

    let placed = metrics::counter("orders.placed").unit("{order}");
    placed.with(&[("shop", "north")]).add(2);
    guard
        .health()
        .update("model", Status::Degraded, "serves from the fallback");

    let text = get(address, "/metrics")?;
    let orders = text.lines().find(|line| line.starts_with("orders_placed"));
    println!("{}", orders.unwrap_or_default());
    let health = get(address, "/readyz?verbose")?;
    println!("{}", health.lines().last().unwrap_or_default());
    anyhow::ensure!(orders == Some(r#"orders_placed_total{shop="north"} 2"#));
    anyhow::ensure!(health.starts_with("HTTP/1.1 200") && health.contains("fallback"));
    Ok(())
}
