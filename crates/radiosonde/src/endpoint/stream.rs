//! The connection of a caller: what is read from it and written to it, each wait with a deadline.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

/// How long a caller that has its answer is waited for until it closes.
const LINGER: Duration = Duration::from_millis(500);

/// Adds what has come to `head`, which has at most `bytes_max` bytes then. `false` when the caller has closed the connection.
pub(super) fn read_more(
    stream: &TcpStream,
    head: &mut Vec<u8>,
    bytes_max: usize,
    deadline: Instant,
) -> io::Result<bool> {
    let mut block = [0; 1024];
    let room = block.len().min(bytes_max - head.len());
    let read = read(stream, &mut block[..room], deadline)?;
    head.extend_from_slice(&block[..read]);
    Ok(read > 0)
}

/// Writes all of `bytes`.
pub(super) fn write_all(
    mut stream: &TcpStream,
    mut bytes: &[u8],
    deadline: Instant,
) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = until_not_interrupted(|| {
            stream.set_write_timeout(Some(left_until(deadline)?))?;
            stream.write(bytes)
        })?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
    }
    Ok(())
}

/// Waits until the caller closes, for a while: what it sent and nobody read would have the system throw away what of the
/// answer is still on its way (RFC 9112, section 9.6).
pub(super) fn linger(stream: &TcpStream) {
    let deadline = Instant::now() + LINGER;
    if stream.shutdown(Shutdown::Write).is_ok() {
        let mut unread = [0; 4096];
        while read(stream, &mut unread, deadline).is_ok_and(|read| read > 0) {}
    }
}

fn read(mut stream: &TcpStream, room: &mut [u8], deadline: Instant) -> io::Result<usize> {
    until_not_interrupted(|| {
        stream.set_read_timeout(Some(left_until(deadline)?))?;
        stream.read(room)
    })
}

/// A signal that the program handles, such as a profiler's, ends every wait for a socket that has a timeout (signal(7)).
fn until_not_interrupted<T>(mut wait: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match wait() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

fn left_until(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(io::ErrorKind::TimedOut.into())
    } else {
        Ok(left)
    }
}
