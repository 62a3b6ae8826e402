//! Carry a trace over HTTP: what a client sends in its headers, a server goes on with.
//!
//! `cargo run -p radiosonde-examples --bin carry_a_trace_over_http`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::thread;

use radiosonde::{
    core::context,
    propagation::{self, FullContext, Headers, HeadersMut},
};

fn trace_id() -> String {
    context::current().map_or_else(|| "none".to_owned(), |context| context.trace_id.to_string())
}

/// The server: it is handed the request and nothing else.
fn serve(request: &http::Request<()>) -> String {
    let _caller = FullContext::extract(&Headers(request.headers())).attach();
    let _span = tracing::info_span!("serve", path = request.uri().path()).entered();
    trace_id()
}

fn main() -> anyhow::Result<()> {
    let _guard = radiosonde::init()?;

    let _span = tracing::info_span!("call").entered();
    let mut request = http::Request::get("http://localhost/weights").body(())?;
    propagation::inject(&mut HeadersMut(request.headers_mut()));
    println!("traceparent: {:?}", request.headers().get("traceparent"));

    // Another thread has no span of its own open: all it knows is in the headers.
    let served = thread::scope(|scope| scope.spawn(|| serve(&request)).join());
    let served = served.map_err(|_| anyhow::anyhow!("the server panicked"))?;
    println!("client's trace: {}\nserver's trace: {served}", trace_id());
    anyhow::ensure!(served == trace_id(), "one request, one trace");
    Ok(())
}
