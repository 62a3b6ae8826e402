// Traces of the fixture server: one request as a language model's service makes it, and one of any size.

import { random, spanId, traceId } from './fixture-data.mjs';

const MS = 1e6;

const RESOURCES = [
  { 'service.name': 'gateway', 'service.version': '2.4.1', 'host.name': 'node-1', 'process.pid': 4120, 'telemetry.sdk.language': 'rust' },
  { 'service.name': 'engine', 'service.version': '2.4.1', 'host.name': 'node-1', 'gpu.model': 'NVIDIA H200', 'process.pid': 4133 },
  { 'service.name': 'python-worker', 'process.runtime.version': '3.12.4', 'host.name': 'node-2' },
];

class Maker {
  spans = [];
  span(parent, name, service, offset_ms, duration_ms, more = {}) {
    const span = {
      span_id: spanId(this.spans.length + 1),
      parent_span_id: parent?.span_id ?? null,
      name,
      service,
      scope: `${service}::server`,
      kind: parent ? 'internal' : 'server',
      status: 'unset',
      status_message: '',
      offset_ns: Math.round(offset_ms * MS),
      duration_ns: Math.round(duration_ms * MS),
      attributes: {},
      links: [],
      resource: ['gateway', 'engine', 'python-worker'].indexOf(service) < 0 ? 0 : ['gateway', 'engine', 'python-worker'].indexOf(service),
      ...more,
    };
    this.spans.push(span);
    return span;
  }
}

export function request(id, now) {
  const make = new Maker();
  const root = make.span(null, 'POST /v1/chat/completions', 'gateway', 0, 1286.4, {
    attributes: { 'http.request.method': 'POST', 'http.route': '/v1/chat/completions', 'http.response.status_code': 200, 'gen_ai.request.model': 'llama-3-8b', 'gen_ai.usage.input_tokens': 381, 'gen_ai.usage.output_tokens': 24, 'client.address': '10.4.0.17' },
    links: [{ trace_id: traceId(77), span_id: spanId(1), attributes: {} }],
  });
  make.span(root, 'authenticate', 'gateway', 0.4, 1.9);
  const retrieve = make.span(root, 'retrieve', 'retriever', 2.6, 61.2);
  make.span(retrieve, 'embed query', 'embedder', 3.1, 18.4);
  for (let n = 0; n < 4; n += 1) make.span(retrieve, 'SELECT chunks', 'retriever', 22 + n * 10.2, 9.4, { kind: 'client', attributes: { 'db.system.name': 'postgresql', 'db.query.text': 'SELECT body FROM chunks ORDER BY embedding <-> $1 LIMIT 12' } });
  make.span(root, 'encode', 'tokenizer', 64.4, 1.24, { attributes: { tokens: 381 } });
  const generate = make.span(root, 'generate', 'engine', 66.2, 1214.8, { attributes: { 'gen_ai.request.model': 'llama-3-8b', 'batch.size': 7 } });
  make.span(generate, 'queue', 'engine', 66.4, 702.6, { attributes: { 'radiosonde.phase': 'queue', 'queue.depth': 18 } });
  const prefill = make.span(generate, 'prefill', 'engine', 769.4, 96.2);
  layers(make, prefill, 769.8, 5.8, 16);
  const decode = make.span(generate, 'decode', 'engine', 866.2, 408.4);
  for (let token = 0; token < 24; token += 1) {
    const at = 866.6 + token * 16.9;
    const step = make.span(decode, `token ${token}`, 'engine', at, 15.6, { attributes: { token } });
    make.span(step, 'gpu.attention', 'engine', at + 0.4, 9.1, { attributes: { 'gpu.op': 'attention' } });
    make.span(step, 'gpu.softmax', 'engine', at + 9.9, 1.2, { attributes: { 'gpu.op': 'softmax' } });
    make.span(step, 'sample', 'engine', at + 11.4, 3.1);
  }
  const post = make.span(root, 'postprocess', 'python-worker', 1276.1, 8.2);
  make.span(post, 'moderate', 'python-worker', 1276.6, 6.1, { status: 'error', status_message: 'TimeoutError: moderation model did not answer within 6 ms', attributes: { 'error.type': 'TimeoutError' } });
  const start = now - 42_000;
  make.spans.sort((a, b) => a.offset_ns - b.offset_ns);
  return { trace_id: id, start_unix_ns: `${start}000000`, start_ms: start, duration_ns: root.duration_ns, spans: make.spans, logs: logs(make.spans), resources: RESOURCES };
}

function layers(make, parent, from, each, count) {
  for (let layer = 0; layer < count; layer += 1) {
    const block = make.span(parent, `block ${layer}`, 'engine', from + layer * each, each - 0.3, { attributes: { layer } });
    make.span(block, 'gpu.attention', 'engine', from + layer * each + 0.1, 3.1, { attributes: { 'gpu.op': 'attention' } });
    make.span(block, 'gpu.mlp', 'engine', from + layer * each + 3.3, 2.0, { attributes: { 'gpu.op': 'matmul' } });
  }
}

