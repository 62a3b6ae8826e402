// Made-up telemetry of a language model's service for the fixture server: the same on every run, ending now.

/** Random numbers that repeat. */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export const hex = (number, digits) => number.toString(16).padStart(digits, '0');
export const traceId = (number) => hex(0xabc0_0000 + number, 32);
export const spanId = (number) => hex(0x51_0000 + number, 16);
const MS = 1e6;

export const SERVICES = ['gateway', 'engine', 'tokenizer', 'embedder', 'python-worker', 'retriever'];

const ROOTS = [
  ['POST /v1/chat/completions', 'gateway', 900, 0.03],
  ['POST /v1/embeddings', 'gateway', 60, 0.01],
  ['POST /v1/rerank', 'gateway', 220, 0.02],
  ['consume jobs.summarize', 'python-worker', 2400, 0.08],
];

export function traceRows(count, rangeMs, now) {
  const next = random(7);
  return Array.from({ length: count }, (_, number) => {
    const [name, service, ms, failing] = ROOTS[Math.floor(next() ** 1.6 * ROOTS.length)];
    const slow = next() < 0.05 ? 6 : 1;
    const duration_ns = Math.round(ms * MS * (0.35 + next() * 1.1 + next() ** 6 * 3) * slow);
    const start_ms = Math.round(now - ((number + next()) / count) * rangeMs);
    return {
      trace_id: traceId(number),
      name,
      service,
      services: [service, 'engine', 'tokenizer'],
      start_unix_ns: `${start_ms}000000`,
      start_ms,
      duration_ns,
      spans: 8 + Math.floor(next() * 60),
      errors: next() < failing * 3 ? 1 + Math.floor(next() * 2) : 0,
    };
  });
}

export function overview(now, rangeMs, buckets) {
  const next = random(11);
  const step_ms = Math.max(1000, Math.round(rangeMs / buckets));
  const first = Math.floor((now - rangeMs) / step_ms) * step_ms + step_ms;
  const series = { time_ms: [], requests: [], errors: [], p50_ns: [], p95_ns: [], p99_ns: [], tokens_input: [], tokens_output: [] };
  for (let index = 0; index < buckets; index += 1) {
    const wave = 1 + 0.5 * Math.sin(index / 6) + (index > 40 && index < 46 ? 1.6 : 0);
    const requests = Math.round(70 * wave * (0.8 + next() * 0.4));
    const p50 = 310 * MS * (0.9 + next() * 0.2) * (wave > 2 ? 1.7 : 1);
    series.time_ms.push(first + index * step_ms);
    series.requests.push(requests);
    series.errors.push(Math.round(requests * (wave > 2 ? 0.14 : 0.012) * next()));
    series.p50_ns.push(p50);
    series.p95_ns.push(p50 * (2.6 + next()));
    series.p99_ns.push(p50 * (4.4 + next() * 2));
    series.tokens_input.push(Math.round(requests * 380 * (0.8 + next() * 0.4)));
    series.tokens_output.push(Math.round(requests * 190 * (0.8 + next() * 0.4)));
  }
  return { step_ms, is_estimated: false, series, services: services(), operations: operations() };
}

function services() {
  return [
    ['gateway', 4210, 61, 318, 1240, 2410, 8120],
    ['engine', 4105, 12, 286, 1130, 2260, 15230],
    ['python-worker', 611, 48, 2110, 5420, 9800, 2204],
    ['embedder', 902, 0, 21.4, 48.2, 73.9, 1804],
    ['tokenizer', 4983, 0, 0.31, 1.24, 3.9, 0],
    ['retriever', 640, 3, 44.1, 142, 318, 910],
  ].map(([service, requests, errors, p50, p95, p99, logs]) => ({ service, requests, errors, p50_ns: p50 * MS, p95_ns: p95 * MS, p99_ns: p99 * MS, logs }));
}

