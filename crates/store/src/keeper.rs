//! The keeper: one thread that turns what is in memory into segments, small ones into large ones, and gives up what is too
//! much or too old. Where traces are sampled, it is here that they are judged, before their spans become rows of a segment.

use std::{
    collections::HashSet,
    io,
    path::PathBuf,
    sync::{Arc, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use arrow::error::ArrowError;

use crate::{
    Segment, WriteError,
    age::{self, Clock},
    compact,
    disk::Disk,
    log,
    memtable::{Memtable, now_unix_ns},
    merge, rollup,
    sampling::Round,
    segment,
    shared::{Held, Shared, State},
    table::Table,
};

/// How long after a failure it is tried again, and how often retention is looked after.
const PAUSE: Duration = Duration::from_secs(5);

/// How often it is looked, at most, whether traces have waited.
const PATIENCE_MIN: Duration = Duration::from_millis(50);

/// Starts the thread; it ends when the store is stopped.
pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    thread::Builder::new()
        .name("radiosonde-keeper".to_owned())
        .spawn(move || run(&shared))
}

fn run(shared: &Shared) {
    let mut failed = None;
    // Segments that could not be compacted stay as they are.
    let mut refused = HashSet::new();
    let mut abandoned = Abandoned::default();
    let newest = shared.segments();
    let newest = newest.iter().map(|segment| segment.arrived_unix_ns).max();
    let mut clock = Clock::new(newest.unwrap_or_else(now_unix_ns), Instant::now());
    loop {
        let (asked, is_last) = wait(shared, failed);
        let all = asked.is_some() || is_last;
        let outcome = write_all(shared, all, &mut abandoned, &mut clock);
        failed = outcome.is_err().then(Instant::now);
        if let Some(asked) = asked {
            let mut state = shared.lock();
            state.answered = asked;
            state.outcome = outcome.map_err(Arc::new);
            shared.done.notify_all();
        }
        if is_last {
            return;
        }
        retain(shared, &mut clock);
        // What comes in goes before what is there; where it fails, it is tried again or was refused.
        while matches!(
            compact::compact(shared, &mut refused, &mut abandoned),
            Ok(true)
        ) && is_idle(shared)
        {}
    }
}

/// Files of segments that were written and did not come into the catalogue, because that could not be changed. They stay until
/// it was: where it failed to make a change durable, a loss of power may still bring that change about.
#[derive(Debug, Default)]
pub(crate) struct Abandoned(Vec<PathBuf>);

impl Abandoned {
    pub(crate) fn add(&mut self, path: PathBuf) {
        self.0.push(path);
    }

    /// Removes them: a later change of the catalogue is durable.
    fn discard(&mut self, disk: &dyn Disk) {
        for path in self.0.drain(..) {
            segment::discard(disk, &path);
        }
    }
}

/// Whether nothing waits for the keeper.
fn is_idle(shared: &Shared) -> bool {
    let state = shared.lock();
    !state.is_stopping && state.asked == state.answered && !has_ripe(shared, &state)
}

/// Waits until there is something to do: the flush that is asked for, if one is, and whether the store is stopping.
fn wait(shared: &Shared, failed: Option<Instant>) -> (Option<u64>, bool) {
    let mut state = shared.lock();
    loop {
        if state.is_stopping || state.asked > state.answered {
            return (
                (state.asked > state.answered).then_some(state.asked),
                state.is_stopping,
            );
        }
        let rests = failed.is_some_and(|failed| failed.elapsed() < PAUSE);
        if !rests && (has_ripe(shared, &state) || is_due(shared, &state)) {
            return (None, false);
        }
        let sampling = shared.config.sampling.as_ref();
        let patience = sampling.map_or(PAUSE, |sampling| sampling.wait.max(PATIENCE_MIN));
        let wait = shared
            .work
            .wait_timeout(state, PAUSE.min(shared.config.flush_interval).min(patience));
        let (after, timeout) = wait.unwrap_or_else(PoisonError::into_inner);
        state = after;
        if timeout.timed_out() && !rests {
            // For the age of segments.
            return (None, false);
        }
    }
}

fn is_due(shared: &Shared, state: &MutexGuard<'_, State>) -> bool {
    let active = &state.active;
    shared.is_full(active)
        || active
            .began
            .is_some_and(|began| began.elapsed() >= shared.config.flush_interval)
}

/// Whether the oldest generation may become segments: its traces have waited for their spans, or there is no room to.
fn has_ripe(shared: &Shared, state: &State) -> bool {
    let oldest = state.frozen.first();
    oldest.is_some_and(|oldest| {
        has_waited(shared, oldest) || state.bytes() >= shared.config.memory_bytes_max / 2
    })
}

fn has_waited(shared: &Shared, memtable: &Memtable) -> bool {
    let waited = memtable.ended.map(|ended| ended.elapsed());
    let sampling = shared.config.sampling.as_ref();
    sampling.is_none_or(|sampling| waited.is_none_or(|waited| waited >= sampling.wait))
}

/// Writes every older generation that may be into segments, and the current one where it is due; all of them where `all` is
/// wanted. What there is no room for goes after each of them: more may come for as long as they are written.
fn write_all(
    shared: &Shared,
    all: bool,
    abandoned: &mut Abandoned,
    clock: &mut Clock,
) -> Result<(), WriteError> {
    {
        let mut state = shared.lock();
        if state.active.rows > 0 && (all || is_due(shared, &state)) {
            shared
                .freeze(&mut state)
                .map_err(|source| WriteError::Disk {
                    path: shared.config.folder.clone(),
                    source,
                })?;
        }
    }
    loop {
        let oldest = {
            let state = shared.lock();
            let oldest = state.frozen.first().map(Arc::clone);
            oldest.filter(|_| all || has_ripe(shared, &state))
        };
        let Some(oldest) = oldest else {
            return Ok(());
        };
        let (segments, round) = write(shared, &oldest)?;
        let config = &shared.config;
        let paths = segments
            .iter()
            .map(|segment| segment::path(&config.folder, segment.table, segment.id));
        let paths: Vec<PathBuf> = paths.collect();
        commit(shared, &oldest, segments).inspect_err(|_| abandoned.0.extend(paths))?;
        abandoned.discard(&*config.disk);
        if let Some((round, mut sampler)) = round.zip(shared.sampler()) {
            sampler.commit(round);
        }
        retain(shared, clock);
    }
}

/// Writes the segments of a generation, all or none, or sends its rows where they are kept instead, and says what was decided about
/// its traces.
fn write(
    shared: &Shared,
    memtable: &Memtable,
) -> Result<(Vec<Segment>, Option<Round>), WriteError> {
    let config = &shared.config;
    let mut segments = Vec::new();
    let decided = write_each(shared, memtable, &mut segments).inspect_err(|_| {
        for segment in &segments {
            let path = segment::path(&config.folder, segment.table, segment.id);
            segment::discard(&*config.disk, &path);
        }
    })?;
    Ok((segments, decided))
}

fn write_each(
    shared: &Shared,
    memtable: &Memtable,
    segments: &mut Vec<Segment>,
) -> Result<Option<Round>, WriteError> {
    let config = &shared.config;
    let mut decided = None;
    for table in Table::ALL {
        let batches = memtable.batches(table.source());
        if batches.is_empty() {
            continue;
        }
        let id = shared
            .catalogue()
            .reserve()
            .map_err(catalogue_error(shared))?;
        let encode = |source: ArrowError| WriteError::Encode {
            path: segment::path(&config.folder, table, id),
            source: source.into(),
        };
        // Operations are of all spans, of those too that sampling leaves out: their numbers are no estimates.
        let mut rows = match table {
            Table::Operations => rollup::of_spans(batches),
            _ => merge::merged(table, batches),
        }
        .map_err(encode)?;
        if table == Table::Spans
            && let Some(mut round) = judge(shared, memtable).map_err(encode)?
        {
            rows = round.kept(&rows).map_err(encode)?;
            decided = Some(round);
        }
        if rows.num_rows() == 0 {
            continue;
        }
        if let Some(elsewhere) = &shared.elsewhere {
            elsewhere.write(table, &rows, memtable)?;
            continue;
        }
        segments.push(segment::write(
            &*config.disk,
            &config.folder,
            table,
            id,
            &rows,
            memtable.arrived_unix_ns,
        )?);
    }
    Ok(decided)
}

/// What is decided about the traces of a generation, where they are sampled.
fn judge(shared: &Shared, memtable: &Memtable) -> Result<Option<Round>, ArrowError> {
    let Some(sampler) = shared.sampler() else {
        return Ok(None);
    };
    let others = {
        let state = shared.lock();
        let frozen = state.frozen.iter().map(AsRef::as_ref);
        let others = frozen.chain([&state.active]);
        let others = others.filter(|other| other.generation != memtable.generation);
        let others = others.flat_map(|other| other.batches(Table::Spans));
        others.cloned().collect::<Vec<_>>()
    };
    let is_early = !has_waited(shared, memtable);
    let round = sampler.judge(
        memtable.batches(Table::Spans),
        &others,
        is_early,
        Instant::now(),
    )?;
    Ok(Some(round))
}

/// The rows of a generation are in segments from here on, and in its log no longer.
fn commit(shared: &Shared, memtable: &Memtable, segments: Vec<Segment>) -> Result<(), WriteError> {
    let generation = memtable.generation;
    shared
        .catalogue()
        .replace(&[], &segments, Some(generation + 1))
        .map_err(catalogue_error(shared))?;
    {
        let mut state = shared.lock();
        state
            .frozen
            .retain(|frozen| frozen.generation != generation);
        let held = segments
            .into_iter()
            .map(|segment| Held::new(&shared.config, segment));
        state.segments.extend(held);
    }
    // One that stays is removed when the store is opened again.
    let _ = shared
        .config
        .disk
        .remove(&log::path(&shared.config.folder, generation));
    Ok(())
}

/// Gives up segments that are too old, and the oldest ones where all of them take too much room. Operations have room of their
/// own, and stay when their spans went: they say what was, in a small part of the bytes.
fn retain(shared: &Shared, clock: &mut Clock) {
    let config = &shared.config;
    let now_ns = clock.believed(now_unix_ns(), Instant::now());
    let segments = shared.segments();
    let of = |is_operations: bool, room: u64| {
        let segments = segments
            .iter()
            .filter(|segment| (segment.table == Table::Operations) == is_operations);
        age::given_up(segments, room, config.age_max, now_ns)
    };
    let operations = of(true, config.bytes_max(Table::Operations));
    let others = of(
        false,
        config.size_bytes_max.saturating_sub(operations.bytes_kept),
    );
    let early = operations.early_unix_ns;
    let gone = [operations.ids, others.ids].concat();
    // Where that fails they stay, and it is tried again.
    if gone.is_empty() || before_operations_go(shared, early).is_err() {
        return;
    }
    if shared.catalogue().replace(&gone, &[], None).is_err() {
        return;
    }
    let mut state = shared.lock();
    let given_up = state
        .segments
        .extract_if(.., |held| gone.contains(&held.segment.id));
    let given_up: Vec<_> = given_up.collect();
    drop(state);
    for held in &given_up {
        held.is_given_up.store(true, Relaxed);
    }
}

/// Remembers that operations up to the minute `early` go while their spans may stay: who asks for all of that time asks spans.
fn before_operations_go(shared: &Shared, early: Option<i64>) -> rusqlite::Result<()> {
    let Some(early) = early else {
        return Ok(());
    };
    let since = early.saturating_add(rollup::MINUTE_NS);
    shared.catalogue().set_operations_since(since)?;
    let mut state = shared.lock();
    state.operations_since_unix_ns = state.operations_since_unix_ns.max(since);
    Ok(())
}

pub(crate) fn catalogue_error(shared: &Shared) -> impl Fn(rusqlite::Error) -> WriteError {
    let path = shared.config.folder.clone();
    move |source| WriteError::Catalogue {
        path: path.clone(),
        source,
    }
}
