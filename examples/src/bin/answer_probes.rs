//! Answer the probes of Kubernetes and load balancers from a server that the program runs anyway, by checks that run beside
//! it and a circuit breaker.
//!
//! `cargo run -p radiosonde-examples --bin answer_probes`
//!
//! The server is axum's; every server that speaks `tower` takes the service as it is. The guide is docs/health.md.

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use axum::{Router, routing};
use radiosonde::{
    breaker::{Breaker, CallError},
    health::{Affects, CheckOptions, HealthService, Probe},
};

fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.get(9..12).unwrap_or_default().parse()?;
    let body = answer.lines().last().unwrap_or_default().to_owned();
    println!("{path} {status} {body}");
    Ok((status, body))
}

/// Serves `app` on a free port, beside the program.
fn serve(app: Router) -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    thread::spawn(move || {
        runtime.block_on(async {
            axum::serve(tokio::net::TcpListener::from_std(listener)?, app).await
        })
    });
    Ok(address)
}

fn main() -> anyhow::Result<()> {
    let guard = radiosonde::init()?;
    let health = guard.health();

    // Asked every ten seconds, for one second at most, on a thread of its own.
    let store = std::env::temp_dir();
    let look = move || std::fs::metadata(&store);
    health.check("model store", CheckOptions::default(), look)?;
    let weights = CheckOptions {
        affects: Affects::STARTUP,
        ..CheckOptions::default()
    };
    health.check("weights", weights, || true)?;

    // A backend that keeps failing is not called for a while, and this program is not ready meanwhile.
    let backend = Breaker::new("backend");
    let watched = backend.clone();
    let look = move || watched.outcome();
    health.check("backend", CheckOptions::default(), look)?;

    let service = HealthService::new(health.clone());
    let address = serve(
        Router::new()
            .route("/", routing::get(async || "hello"))
            .route_service("/ping", service.clone().answering(Probe::Liveness))
            .fallback_service(service),
    )?;
    let look = || health.run_now(Duration::from_secs(10));
    anyhow::ensure!(look(), "the checks do not return");
    anyhow::ensure!(get(address, "/startupz")?.0 == 200);
    anyhow::ensure!(get(address, "/readyz")?.0 == 200);

    while let Err(CallError::Failed(error)) = backend.call(|| Err::<(), _>("connection refused")) {
        println!("backend: {error}");
    }
    // What one look sees may be a blip; two in a row are shown.
    anyhow::ensure!(look() && look(), "the checks do not return");
    let (status, body) = get(address, "/readyz?verbose")?;
    anyhow::ensure!(status == 503 && body.contains("open after 5 failures in a row"));
    anyhow::ensure!(get(address, "/readyz?exclude=backend")?.0 == 200);
    anyhow::ensure!(get(address, "/ping")?.0 == 200);
    Ok(())
}
