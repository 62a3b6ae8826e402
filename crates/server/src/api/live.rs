//! What arrives, as it arrives: server-sent events, by which the page knows when to ask again.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::stream;
use tokio::time::{Instant, sleep_until};

use super::Api;
use crate::receive::Received;

/// Shortest time between two events.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often a stream without events says that it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Tells what arrived, at most once a second, until the server stops.
pub(super) async fn stream(State(api): State<Arc<Api>>) -> Response {
    let known = api.intake.received();
    let mut arrivals = api.intake.subscribe();
    arrivals.mark_unchanged();
    let mut stopping = api.stopping.clone();
    let state = (api, arrivals, known, Instant::now());
    let events = stream::unfold(state, |(api, mut arrivals, known, next)| async move {
        arrivals.changed().await.ok()?;
        sleep_until(next).await;
        arrivals.mark_unchanged();
        let received = api.intake.received();
        let event = Event::default()
            .event("received")
            .json_data(since(received, known))
            .ok()?;
        Some((
            Ok::<_, Infallible>(event),
            (api, arrivals, received, Instant::now() + INTERVAL),
        ))
    });
    let until = async move {
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    let events = futures::StreamExt::take_until(events, Box::pin(until));
    Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response()
}

/// What was received between two readings.
const fn since(now: Received, then: Received) -> Received {
    Received {
        spans: now.spans - then.spans,
        logs: now.logs - then.logs,
        points: now.points - then.points,
        samples: now.samples - then.samples,
        refused: now.refused - then.refused,
    }
}
