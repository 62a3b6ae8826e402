//! A strict receiver of remote write on a real socket, made for tests: it checks every request against the specification,
//! decodes all fields, and answers as it is told.

use std::{
    collections::{HashMap, VecDeque},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use prost::Message as _;

use super::messages::{Histogram, Label, Request, WriteRequest};

/// What the receiver does with a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Takes it, as the specification says.
    Take,
    /// Answers these bytes and closes: whether it took it is the test's affair.
    Raw(&'static str),
}

/// A request as it was decoded.
#[derive(Clone, Debug)]
pub enum Taken {
    First(WriteRequest),
    Second(Request),
}

#[derive(Default)]
struct State {
    answers: VecDeque<Answer>,
    /// In order, with whether it was answered by [`Answer::Take`].
    requests: Vec<(Taken, bool)>,
    heads: Vec<String>,
    faults: Vec<String>,
    /// The last time of each series.
    times: HashMap<Vec<Label>, i64>,
}

/// Requests that one connection brings are answered in turn, until the other side closes it.
pub struct Receiver {
    pub address: SocketAddr,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Receiver {
    pub fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = State {
            answers: answers.into_iter().collect(),
            ..State::default()
        };
        let shared = Arc::new((Mutex::new(state), Condvar::new()));
        let inner = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&inner);
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that came, once there are `count` that were taken, and nothing was wrong with any.
    pub fn wait_taken(&self, count: usize) -> Vec<Taken> {
        let (state, _) = self
            .shared
            .1
            .wait_timeout_while(
                self.shared.0.lock().unwrap(),
                Duration::from_secs(20),
                |state| {
                    let taken = state.requests.iter().filter(|(_, taken)| *taken);
                    taken.count() < count && state.faults.is_empty()
                },
            )
            .unwrap();
        assert_eq!(state.faults, Vec::<String>::new());
        let taken = state.requests.iter().filter(|(_, taken)| *taken);
        let taken: Vec<_> = taken.map(|(request, _)| request.clone()).collect();
        assert_eq!(taken.len(), count, "{:?}", state.requests);
        taken
    }

    pub fn heads(&self) -> Vec<String> {
        self.shared.0.lock().unwrap().heads.clone()
    }
}

fn serve(stream: TcpStream, shared: &(Mutex<State>, Condvar)) {
    let mut reader = BufReader::new(stream);
    while let Some((head, body)) = request(&mut reader) {
        let decoded = decode(&head, &body);
        let (answer, written) = {
            let mut state = shared.0.lock().unwrap();
            let answer = state.answers.pop_front().unwrap_or(Answer::Take);
            state.heads.push(head);
            let mut written = (0, 0);
            match decoded {
                Ok(taken) => {
                    let is_taken = matches!(answer, Answer::Take);
                    let checked = check(&taken);
                    let checked = checked.and_then(|(counts, times)| {
                        written = counts;
                        if is_taken {
                            in_order(&mut state.times, times)?;
                        }
                        Ok(())
                    });
                    state.faults.extend(checked.err());
                    state.requests.push((taken, is_taken));
                }
                Err(fault) => state.faults.push(fault),
            }
            shared.1.notify_all();
            (answer, written)
        };
        let stream = reader.get_mut();
        match answer {
            Answer::Take => {
                let (samples, histograms) = written;
                let done = write!(
                    stream,
                    "HTTP/1.1 204 No Content\r\nX-Prometheus-Remote-Write-Samples-Written: {samples}\r\n\
                     X-Prometheus-Remote-Write-Histograms-Written: {histograms}\r\n\
                     X-Prometheus-Remote-Write-Exemplars-Written: 0\r\n\r\n"
                );
                if done.is_err() {
                    return;
                }
            }
            Answer::Raw(bytes) => {
                let _ = stream.write_all(bytes.as_bytes());
                return;
            }
        }
    }
}

/// Head and body.
fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length: ") {
            length = value.parse().ok()?;
        }
        head = format!("{head}{line}\n");
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn decode(head: &str, body: &[u8]) -> Result<Taken, String> {
    let lower = head.to_ascii_lowercase();
    let has = |line: &str| lower.lines().any(|found| found == line);
    if !head.starts_with("POST ")
        || !has("content-encoding: snappy")
        || !lower.contains("user-agent: ")
    {
        return Err(format!("not as remote write is posted: {head}"));
    }
    let plain = snap::raw::Decoder::new()
        .decompress_vec(body)
        .map_err(|error| error.to_string())?;
    let is_second =
        has("content-type: application/x-protobuf;proto=io.prometheus.write.v2.request")
            && has("x-prometheus-remote-write-version: 2.0.0");
    let is_first = has("content-type: application/x-protobuf")
        && has("x-prometheus-remote-write-version: 0.1.0");
    let decoded = match (is_first, is_second) {
        (true, false) => WriteRequest::decode(&*plain).map(Taken::First),
        (false, true) => Request::decode(&*plain).map(Taken::Second),
        _ => return Err(format!("neither 1.0 nor 2.0: {head}")),
    };
    decoded.map_err(|error| error.to_string())
}

