//! StatsD's datagrams, received and added up.
//!
//! Invariants: a datagram is at most what a socket takes, and costs memory by the bounds of [`Aggregate`] alone; whoever sends
//! never waits; what is not kept is counted by sender and reason in the [`ledger`](super::Ledger).

use std::{sync::Arc, time::Duration};

use tokio::{net::UdpSocket, sync::watch, task::spawn_blocking, time};

use super::{
    Intake,
    decode::{
        Signal,
        statsd::{Aggregate, Taken},
    },
    ledger::Sender,
    now_unix_ns,
};

/// How often rows are made of what came: StatsD's own default.
const FLUSH_INTERVAL: Duration = Duration::from_secs(10);
/// The largest datagram there is.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Receives until the server stops.
pub(crate) async fn run(
    intake: Arc<Intake>,
    socket: UdpSocket,
    mut stopping: watch::Receiver<bool>,
) {
    let mut aggregate = Aggregate::default();
    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
    let mut flushes = time::interval_at(time::Instant::now() + FLUSH_INTERVAL, FLUSH_INTERVAL);
    flushes.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    let mut since = now_unix_ns();
    loop {
        tokio::select! {
            // What it gives would be held while rows are written.
            () = async { drop(stopping.wait_for(|stops| *stops).await) } => {
                flush(&intake, &mut aggregate, since).await;
                return;
            }
            _ = flushes.tick() => since = flush(&intake, &mut aggregate, since).await,
            received = socket.recv_from(&mut datagram) => match received {
                Ok((bytes, from)) => {
                    let taken = aggregate.take(&datagram[..bytes]);
                    intake.note_datagram(&from.ip().to_string(), taken);
                }
                // Such as that somebody was not there whom nobody was sent to; never an end of the socket.
                Err(_) => time::sleep(Duration::from_millis(10)).await,
            },
        }
    }
}

/// Writes what came since `since`, and gives the time until which that is.
async fn flush(intake: &Arc<Intake>, aggregate: &mut Aggregate, since: i64) -> i64 {
    let now = now_unix_ns();
    let made = aggregate.finish(since, now, &intake.rules);
    let store = Arc::clone(&intake.store);
    let written = match made {
        Ok((rows, ..)) if rows.is_empty() => return now,
        Ok((rows, counts, _)) => {
            let written =
                spawn_blocking(move || store.append(rows).map_err(|error| error.to_string()));
            let written = written.await.unwrap_or_else(|error| Err(error.to_string()));
            written.map(|()| counts.points)
        }
        Err(error) => Err(format!("{error:?}")),
    };
    match written {
        Ok(points) => intake
            .received
            .send_modify(|received| received.points += points),
        Err(error) => {
            let reason = format!("ten seconds of readings could not be written: {error}");
            let mend = "look at the data folder: the disk may be full";
            intake.ledger.refused(&sender("-"), &reason, mend, 1);
            intake
                .received
                .send_modify(|received| received.refused += 1);
        }
    }
    now
}

fn sender(peer: &str) -> Sender {
    Sender {
        peer: peer.to_owned(),
        protocol: "statsd",
        signal: Signal::Metrics.name(),
        client: String::new(),
    }
}

impl Intake {
    fn note_datagram(&self, peer: &str, taken: Taken) {
        let sender = sender(peer);
        let refused = taken.malformed + taken.crowded;
        self.ledger.sent(&sender, taken.kept, refused);
        if refused == 0 {
            return;
        }
        self.received
            .send_modify(|received| received.refused += refused);
        for (count, reason, mend) in [
            (
                taken.malformed,
                "a line is no metric of StatsD",
                "send `name:1|c`, with |g, |ms, |h, |d or |s, and then |@0.1 or |#key:value; events and service checks are not taken",
            ),
            (
                taken.crowded,
                "there are more than 10,000 series at once",
                "use fewer tags with many values",
            ),
        ] {
            if count > 0 {
                self.ledger.refused(&sender, reason, mend, count);
            }
        }
    }
}
