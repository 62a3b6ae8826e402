//! What the process's one recording consists of, reachable from everywhere: free functions, the panic hook, signals.

use std::sync::{Arc, Mutex, PoisonError};

use radiosonde_core::pump;

use super::InitError;
use crate::report::Tally;

/// The parts of a recording that others may use while it lives.
pub(super) struct Running {
    pub(super) pump: pump::Handle,
    pub(super) tally: Arc<Tally>,
}

enum State {
    Off,
    /// Between the first check and the end of `init`.
    Starting,
    On(Arc<Running>),
}

static STATE: Mutex<State> = Mutex::new(State::Off);

/// Keeps the place of the process's one recording while it is being started. Dropping it gives the place back.
pub(super) struct Reservation {
    used: bool,
}

impl Reservation {
    pub(super) fn take() -> Result<Self, InitError> {
        let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Off => {
                *state = State::Starting;
                Ok(Self { used: false })
            }
            State::Starting | State::On(_) => Err(InitError::AlreadyInitialised),
        }
    }

    pub(super) fn fill(mut self, running: Arc<Running>) {
        self.used = true;
        *STATE.lock().unwrap_or_else(PoisonError::into_inner) = State::On(running);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.used {
            clear();
        }
    }
}

/// The recording that is on, if one is.
pub(super) fn current() -> Option<Arc<Running>> {
    match &*STATE.lock().unwrap_or_else(PoisonError::into_inner) {
        State::On(running) => Some(Arc::clone(running)),
        State::Off | State::Starting => None,
    }
}

/// Recording is off from here on.
pub(super) fn clear() {
    *STATE.lock().unwrap_or_else(PoisonError::into_inner) = State::Off;
}
