// The HTTP API as docs/api.md states it: types of every answer, and the way to ask. In a page that is a file nobody is asked.

import { BUNDLE, NEEDS_COLLECTOR, NotInBundle, answerOf } from './bundle';

export type Attribute = string | number | boolean | null | Attribute[] | { [key: string]: Attribute };
/** Null where nothing is attached. */
export type Attributes = Record<string, Attribute> | null;

export interface Status {
  version: string;
  started_ms: number;
  listening: { page: string | null; otlp_http: string | null; otlp_grpc: string | null };
  store: {
    folder: string | null;
    bytes: number;
    bytes_max: number | null;
    age_max_s: number | null;
    segments: number;
    rows_in_memory: number;
    /** Where segments are that are not in the folder, and why what waits is not there yet. */
    clickhouse?: { place: string; failed: string | null } | null;
  };
  received: { spans: number; logs: number; points: number; samples?: number; refused: number };
}

export type Step = number | null;

export interface OverviewSeries {
  time_ms: number[];
  requests: Step[];
  errors: Step[];
  p50_ns: Step[];
  p95_ns: Step[];
  p99_ns: Step[];
  tokens_input: Step[];
  tokens_output: Step[];
}

export interface ServiceRow {
  service: string;
  requests: number;
  errors: number;
  p50_ns: number | null;
  p95_ns: number | null;
  p99_ns: number | null;
  logs: number;
}

export interface OperationRow {
  service: string;
  name: string;
  count: number;
  errors: number;
  p50_ns: number | null;
  p95_ns: number | null;
  p99_ns: number | null;
  total_ns: number;
}

export interface Overview {
  from_unix_ns: string;
  to_unix_ns: string;
  step_ms: number;
  /** Spans stand for others that were left out by sampling: all numbers but those of logs are estimates. */
  is_estimated: boolean;
  series: OverviewSeries;
  services: ServiceRow[];
  operations: OperationRow[];
}

export interface FlameFrame {
  function: string;
  library: string;
  file: string;
  kind: string;
}

export interface FlameLibrary {
  library: string;
  own: number;
  charged: number;
  total: number;
  b_own?: number;
  b_charged?: number;
  b_total?: number;
}

export interface FlameFunction {
  function: string;
  library: string;
  file: string;
  own: number;
  total: number;
  b_own?: number;
  b_total?: number;
}

/** What begins with `b_` is there where two selections are compared. */
export interface Flame {
  from_unix_ns: string;
  to_unix_ns: string;
  type: string;
  unit: string;
  types: { service: string; type: string; unit: string; samples: number; value: number }[];
  total: number;
  samples: number;
  stacks: number;
  b_total?: number;
  b_samples?: number;
  b_stacks?: number;
  frames: FlameFrame[];
  nodes: { parent: number[]; frame: number[]; own: number[]; total: number[]; b_own?: number[]; b_total?: number[] };
  left_out: number;
  functions: FlameFunction[];
  libraries: FlameLibrary[];
  more: boolean;
}

export interface TraceRow {
  trace_id: string;
  name: string;
  service: string;
  services: string[];
  start_unix_ns: string;
  start_ms: number;
  duration_ns: number;
  spans: number;
  errors: number;
}

export interface Traces {
  traces: TraceRow[];
  more?: boolean;
}

export interface SpanLink {
  trace_id: string;
  span_id: string;
  attributes?: Attributes;
}

export interface Span {
  span_id: string;
  parent_span_id: string | null;
  name: string;
  service: string;
  scope: string;
  kind: string;
  status: string;
  status_message: string | null;
  offset_ns: number;
  duration_ns: number;
  attributes: Attributes;
  links: SpanLink[];
  resource: number;
}

export interface TraceLog {
  offset_ns: number;
  span_id: string | null;
  severity: number;
  severity_text: string;
  event_name: string | null;
  body: string;
  service: string;
  attributes: Attributes;
}

export interface Trace {
  trace_id: string;
  start_unix_ns: string;
  start_ms: number;
  duration_ns: number;
  spans: Span[];
  logs: TraceLog[];
  resources: Attributes[];
  more?: boolean;
}

export interface Evidence {
  trace_id: string;
  span_id: string;
  name: string;
  duration_ns: number;
}

export interface Segment {
  category: string;
  label: string;
  duration_ns: number;
  share: number;
  spans: number;
  total_ns: number;
  provenance: 'measured' | 'estimated';
  evidence: Evidence[];
}