function operations() {
  const rows = [
    ['engine', 'decode', 4105, 9, 244, 980, 1900],
    ['gateway', 'POST /v1/chat/completions', 2710, 44, 602, 1580, 2890],
    ['engine', 'prefill', 4105, 3, 38, 141, 402],
    ['python-worker', 'consume jobs.summarize', 611, 48, 2110, 5420, 9800],
    ['engine', 'gpu.attention', 98520, 0, 1.91, 4.4, 9.3],
    ['engine', 'gpu.softmax', 98520, 0, 0.402, 0.91, 1.7],
    ['engine', 'queue', 4105, 0, 12.4, 310, 1120],
    ['gateway', 'POST /v1/embeddings', 902, 2, 24.1, 55.1, 81],
    ['embedder', 'embed', 902, 0, 21.4, 48.2, 73.9],
    ['gateway', 'POST /v1/rerank', 598, 15, 188, 402, 611],
    ['retriever', 'SELECT chunks', 3120, 3, 8.2, 31.4, 92],
    ['tokenizer', 'encode', 4983, 0, 0.31, 1.24, 3.9],
    ['tokenizer', 'decode', 4105, 0, 0.22, 0.81, 2.1],
    ['python-worker', 'postprocess', 611, 1, 14.2, 40.8, 77],
  ];
  return rows.map(([service, name, count, errors, p50, p95, p99]) => ({ service, name, count, errors, p50_ns: p50 * MS, p95_ns: p95 * MS, p99_ns: p99 * MS, total_ns: Math.round(count * p50 * 1.2 * MS) }));
}

const WORDS = [
  [9, 'INFO', 'gateway', 'request accepted: model=llama-3-8b, max_tokens=256, stream=true'],
  [5, 'DEBUG', 'engine', 'batch of 7 sequences scheduled, 1 204 KV blocks free'],
  [9, 'INFO', 'engine', 'first token after 212 ms'],
  [13, 'WARN', 'engine', 'KV cache 94 % full: preempting sequence 118'],
  [17, 'ERROR', 'python-worker', 'CUDA out of memory. Tried to allocate 1.25 GiB (GPU 0; 23.64 GiB total; 21.9 GiB already allocated)'],
  [9, 'INFO', 'retriever', '12 chunks for query in 44 ms'],
  [5, 'DEBUG', 'tokenizer', 'encoded 381 tokens'],
  [13, 'WARN', 'gateway', 'client closed the stream before the last token'],
];

export function logRows(count, now) {
  const next = random(23);
  let time = now;
  return Array.from({ length: count }, (_, number) => {
    time -= Math.floor(next() * 1500);
    const [severity, severity_text, service, body] = WORDS[Math.floor(next() ** 1.3 * WORDS.length)];
    const linked = next() < 0.7;
    const id = Math.floor(next() * 100);
    return {
      time_unix_ns: `${time}${hex(number % 1000, 3).replace(/\D/g, '7').padStart(3, '0')}000`,
      time_ms: time,
      service,
      scope: `${service}::server`,
      severity,
      severity_text,
      event_name: severity_text === 'INFO' && next() < 0.2 ? 'gen_ai.first_token' : '',
      body,
      trace_id: linked ? traceId(id) : null,
      span_id: linked ? spanId(3) : null,
      attributes: { 'code.file.path': `src/${service}/server.rs`, 'code.line.number': 40 + number, 'gen_ai.request.model': 'llama-3-8b' },
    };
  });
}