function logs(spans) {
  const at = (name) => spans.find((span) => span.name === name);
  const log = (span, after_ms, severity, severity_text, body, event_name = '') => ({ offset_ns: span.offset_ns + after_ms * MS, span_id: span.span_id, severity, severity_text, event_name, body, service: span.service, attributes: { 'code.file.path': 'src/engine.rs' } });
  return [
    log(at('POST /v1/chat/completions'), 0.3, 9, 'INFO', 'request accepted: model=llama-3-8b, max_tokens=256'),
    log(at('queue'), 1, 9, 'INFO', '18 sequences ahead of this one', 'queue.enqueued'),
    log(at('queue'), 420, 13, 'WARN', 'KV cache 94 % full: admission is held back'),
    log(at('decode'), 17, 9, 'INFO', 'first token after 883 ms', 'gen_ai.first_token'),
    log(at('moderate'), 6, 17, 'ERROR', 'moderation timed out; answer was sent unmoderated', 'exception'),
  ];
}

/** A trace of `size` spans, up to 40 deep, whose own times overlap as those of real programs do. */
export function large(id, size, now) {
  const next = random(99);
  const names = ['step', 'gpu.matmul', 'gpu.softmax', 'attention', 'mlp', 'all_reduce', 'sample', 'encode'];
  const services = ['gateway', 'engine', 'python-worker', 'tokenizer', 'embedder'];
  const spans = [{ offset_ns: 0, duration_ns: 60e9, depth: 0 }];
  const parents = [spans[0]];
  while (spans.length < size) {
    const parent = parents[Math.floor(parents.length * next() ** 0.7)];
    const duration_ns = Math.round(parent.duration_ns * (0.02 + next() * 0.5));
    const span = { offset_ns: parent.offset_ns + Math.round(next() * (parent.duration_ns - duration_ns)), duration_ns, depth: parent.depth + 1, parent };
    spans.push(span);
    if (span.depth < 40 && duration_ns > 2000) parents.push(span);
  }
  spans.forEach((span, number) => (span.span_id = spanId(number + 1)));
  const finished = spans.map(({ offset_ns, duration_ns, parent, span_id, depth }, number) => ({
    span_id,
    parent_span_id: parent?.span_id ?? null,
    name: number === 0 ? 'train epoch' : names[number % names.length],
    service: services[depth % services.length],
    scope: 'trainer',
    kind: 'internal',
    status: number % 997 === 500 ? 'error' : 'unset',
    status_message: '',
    offset_ns,
    duration_ns,
    attributes: { layer: number % 32, 'gpu.op': names[number % names.length] },
    links: [],
    resource: depth % 3,
  }));
  finished.sort((a, b) => a.offset_ns - b.offset_ns);
  const start = now - 120_000;
  return { trace_id: id, start_unix_ns: `${start}000000`, start_ms: start, duration_ns: 60e9, spans: finished, logs: [], resources: RESOURCES };
}

export function why(id) {
  const evidence = (number, name, ms) => ({ trace_id: id, span_id: spanId(number), name, duration_ns: ms * MS });
  const segment = (category, label, ms, spans, number, provenance = 'measured') => ({ category, label, duration_ns: Math.round(ms * MS), share: ms / 1286.4, spans, total_ns: Math.round(ms * MS), provenance, evidence: [evidence(number, label, ms)] });
  const segments = [
    segment('queue', 'queue', 702.6, 1, 11),
    segment('gpu_busy', 'gpu.attention', 268.0, 40, 14),
    segment('on_cpu', 'sample', 74.4, 24, 16, 'estimated'),
    segment('io', 'SELECT chunks', 37.6, 4, 5),
    segment('gpu_busy', 'gpu.mlp', 32.0, 16, 15),
    segment('gpu_busy', 'gpu.softmax', 28.8, 24, 17),
    segment('phase', 'embed query', 18.4, 1, 4),
    segment('python', 'moderate', 6.1, 1, 12),
    segment('phase', 'authenticate', 1.9, 1, 2),
  ];
  const known = segments.reduce((ns, one) => ns + one.duration_ns, 0);
  return {
    text: '`POST /v1/chat/completions` took 1.286 s (trace ' + id + ', 142 spans)\n\n  queue           queue                        █████████████████▌                 702.6 ms   54.6 %\n  GPU busy        gpu.attention                ██████▋                            268.0 ms   20.8 %\n\nWhy: it waited in a queue: 702.6 ms (54.6 %) in `queue`.\nConfidence: medium.\n',
    schema: 1,
    subject: { kind: 'trace', trace_id: id, span_id: spanId(1), name: 'POST /v1/chat/completions' },
    interval: { start_unix_ns: 0, end_unix_ns: 0, duration_ns: 1286.4 * MS },
    spans: 142,
    segments,
    residual_ns: 1286.4 * MS - known,
    gaps: [{ inside: evidence(3, 'retrieve', 61.2), after: 'SELECT chunks', before: null, duration_ns: 4.1 * MS }],
    verdict: { kind: 'cause', cause: 'queue', label: 'queue', duration_ns: 702.6 * MS, share: 0.546, confidence: 'medium', words: 'it waited in a queue: 702.6 ms (54.6 %) in `queue`', evidence: [evidence(11, 'queue', 702.6)] },
    findings: [{ words: 'a log warned while it waited: KV cache 94 % full', evidence: [evidence(11, 'queue', 702.6)] }],
    ruled_out: [
      { category: 'gpu_busy', label: null, seen_ns: 328.8 * MS, at_most_ns: 445 * MS, at_most_share: 0.346 },
      { category: 'io', label: 'SELECT chunks', seen_ns: 37.6 * MS, at_most_ns: 154 * MS, at_most_share: 0.12 },
    ],
    not_assessed: [{ what: 'CPU time of `moderate`', because: 'the span carries no reading of its thread; set `radiosonde.cpu_ns`' }],
  };
}
