//! Syslog over UDP and TCP: messages of both come together, and become rows a few times a second.
//!
//! ```text
//! datagrams ─┐
//! streams ───┴▶ queue ─▶ Batch (decode) ─▶ store
//! ```
//!
//! Invariants: the queue, a message and the number of streams are bounded; who sends over TCP waits where the queue is full, and
//! what comes over UDP is then dropped and counted; what is not kept is counted by sender and reason in the
//! [`ledger`](super::Ledger).

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::{Buf as _, BytesMut};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{Semaphore, mpsc, watch},
    task::spawn_blocking,
    time::{self, Instant, timeout_at},
};

use super::{
    Intake,
    decode::{
        Signal,
        syslog::{
            Batch,
            frame::{self, Frame, MESSAGE_BYTES_MAX},
        },
    },
    ledger::Sender,
    now_unix_ns,
};

/// Most messages that wait to become rows.
const QUEUE_MAX: usize = 1024;
/// Most messages that become rows together, and how long the first of them waits for others.
const BATCH_MAX: usize = 4096;
const GATHER: Duration = Duration::from_millis(200);
/// Most connections at once; others wait to be accepted.
const STREAMS_MAX: usize = 64;
/// How long to wait when the system gives no more connections, or a socket fails.
const PAUSE: Duration = Duration::from_millis(100);
const UDP: &str = "syslog/udp";
const TCP: &str = "syslog/tcp";
/// What to do about messages that find no room.
const MEND_CROWDED: &str = "send them over TCP, where whoever sends waits";

/// Where messages come.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) datagrams: UdpSocket,
    pub(crate) streams: TcpListener,
}

/// A message as it came.
struct Came {
    peer: IpAddr,
    protocol: &'static str,
    message: Vec<u8>,
    time_unix_ns: i64,
}

impl Came {
    fn now(peer: SocketAddr, protocol: &'static str, message: &[u8]) -> Self {
        Self {
            peer: peer.ip().to_canonical(),
            protocol,
            message: message.to_vec(),
            time_unix_ns: now_unix_ns(),
        }
    }

    fn sender(&self) -> Sender {
        sender(&self.peer.to_string(), self.protocol)
    }
}

fn sender(peer: &str, protocol: &'static str) -> Sender {
    Sender {
        peer: peer.to_owned(),
        protocol,
        signal: Signal::Logs.name(),
        client: String::new(),
    }
}

/// Receives until the server stops, and then writes what has come.
pub(crate) async fn run(intake: Arc<Intake>, sockets: Sockets, stopping: watch::Receiver<bool>) {
    let (queue, came) = mpsc::channel(QUEUE_MAX);
    let Sockets { datagrams, streams } = sockets;
    tokio::join!(
        write(Arc::clone(&intake), came),
        receive(
            Arc::clone(&intake),
            datagrams,
            queue.clone(),
            stopping.clone()
        ),
        accept(intake, streams, queue, stopping),
    );
}

/// Datagrams, each a message.
async fn receive(
    intake: Arc<Intake>,
    socket: UdpSocket,
    queue: mpsc::Sender<Came>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut datagram = vec![0; MESSAGE_BYTES_MAX];
    loop {
        let received = tokio::select! {
            () = async { drop(stopping.wait_for(|stops| *stops).await) } => return,
            received = socket.recv_from(&mut datagram) => received,
        };
        let Ok((bytes, peer)) = received else {
            // Such as that somebody was not there whom nobody was sent to; never an end of the socket.
            time::sleep(PAUSE).await;
            continue;
        };
        let came = Came::now(peer, UDP, &datagram[..bytes]);
        if let Err(mpsc::error::TrySendError::Full(came)) = queue.try_send(came) {
            let reason = "more messages of syslog come over UDP than can be written";
            intake.note_refused(&came.sender(), reason, MEND_CROWDED, 1);
        }
    }
}

/// Connections, each with many messages.
async fn accept(
    intake: Arc<Intake>,
    listener: TcpListener,
    queue: mpsc::Sender<Came>,
    mut stopping: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(STREAMS_MAX));
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accepted => accepted,
            _ = stopping.wait_for(|stops| *stops) => return,
        };
        let Ok((stream, peer)) = accepted else {
            time::sleep(PAUSE).await;
            continue;
        };
        let (intake, queue, mut stopping) = (Arc::clone(&intake), queue.clone(), stopping.clone());
        tokio::spawn(async move {
            tokio::select! {
                // A connection that breaks ends as one that is closed.
                _ = read(&intake, stream, peer, &queue) => {}
                _ = stopping.wait_for(|stops| *stops) => {}
            }
            drop(place);
        });
    }
}