export function metrics() {
  return [
    ['gen_ai.client.token.usage', '{token}', 'histogram', 6, ['gateway']],
    ['gen_ai.server.request.duration', 's', 'histogram', 4, ['gateway', 'engine']],
    ['gen_ai.server.time_to_first_token', 's', 'histogram', 2, ['engine']],
    ['http.server.active_requests', '{request}', 'gauge', 3, ['gateway']],
    ['hw.gpu.memory.usage', 'By', 'gauge', 2, ['engine', 'python-worker']],
    ['hw.gpu.utilization', '1', 'gauge', 2, ['engine']],
    ['process.cpu.time', 's', 'counter', 5, SERVICES],
    ['radiosonde.lost', '{record}', 'counter', 4, ['engine']],
    ['vllm.kv_cache.blocks_free', '{block}', 'gauge', 1, ['engine']],
  ].map(([name, unit, kind, series, services]) => ({ name, unit, kind, series, services }));
}

function point(kind, unit, t, level, next) {
  const value = level * (0.8 + next() * 0.4);
  if (kind !== 'histogram') return [t, unit === 'By' ? value * 1.8e10 : value];
  const count = Math.round(40 + next() * 30);
  return [t, count, count * value, value * 0.8, value * 2.1, value * 3.4];
}

export function metric(name, now, rangeMs, buckets) {
  const found = metrics().find((one) => one.name === name);
  if (!found) return null;
  const next = random(name.length * 31);
  const step_ms = Math.round(rangeMs / buckets);
  const series = Array.from({ length: found.series }, (_, number) => {
    const level = 0.3 + number * 0.18;
    const points = Array.from({ length: buckets }, (_, index) => point(found.kind, found.unit, now - (buckets - index) * step_ms, level * (1 + 0.3 * Math.sin(index / 9 + number)), next));
    return { service: found.services[number % found.services.length], attributes: { 'gen_ai.request.model': number % 2 ? 'llama-3-8b' : 'bge-small', 'gpu.index': number }, points };
  });
  const exemplars = Array.from({ length: 14 }, (_, number) => ({ time_ms: now - Math.round(next() * rangeMs), value: 0.4 + next() * 2, trace_id: traceId(number), span_id: spanId(2) }));
  return { name, unit: found.unit, kind: found.kind, step_ms, series, exemplars: found.kind === 'histogram' ? exemplars : [] };
}

export function serviceMap() {
  const nodes = [
    ['gateway', 8420, 61, 1240],
    ['tokenizer', 9966, 0, 1.24],
    ['engine', 210400, 12, 1130],
    ['embedder', 902, 0, 48.2],
    ['retriever', 3760, 3, 142],
    ['postgres', 3120, 3, 31],
    ['python-worker', 5410, 48, 5420],
    ['jobs', 611, 0, 820],
  ].map(([service, spans, errors, p95]) => ({ service, spans, errors, p95_ns: p95 * MS }));
  const edges = [
    ['gateway', 'tokenizer', 4983, 0, 1.24],
    ['gateway', 'engine', 4105, 12, 1130],
    ['gateway', 'embedder', 902, 0, 48.2],
    ['gateway', 'retriever', 640, 3, 142],
    ['retriever', 'embedder', 640, 0, 46],
    ['retriever', 'postgres', 3120, 3, 31.4],
    ['gateway', 'jobs', 611, 0, 12],
    ['jobs', 'python-worker', 611, 48, 5420],
    ['python-worker', 'engine', 1180, 41, 1930],
  ].map(([from, to, calls, errors, p95]) => ({ from, to, calls, errors, p95_ns: p95 * MS }));
  return { nodes, edges };
}