export type Verdict =
  | {
      kind: 'cause';
      cause: string;
      label: string | null;
      duration_ns: number;
      share: number;
      confidence: 'medium' | 'high';
      words: string;
      evidence: Evidence[];
    }
  | { kind: 'cannot_tell'; because: string };

/** What `sonde why --format json` prints. */
export interface Account {
  schema: number;
  interval: { duration_ns: number };
  spans: number;
  segments: Segment[];
  residual_ns: number;
  gaps: { inside: Evidence; after: string | null; before: string | null; duration_ns: number }[];
  verdict: Verdict;
  findings: { words: string; evidence: Evidence[] }[];
  ruled_out: {
    category: string;
    label: string | null;
    seen_ns: number;
    at_most_ns: number;
    at_most_share: number;
  }[];
  not_assessed: { what: string; because: string }[];
}

export type Why = Account & { text: string };

/** How long the requests of a side took. */
export interface Durations {
  requests: number;
  errors: number;
  mean_ns: number;
  min_ns: number;
  p50_ns: number;
  p95_ns: number;
  max_ns: number;
}

/** How much was read of how much there is. */
export interface Extent {
  traces: number;
  of_traces: number | null;
  spans: number;
}

/** What requests are like. */
export interface Described {
  q: string | null;
  service: string | null;
  operation: string | null;
  version: string | null;
  from_unix_ns: string;
  to_unix_ns: string;
}

export interface NodeSide {
  requests: number;
  calls: number;
  failed: number;
  calls_per_request: number;
  total_ns: number;
  self_ns: number;
  path_ns: number;
  evidence: Evidence[];
}

export interface TreeNode {
  id: number;
  parent: number | null;
  depth: number;
  service: string;
  label: string;
  presence: 'both' | 'added' | 'removed';
  first: NodeSide;
  second: NodeSide;
  calls_difference: number;
  total_difference_ns: number;
  self_difference_ns: number;
  path_difference_ns: number;
}

export interface Lift {
  origin: 'span' | 'resource' | 'log';
  key: string;
  value: string;
  first: number;
  second: number;
  difference: number;
  lift: number | null;
  chance: number;
  names_a_side: boolean;
  words: string;
  evidence: Evidence[];
}

export type ComparisonVerdict =
  | {
      kind: 'contributor';
      change: string;
      node: number;
      path: string[];
      longer: string;
      difference_ns: number;
      share: number;
      confidence: 'medium' | 'high';
      words: string;
      evidence: Evidence[];
    }
  | { kind: 'cannot_tell'; because: string };

export interface Side {
  name: string;
  spans: number;
  durations: Durations | null;
}

/** Every difference is the second side less the first. */
export interface Comparison {
  first: Side;
  second: Side;
  difference: { mean_ns: number; p50_ns: number; p95_ns: number; error_share: number; chance: number | null } | null;
  histogram: { from_ns: number; below_ns: number; first: number; second: number }[];
  tree: { nodes: TreeNode[]; unlisted: number; unlisted_self_difference_ns: number };
  lifts: Lift[];
  attributes_looked_at: number;
  verdict: ComparisonVerdict;
  findings: { words: string; evidence: Evidence[] }[];
  not_assessed: { what: string; because: string }[];
}

export interface SideRead {
  selected: Described | { trace_id: string; span_id: string | null };
  read: Extent;
}

export type Compared = Comparison & { text: string; a: SideRead; b: SideRead };

export type Slow =
  | { kind: 'compared'; typical_at_most_ns: number; slow_at_least_ns: number; comparison: Comparison }
  | { kind: 'not_compared'; because: string };

/** Many requests together. */
export type WhySelection = Why & { selected: Described; read: Extent; durations: Durations; slow: Slow };

export interface LogRow {
  time_unix_ns: string;
  time_ms: number;
  service: string;
  scope: string;
  severity: number;
  severity_text: string;
  event_name: string | null;
  body: string;
  trace_id: string | null;
  span_id: string | null;
  attributes: Attributes;
}

export interface Logs {
  logs: LogRow[];
  more?: boolean;
}

export interface MetricRow {
  name: string;
  unit: string;
  kind: string;
  series: number;
  services: string[];
}

export interface Metrics {
  metrics: MetricRow[];
  more?: boolean;
}

/** Of a counter and a gauge: time and value. */
export type NumberPoint = [time_ms: number, value: Step];
/** Of a histogram. */
export type HistogramPoint = [time_ms: number, count: number, sum: Step, p50: Step, p95: Step, p99: Step];

export interface MetricSeries {
  service: string;
  attributes: Attributes;
  points: (NumberPoint | HistogramPoint)[];
}

