//! Rules and routing as one machine. Pure: its driver says what time it is, has the measurements, and sends.

use std::collections::BTreeSet;

use radiosonde_answers::alerts::{
    Alert, Change, Engine, Phase, RuleStatus, Source, State as EngineState,
    payload::{self, Message},
    routing::{Notification, Outcome, Plan, Receiver, Router, State as RouterState, StateError},
};

/// Something to be sent now.
#[derive(Clone, Debug)]
pub struct Due {
    /// What it says.
    pub notification: Notification,
    /// Who is told.
    pub receiver: Receiver,
    /// The same, as the receiver wants it.
    pub message: Message,
}

/// Rules and routing.
#[derive(Debug)]
pub struct Alarms {
    engine: Engine,
    router: Router,
    plan: Plan,
    external_url: String,
}

impl Alarms {
    /// A machine that knows of no alert yet. `external_url` is where the program is reached by people, or empty.
    pub fn new(engine: Engine, plan: Plan, external_url: impl Into<String>) -> Self {
        Self {
            engine,
            router: Router::new(plan.clone()),
            plan,
            external_url: external_url.into(),
        }
    }

    /// Takes up what an earlier machine knew: alerts, who was told, silences.
    pub fn restore(
        &mut self,
        engine: EngineState,
        router: RouterState,
        now_unix_ns: u64,
    ) -> Result<(), StateError> {
        self.router = Router::restore(self.plan.clone(), router)?;
        let changes = self.engine.restore(engine, now_unix_ns);
        self.route(&changes, now_unix_ns);
        Ok(())
    }

    /// Evaluates the rules, and says what is to be sent. Each is [answered](Self::answered) once it was.
    pub fn step(&mut self, source: &dyn Source, now_unix_ns: u64) -> Vec<Due> {
        self.step_with_changes(source, now_unix_ns).1
    }

    /// The same, and what began to fire or is resolved.
    pub fn step_with_changes(
        &mut self,
        source: &dyn Source,
        now_unix_ns: u64,
    ) -> (Vec<Change>, Vec<Due>) {
        let changes = self.engine.evaluate(source, now_unix_ns);
        self.route(&changes, now_unix_ns);
        let due = self.due(now_unix_ns);
        (changes, due)
    }

    fn route(&mut self, changes: &[Change], now_unix_ns: u64) {
        // Where there is nobody to tell, nothing waits for them.
        if self.plan.receivers().is_empty() {
            return;
        }
        self.router.take(changes.iter().cloned());
        let firing: BTreeSet<u64> = self
            .engine
            .active()
            .filter(|alert| alert.phase == Phase::Firing)
            .map(Alert::fingerprint)
            .collect();
        self.router.reconcile(&firing, now_unix_ns);
    }

    fn due(&mut self, now_unix_ns: u64) -> Vec<Due> {
        let notifications = self.router.advance(now_unix_ns);
        let due = |notification: Notification| {
            let receiver = self.plan.receiver(&notification.receiver)?.clone();
            let message = payload::message(&receiver, &notification, &self.external_url);
            Some(Due {
                notification,
                receiver,
                message,
            })
        };
        notifications.into_iter().filter_map(due).collect()
    }

    /// What became of the notification with that number.
    pub fn answered(&mut self, id: u64, outcome: Outcome, now_unix_ns: u64) {
        self.router.answered(id, outcome, now_unix_ns);
    }

    /// Every rule, and how it is.
    pub fn rules(&self) -> impl Iterator<Item = RuleStatus<'_>> {
        self.engine.rules()
    }

    /// Every alert that is pending or firing.
    pub fn active(&self) -> impl Iterator<Item = &Alert> {
        self.engine.active()
    }

    /// The engine, for those who keep its state.
    pub const fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// The router, for those who silence, ask what is kept back, or keep its state.
    pub const fn router(&mut self) -> &mut Router {
        &mut self.router
    }

    /// Who may be told.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }
}