export function workers(now) {
  const next = random(5);
  const memory = [
    ['python-worker', 'cuda:0 allocated', 17.2],
    ['python-worker', 'cuda:0 reserved', 21.5],
    ['engine', 'KV cache', 6.4],
  ].map(([service, name, gib]) => ({ service, name, attributes: { 'worker.id': 1 }, points: Array.from({ length: 60 }, (_, index) => [now - (59 - index) * 10_000, gib * 2 ** 30 * (0.86 + 0.12 * Math.sin(index / 7) + next() * 0.02)]) }));
  const calls = Array.from({ length: 30 }, (_, number) => {
    const failed = next() < 0.12;
    return {
      time_ms: now - number * 4100,
      service: 'python-worker',
      library: ['transformers', 'torch', 'numpy', 'sentencepiece'][Math.floor(next() * 4)],
      function: ['AutoModel.generate', 'tensor.to', 'linalg.norm', 'Processor.encode'][Math.floor(next() * 4)],
      duration_ns: Math.round(next() ** 3 * 3e9) + 21_000,
      status: failed ? 'error' : 'ok',
      trace_id: traceId(number),
    };
  });
  const errors = Array.from({ length: 5 }, (_, number) => ({
    time_ms: now - number * 61_000,
    service: 'python-worker',
    library: 'torch',
    error_type: number % 2 ? 'ValueError' : 'OutOfMemoryError',
    message: number % 2 ? 'expected a tensor of shape (1, 4096), found (1, 4097)' : 'CUDA out of memory. Tried to allocate 1.25 GiB',
    trace_id: traceId(number),
  }));
  return { memory, calls, errors };
}

/** Four queues: a busy one that grows and has a stuck worker, one of an engine, one whose numbers disagree, an empty one. */
export function queues(now) {
  const rate = (per_s, source = 'items') => ({ per_s, source });
  const one = (service, queue, depth, more) => ({
    service,
    queue,
    attributes: {},
    depth: { now: depth, time_unix_ns: `${now}000000`, mean: depth * 0.9, max: depth * 1.3, points: [], source: 'gauge' },
    capacity: null,
    oldest: depth > 0 ? { age_ns: depth * 310e6, is_at_most: true, trace_id: null } : null,
    arrival: rate(2.4, 'balance'),
    service_rate: rate(2.4, 'counter'),
    wait: { count: 900, mean_ns: depth * 155e6, max_ns: null, source: 'histogram' },
    utilisation: 0.72,
    workers: 8,
    little: { kind: 'assessed', l: depth * 0.9, lambda_w: depth * 0.88, tolerance: depth * 0.1, holds: true },
    ahead: [],
    ahead_more: 0,
    saturation: [],
    stuck: [],
    not_assessed: [],
    ...more,
  });
  const ahead = Array.from({ length: 8 }, (_, number) => ({ item: `order-${4100 + number}`, trace_id: traceId(number), enqueued_unix_ns: `${now - 44_000 + number * 900}000000`, age_ns: (44_000 - number * 900) * 1e6 }));
  const list = [
    one('python-worker', 'jobs.summarize', 142, {
      capacity: 500,
      oldest: { age_ns: 44e9, is_at_most: false, trace_id: traceId(0) },
      arrival: rate(5.1),
      service_rate: rate(3.9),
      utilisation: 1,
      little: { kind: 'not_assessed', because: 'those who wait at the start and at the end of the time weigh too much; the queue is not steady, or the time too short' },
      ahead,
      ahead_more: 134,
      saturation: [{ what: 'depth', now: 142, growth_per_s: 1.2, limit: 500, in_s: 298, in_interval_s: [240, 391] }],
      stuck: [{ worker: 'worker-3', item: 'order-3987', trace_id: traceId(2), for_ns: 61e9, words: 'worker worker-3, at order-3987, has not ended for 1 min 01 s; of 212 items before, none took longer than 4.210 s' }],
    }),
    one('engine', 'llama-3', 18, {}),
    one('engine', 'prefill', 3, { little: { kind: 'assessed', l: 3, lambda_w: 1.4, tolerance: 0.2, holds: false } }),
    one('python-worker', 'pool', 0, { utilisation: null, arrival: null, service_rate: null, wait: null, little: { kind: 'not_assessed', because: 'nothing received says how long items wait' } }),
  ];
  return { queues: list, more: false, text: '' };
}