export interface Exemplar {
  time_ms: number;
  value: number;
  trace_id: string;
  span_id: string | null;
}

export interface Metric {
  name: string;
  unit: string;
  kind: string;
  step_ms: number;
  series: MetricSeries[];
  more?: boolean;
  exemplars: Exemplar[];
}

export interface MapNode {
  service: string;
  spans: number;
  errors: number;
  p95_ns: number | null;
}

export interface MapEdge {
  from: string;
  to: string;
  calls: number;
  errors: number;
  p95_ns: number | null;
}

export interface ServiceMap {
  nodes: MapNode[];
  edges: MapEdge[];
}

export type Source = 'gauge' | 'counter' | 'histogram' | 'items' | 'balance';

export interface Rate {
  per_s: number;
  source: Source;
}

export interface Queue {
  service: string;
  queue: string;
  attributes: Attributes;
  depth: { now: number; time_unix_ns: string; mean: number; max: number; points: [time_ms: number, depth: number][]; source: Source } | null;
  capacity: number | null;
  oldest: { age_ns: number; is_at_most: boolean; trace_id: string | null } | null;
  arrival: Rate | null;
  service_rate: Rate | null;
  wait: { count: number; mean_ns: number; max_ns: number | null; source: Source } | null;
  utilisation: number | null;
  workers: number | null;
  little: { kind: 'assessed'; l: number; lambda_w: number; tolerance: number; holds: boolean } | { kind: 'not_assessed'; because: string };
  ahead: { item: string; trace_id: string | null; enqueued_unix_ns: string; age_ns: number }[];
  ahead_more: number;
  saturation: { what: string; now: number; growth_per_s: number; limit: number | null; in_s: number | null; in_interval_s: [number, number] | null }[];
  stuck: { worker: string | null; item: string | null; trace_id: string | null; for_ns: number; words: string }[];
  not_assessed: { what: string; because: string }[];
}

export interface Queues {
  queues: Queue[];
  more: boolean;
  text: string;
}

export interface Workers {
  memory: { service: string; name: string; attributes: Attributes; points: [time_ms: number, bytes: number][] }[];
  calls: {
    time_ms: number;
    service: string;
    library: string;
    function: string;
    duration_ns: number | null;
    status: string;
    trace_id: string | null;
  }[];
  errors: {
    time_ms: number;
    service: string;
    library: string;
    error_type: string;
    message: string;
    trace_id: string | null;
  }[];
}

export interface LatencyRow {
  path: string;
  depth: number;
  label: string;
  kind: 'phase' | 'gap' | 'overlap';
  last_ns: number;
  avg_ns: number;
  p50_ns: number;
  p99_ns: number;
  sum_ns: number;
  count: number;
  calls: number;
  share: number;
}

export interface MemoryRow {
  path: string;
  depth: number;
  label: string;
  bytes: number | null;
  share: number | null;
  provenance: string;
  detail: string | null;
}

export interface Engine {
  service: string;
  resource: Attributes;
  latency: LatencyRow[];
  memory: MemoryRow[];
}

export interface Engines {
  engines: Engine[];
}

export interface SqlAnswer {
  columns: { name: string; type: string }[];
  rows: Attribute[][];
  more?: boolean;
  elapsed_ms: number;
}

export interface Mistake {
  file: string;
  line: number | null;
  key: string;
  message: string;
  mend: string;
}

export interface Dashboards {
  folder: string | null;
  dashboards: { name: string; title: string; description: string; panels: number; mistakes: Mistake[] }[];
  left_out: number;
  mistake: Mistake | null;
}

export interface Panel {
  title: string;
  kind: 'lines' | 'number' | 'table' | 'text';
  width: number;
  promql: string | null;
  sql: string | null;
  text: string | null;
  unit: string | null;
}

export interface Dashboard {
  name: string;
  title: string;
  description: string;
  panels: Panel[];
  mistakes: Mistake[];
}

export interface Doctor {
  senders: {
    peer: string;
    protocol: string;
    signal: string;
    client: string | null;
    first_ms: number;
    last_ms: number;
    accepted: number;
    refused: number;
  }[];
  refusals: { time_ms: number; peer: string; protocol: string; reason: string; mend: string; count: number }[];
}

export type Labels = Record<string, string>;

export type Severity = 'info' | 'warning' | 'error' | 'critical';

/** Times of alerts are numbers of nanoseconds, which JavaScript rounds to less than a microsecond. */
export interface Alert {
  labels: Labels;
  annotations: Labels;
  severity: Severity;
  phase: 'pending' | 'firing' | 'resolved';
  value: number | null;
  started_unix_ns: number;
  fired_unix_ns: number | null;
  resolved_unix_ns: number | null;
}