/// Messages of a connection, until it ends or cannot be understood.
async fn read(
    intake: &Intake,
    mut stream: TcpStream,
    peer: SocketAddr,
    queue: &mpsc::Sender<Came>,
) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(MESSAGE_BYTES_MAX);
    loop {
        let is_open = stream.read_buf(&mut buffer).await? > 0;
        loop {
            let (message, taken) = match frame::first(&buffer) {
                Frame::Whole(message, taken) => (message, taken),
                // The last line may have no end.
                Frame::Cut if !is_open && !buffer.is_empty() => (&*buffer, buffer.len()),
                Frame::Cut => break,
                Frame::Wrong => {
                    let reason = "where a message of syslog ends cannot be told, or it is longer than 64 KiB";
                    let mend = "send a message a line, or each with its length before it (RFC 6587), none longer than that";
                    let sender = sender(&peer.ip().to_canonical().to_string(), TCP);
                    intake.note_refused(&sender, reason, mend, 1);
                    return Ok(());
                }
            };
            let came = (!message.is_empty()).then(|| Came::now(peer, TCP, message));
            buffer.advance(taken);
            if let Some(came) = came
                && queue.send(came).await.is_err()
            {
                return Ok(());
            }
        }
        if !is_open {
            return Ok(());
        }
    }
}

/// Makes rows of what comes, until nobody can send any more.
async fn write(intake: Arc<Intake>, mut came: mpsc::Receiver<Came>) {
    while let Some(first) = came.recv().await {
        let until = Instant::now() + GATHER;
        let mut batch = Batch::new(first.time_unix_ns);
        let mut counts = HashMap::new();
        take(&mut batch, &mut counts, &first);
        while batch.messages() < BATCH_MAX {
            let Ok(Some(next)) = timeout_at(until, came.recv()).await else {
                break;
            };
            take(&mut batch, &mut counts, &next);
        }
        flush(&intake, batch, counts).await;
    }
}

/// By sender: messages that are some, and those that are none.
type Counts = HashMap<(IpAddr, &'static str), (u64, u64)>;

fn take(batch: &mut Batch, counts: &mut Counts, came: &Came) {
    let (kept, malformed) = counts.entry((came.peer, came.protocol)).or_default();
    match batch.take(&came.message, came.time_unix_ns) {
        Ok(true) => *kept += 1,
        // Of so few messages a batch is never too large.
        Ok(false) | Err(_) => *malformed += 1,
    }
}

async fn flush(intake: &Arc<Intake>, batch: Batch, counts: Counts) {
    let (rows, made, rejected) = batch.finish();
    let store = Arc::clone(&intake.store);
    let is_empty = rows.is_empty();
    let written = spawn_blocking(move || {
        if is_empty {
            return Ok(());
        }
        store.append(rows).map_err(|error| error.to_string())
    });
    let written = written.await.unwrap_or_else(|error| Err(error.to_string()));
    for ((peer, protocol), (kept, malformed)) in counts {
        let sender = sender(&peer.to_string(), protocol);
        match &written {
            Ok(()) => intake.ledger.sent(&sender, kept, malformed),
            Err(error) => {
                intake.ledger.sent(&sender, 0, malformed);
                let reason = format!("messages of syslog could not be written: {error}");
                let mend = "look at the data folder: the disk may be full";
                intake.note_refused(&sender, &reason, mend, kept);
            }
        }
        if malformed > 0
            && let Some((reason, _)) = &rejected.first
        {
            intake
                .ledger
                .refused(&sender, reason.text(), reason.mend(), malformed);
        }
    }
    intake.received.send_modify(|received| {
        if written.is_ok() {
            received.logs += made.logs;
        }
        received.refused += rejected.items;
    });
}

impl Intake {
    /// Notes messages that were lost before anybody looked at them, or after.
    fn note_refused(&self, sender: &Sender, reason: &str, mend: &str, count: u64) {
        self.ledger.sent(sender, 0, count);
        self.ledger.refused(sender, reason, mend, count);
        self.received
            .send_modify(|received| received.refused += count);
    }
}