const PHASES = [
  ['forward', 0, 41.2, 0.78],
  ['forward/embed', 1, 0.9, 0.02],
  ['forward/block *', 1, 38.4, 0.73],
  ['forward/block */attention', 2, 24.1, 0.46],
  ['forward/block */mlp', 2, 13.2, 0.25],
  ['forward/gap', 1, 1.9, 0.03],
  ['output', 0, 6.4, 0.12],
  ['sampling', 0, 5.1, 0.1],
];
const OWNERS = [
  ['resident set', 0, 18.2, 1, 'measured', null],
  ['resident set/weights', 1, 14.9, 0.82, 'measured', null],
  ['resident set/KV cache', 1, 2.1, 0.115, 'estimated', 'blocks in use by their size'],
  ['resident set/unattributed', 1, 1.2, 0.066, 'derived', null],
  ['GPU 0', 0, null, null, 'unsupported', 'no driver was found'],
];

export function engines() {
  const label = (path) => path.split('/').at(-1);
  const latency = PHASES.map(([path, depth, ms, share]) => ({ path, depth, label: label(path), kind: path.endsWith('gap') ? 'gap' : 'phase', last_ns: ms * 1.1 * MS, avg_ns: ms * MS, p50_ns: ms * 0.97 * MS, p99_ns: ms * 1.8 * MS, sum_ns: ms * 240 * MS, count: 240, calls: path.includes('*') ? 240 * 32 : 240, share }));
  const memory = OWNERS.map(([path, depth, gib, share, provenance, detail]) => ({ path, depth, label: label(path), bytes: gib === null ? null : gib * 2 ** 30, share, provenance, detail }));
  return { engines: [{ service: 'engine', resource: { 'service.name': 'engine', 'host.name': 'node-1', 'process.pid': 4133 }, latency, memory }] };
}

export function doctor(now) {
  const sender = (peer, protocol, signal, client, accepted, refused, last) => ({ peer, protocol, signal, client, first_ms: now - 3_400_000, last_ms: now - last, accepted, refused });
  return {
    senders: [
      sender('127.0.0.1', 'grpc', 'traces', 'OTel-OTLP-Exporter-Rust/0.30.0', 210_400, 0, 300),
      sender('127.0.0.1', 'http/protobuf', 'traces', 'OTel-OTLP-Exporter-Python/1.45.2', 5410, 12, 1200),
      sender('127.0.0.1', 'http/protobuf', 'logs', 'OTel-OTLP-Exporter-Python/1.45.2', 2204, 0, 1200),
      sender('127.0.0.1', 'grpc', 'metrics', 'OTel-OTLP-Exporter-Rust/0.30.0', 84_120, 0, 9000),
      sender('172.18.0.4', 'http/protobuf', 'traces', 'OTel-OTLP-Exporter-JavaScript/0.223.0', 0, 340, 41_000),
    ],
    refusals: [
      { time_ms: now - 41_000, peer: '172.18.0.4', protocol: 'http/protobuf', reason: 'POST /v1/trace: no such path', mend: 'The path is /v1/traces. Set OTEL_EXPORTER_OTLP_ENDPOINT to the address without a path.', count: 340 },
      { time_ms: now - 320_000, peer: '127.0.0.1', protocol: 'http/protobuf', reason: 'the body is gRPC, sent to the port of OTLP over HTTP', mend: 'Send to http://127.0.0.1:4317, or set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf.', count: 12 },
    ],
  };
}

export function status(now) {
  return {
    version: '0.1.0',
    started_ms: now - 3_600_000,
    listening: { page: 'http://127.0.0.1:4319', otlp_http: 'http://127.0.0.1:4318', otlp_grpc: 'http://127.0.0.1:4317' },
    store: { folder: '/var/lib/radiosonde', bytes: 412_000_000, bytes_max: 2_147_483_648, age_max_s: 604_800, segments: 31, rows_in_memory: 18_204, clickhouse: { place: 'http://clickhouse:8123/radiosonde', failed: null } },
    received: { spans: 1_204_310, logs: 28_204, points: 84_120, refused: 352 },
  };
}