export interface AlertRule {
  name: string;
  group: string;
  kind: string;
  severity: Severity;
  unit: string;
  evaluated_unix_ns: number | null;
  error: string | null;
  errors: number;
  pending: number;
  firing: number;
  left_out: number;
}

/** Why a receiver is not told of an alert. */
export type Because =
  | { kind: 'muted'; by: string }
  | { kind: 'silenced'; by: string; until_unix_ns: number }
  | { kind: 'inhibited'; rule: number; by: Labels }
  | { kind: 'sending' }
  | { kind: 'failing'; attempts: number; because: string; until_unix_ns: number }
  | { kind: 'flapping'; firings: number; until_unix_ns: number }
  | { kind: 'waiting'; until_unix_ns: number };

export interface Held {
  receiver: string;
  group_key: string;
  alert: Alert;
  because: Because;
}

export interface Silence {
  id: string;
  matchers: string[];
  starts_unix_ns: number;
  ends_unix_ns: number;
  created_by: string;
  comment: string;
}

export interface Alerts {
  alerts: Alert[];
  rules: AlertRule[];
  held: Held[];
  failing: { receiver: string; group_key: string; attempts: number; because: string; retry_unix_ns: number }[];
  silences: Silence[];
  receivers: Record<string, string>;
  readings_refused: number;
}

export interface NewSilence {
  matchers: string[];
  seconds: number;
  comment: string;
  created_by: string;
}

export interface Noise {
  fired: number;
  short: number;
  flapped: number;
  score: number;
  median_ns: number | null;
  suggestions: ({ for: { for_ns: number; fires: number } } | { limit: { limit: number; fires: number } })[];
}

/** What a rule would have done. */
export interface Rehearsal {
  evaluations: number;
  changes: { time_unix_ns: number; alert: Alert }[];
  messages: { time_unix_ns: number; receiver: string; kind: string; group_key: string; alerts: number; payload: unknown }[];
  held: Held[];
  noise: [rule: string, noise: Noise][];
  left_out: number;
}

/** An answer that is an error, in the server's words, with what to do about it. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly mend: string | null,
  ) {
    super(message);
  }
}

/** No answer at all: the server is not there. */
export class Away extends Error {}

export type Params = Record<string, string | number | null | undefined>;

/** The address of a question, without the parameters that are empty. */
export function address(path: string, params: Params = {}): string {
  return addressUnder('/api/v1/', path, params);
}

export function addressUnder(root: string, path: string, params: Params): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== '') search.set(key, String(value));
  }
  const text = search.toString();
  return `${root}${path}${text === '' ? '' : `?${text}`}`;
}

/** The body of an answer as text, so that an answer like the last one costs no parsing. */
export async function ask(url: string, init: RequestInit): Promise<string> {
  if (BUNDLE) return fromBundle(url, init);
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, init);
    text = await response.text();
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new Away('The server does not answer.');
  }
  if (!response.ok) throw refusal(response, text);
  return text;
}

function fromBundle(url: string, init: RequestInit): string {
  if ((init.method ?? 'GET') !== 'GET') throw new NotInBundle('Only what was asked when it was made is in a bundle.', NEEDS_COLLECTOR);
  const text = answerOf(url);
  // A question may have been refused when the bundle was made.
  if (text.startsWith('{"error":')) throw refusal({ status: 0, statusText: 'an error' } as Response, text);
  return text;
}

function refusal(response: Response, text: string): ApiError {
  try {
    const body = JSON.parse(text) as { error?: string | { message?: string; mend?: string | null } };
    // Prometheus' API says it in one text.
    if (typeof body.error === 'string') return new ApiError(response.status, body.error, null);
    if (body.error?.message) return new ApiError(response.status, body.error.message, body.error.mend ?? null);
  } catch {
    // Not the API's form: something between the page and the server answered.
  }
  return new ApiError(response.status, `The answer was ${response.status} ${response.statusText}.`, null);
}

/** As `ask`, of an address and a body. */
export function post(url: string, body: unknown, init: RequestInit = {}): Promise<string> {
  return ask(url, { ...init, method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
}

/** As `ask`, of a statement in SQL instead of an address. */
export function askSql(statement: string, init: RequestInit): Promise<string> {
  return post('/api/v1/sql', { statement }, init);
}

export async function sql(statement: string, signal: AbortSignal): Promise<SqlAnswer> {
  return JSON.parse(await askSql(statement, { signal })) as SqlAnswer;
}