/// How many samples and histograms, and the time of each series.
type Counted = ((usize, usize), Vec<(Vec<Label>, i64)>);

fn check(taken: &Taken) -> Result<Counted, String> {
    let mut all = Vec::new();
    match taken {
        Taken::First(request) => {
            for series in &request.timeseries {
                let times = (&series.samples, &series.histograms);
                all.push((series.labels.clone(), times));
                for sample in &series.samples {
                    ensure(sample.start_timestamp == 0, "1.0 has no start")?;
                }
                for exemplar in &series.exemplars {
                    labels(&exemplar.labels, false)?;
                }
            }
            for family in &request.metadata {
                ensure(!family.metric_family_name.is_empty(), "a family has a name")?;
            }
        }
        Taken::Second(request) => {
            let mut symbols = request.symbols.clone();
            ensure(
                symbols.first().is_some_and(String::is_empty),
                "the first symbol is empty",
            )?;
            symbols.sort_unstable();
            symbols.dedup();
            ensure(
                symbols.len() == request.symbols.len(),
                "a symbol stands once",
            )?;
            for series in &request.timeseries {
                let times = (&series.samples, &series.histograms);
                all.push((resolve(request, &series.labels_refs)?, times));
                let metadata = series.metadata.as_ref().ok_or("no metadata")?;
                ensure(metadata.kind > 0, "a kind")?;
                symbol(request, metadata.help_ref)?;
                symbol(request, metadata.unit_ref)?;
                for exemplar in &series.exemplars {
                    labels(&resolve(request, &exemplar.labels_refs)?, false)?;
                }
                let times = series.exemplars.iter().map(|exemplar| exemplar.timestamp);
                ensure(times.is_sorted(), "exemplars are in order")?;
            }
        }
    }
    let (mut samples, mut histograms, mut times) = (0, 0, Vec::new());
    for (of, (numbers, natives)) in all {
        labels(&of, true)?;
        ensure(
            numbers.is_empty() != natives.is_empty(),
            "either samples or histograms",
        )?;
        natives.iter().try_for_each(native)?;
        let stamps = numbers.iter().map(|sample| sample.timestamp);
        let stamps = stamps.chain(natives.iter().map(|native| native.timestamp));
        times.extend(stamps.map(|time| (of.clone(), time)));
        samples += numbers.len();
        histograms += natives.len();
    }
    ensure(samples + histograms > 0, "something in it")?;
    Ok(((samples, histograms), times))
}

fn in_order(
    known: &mut HashMap<Vec<Label>, i64>,
    times: Vec<(Vec<Label>, i64)>,
) -> Result<(), String> {
    for (labels, time) in times {
        let said = format!("{labels:?} at {time} is not later than the sample before");
        let before = known.insert(labels, time);
        ensure(before.is_none_or(|before| before < time), &said)?;
    }
    Ok(())
}

fn ensure(holds: bool, what: &str) -> Result<(), String> {
    holds.then_some(()).ok_or_else(|| what.to_owned())
}

fn symbol(request: &Request, at: u32) -> Result<&str, String> {
    let found = request.symbols.get(at as usize);
    found
        .map(String::as_str)
        .ok_or_else(|| format!("no symbol {at}"))
}

/// Labels by their symbols.
pub fn resolve(request: &Request, refs: &[u32]) -> Result<Vec<Label>, String> {
    let (pairs, rest) = refs.as_chunks::<2>();
    ensure(rest.is_empty(), "labels are pairs")?;
    let label = |&[name, value]: &[u32; 2]| {
        Ok(Label {
            name: symbol(request, name)?.to_owned(),
            value: symbol(request, value)?.to_owned(),
        })
    };
    pairs.iter().map(label).collect()
}

fn labels(labels: &[Label], has_name: bool) -> Result<(), String> {
    let said = format!("{labels:?} are sorted, unique and have names and values");
    let is_in_order = labels.windows(2).all(|pair| pair[0].name < pair[1].name);
    let is_there = |label: &Label| !label.name.is_empty() && !label.value.is_empty();
    ensure(is_in_order && labels.iter().all(is_there), &said)?;
    let named = labels.iter().any(|label| label.name == "__name__");
    ensure(named == has_name, &said)
}

/// The sum of the buckets is the count.
fn native(histogram: &Histogram) -> Result<(), String> {
    let sides = [
        (&histogram.positive_spans, &histogram.positive_deltas),
        (&histogram.negative_spans, &histogram.negative_deltas),
    ];
    let mut sum = histogram.zero_count.ok_or("no zero bucket")?;
    for (spans, deltas) in sides {
        let buckets: u32 = spans.iter().map(|span| span.length).sum();
        ensure(buckets as usize == deltas.len(), "spans and deltas agree")?;
        let mut count = 0_i64;
        for delta in deltas {
            count += delta;
            sum += u64::try_from(count).map_err(|error| error.to_string())?;
        }
    }
    ensure(
        histogram.count == Some(sum),
        "the count is that of the buckets",
    )?;
    ensure((-4..=8).contains(&histogram.schema), "a schema that exists")
}
