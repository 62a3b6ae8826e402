// A page that is a file: `sonde export report.html` puts the answers into it that the page would ask a server for
// (crates/sonde/src/export/bundle.rs), each in an element of its own, by its question. What was not asked then cannot be
// answered now, and is said to be so.

import type { Attribute, LogRow, Logs, Span, Trace, TraceRow, Traces } from './api';

export interface Manifest {
  schema: number;
  version: string;
  made_ms: number;
  from_unix_ns: string;
  to_unix_ns: string;
  traces: number;
  /** Where it begins. */
  first: string;
  left_out: string[];
}

/** Null where there is a server. */
export const BUNDLE: Manifest | null = manifest();

/** What somebody can do who needs more than is in the file. */
const MEND = 'Ask the collector that it was made from, or make one of another time or of more traces there: `sonde export --help` says how.';
/** The same for what no file can have. */
export const NEEDS_COLLECTOR = 'Ask the collector that it was made from; or let `sonde export data.zip` write the data there, and `sonde import data.zip` send them to a collector of yours.';

/** The bundle has no answer to this question. */
export class NotInBundle extends Error {
  constructor(
    message: string,
    readonly mend = MEND,
  ) {
    super(message);
  }
}

interface Question {
  path: string;
  filters: Map<string, string>;
}

/** What says how much is answered and of which time, not what is asked: a bundle has one of each. */
const EXTENTS = new Set(['from', 'to', 'limit', 'buckets', 'nodes']);

function manifest(): Manifest | null {
  const element = document.getElementById('radiosonde-bundle');
  return element ? (JSON.parse(element.textContent ?? '') as Manifest) : null;
}

/** Elements are found once; what is in them is read when it is asked for. */
let elements: Map<string, Element> | null = null;

function recorded(question: string): string | null {
  elements ??= new Map([...document.querySelectorAll('script[data-answer]')].map((one) => [one.getAttribute('data-answer') ?? '', one]));
  return elements.get(question)?.textContent ?? null;
}

function read<T>(question: string): T | null {
  const text = recorded(question);
  return text === null ? null : (JSON.parse(text) as T);
}

/** The answer to a question of the API, as text. */
export function answerOf(url: string): string {
  const address = new URL(url, 'http://bundle');
  if (!address.pathname.startsWith('/api/v1/')) throw new NotInBundle('Questions in PromQL are not in a bundle.', NEEDS_COLLECTOR);
  const path = address.pathname.slice('/api/v1/'.length).split('/').map(decodeURIComponent).join('/');
  const filters = new Map([...address.searchParams].filter(([name]) => !EXTENTS.has(name)));
  const limit = Number(address.searchParams.get('limit') ?? Number.POSITIVE_INFINITY);
  const answer = computed({ path, filters }, limit) ?? recorded(written(path, filters));
  if (answer === null) throw new NotInBundle(missing(path));
  return answer;
}

function written(path: string, filters: Map<string, string>): string {
  const list = [...filters].map(([name, value]) => `${name}=${value}`).sort();
  return list.length === 0 ? path : `${path}?${list.join('&')}`;
}

function missing(path: string): string {
  if (path.endsWith('/why')) return 'Where the time of a part of a trace went is not in this bundle.';
  if (path.startsWith('traces/')) return 'This trace is not in this bundle.';
  if (path === 'why') return 'Where the time of these requests went is not in this bundle.';
  if (path === 'flame') return 'A flame graph of this selection is not in this bundle.';
  if (path.startsWith('metrics/')) return 'This metric is not in this bundle.';
  return 'The answer to this is not in this bundle.';
}

/** What follows from a recorded answer without asking. */
function computed({ path, filters }: Question, limit: number): string | null {
  switch (path) {
    case 'dashboards':
      return '{"folder":null,"dashboards":[],"left_out":0,"mistake":null}';
    case 'traces':
      return JSON.stringify(traces(filters, limit));
    case 'logs':
      return JSON.stringify(logs(filters, limit));
    case 'flame':
      // Of no samples none are left whatever is asked for.
      return read<{ samples: number }>('flame')?.samples === 0 ? recorded('flame') : null;
    default:
      return null;
  }
}

function cut<T>(all: T[], limit: number): T[] {
  return all.length > limit ? all.slice(0, limit) : all;
}

function traces(filters: Map<string, string>, limit: number): Traces {
  const { traces: all, more = false } = read<Traces>('traces') ?? { traces: [] };
  const service = filters.get('service') ?? '';
  const q = filters.get('q') ?? '';
  const wanted = q === '' ? () => true : equality(q);
  const found = all.filter((row) => (service === '' || row.services.includes(service)) && wanted(row));
  if (filters.get('order') === 'slowest') found.sort((a, b) => b.duration_ns - a.duration_ns);
  return { traces: cut(found, limit), more: more || found.length > limit };
}

/** `name = "decode"`, as the page's own links write it: a comparison of one thing of any span. */
function equality(q: string): (row: TraceRow) => boolean {
  const found = /^\s*([\w.:/-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s"]+)\s*$/.exec(q);
  if (!found) throw new NotInBundle('Filters other than of one name or attribute, such as `name = "decode"`, are not in a bundle.', NEEDS_COLLECTOR);
  const name = found[1] as string;
  const quoted = found[2] as string;
  const value = quoted.startsWith('"') ? quoted.slice(1, -1).replace(/\\(.)/g, '$1') : quoted;
  return (row) => {
    const trace = read<Trace>(`traces/${row.trace_id}`);
    return trace?.spans.some((span) => said(of(trace, span, name)) === value) ?? false;
  };
}

function of(trace: Trace, span: Span, name: string): Attribute | undefined {
  if (name.startsWith('resource.')) return trace.resources[span.resource]?.[name.slice('resource.'.length)];
  const columns: Record<string, string | null> = { name: span.name, service: span.service, kind: span.kind, status: span.status, status_message: span.status_message, scope: span.scope, trace_id: trace.trace_id, span_id: span.span_id };
  return Object.hasOwn(columns, name) ? columns[name] : span.attributes?.[name];
}

function said(value: Attribute | undefined): string | null {
  return value === undefined || value === null || typeof value === 'object' ? null : String(value);
}

function logs(filters: Map<string, string>, limit: number): Logs {
  const of = (name: string) => filters.get(name) ?? '';
  const [q, service, severity, trace] = [of('q'), of('service'), Number(of('severity')), of('trace_id')];
  const { logs: all, more = false } = logsOf(trace);
  const words = q.toLowerCase();
  const isWanted = (log: LogRow) =>
    (words === '' || `${log.body}\n${log.event_name ?? ''}`.toLowerCase().includes(words)) && (service === '' || log.service === service) && log.severity >= severity && (trace === '' || log.trace_id === trace);
  const found = all.filter(isWanted);
  return { logs: cut(found, limit), more: more || found.length > limit };
}

/** Those of the list, or, where that has not all, those that are in the trace itself. */
function logsOf(traceId: string): Logs {
  const list = read<Logs>('logs') ?? { logs: [] };
  const trace = traceId !== '' && list.more === true ? read<Trace>(`traces/${traceId}`) : null;
  if (!trace) return list;
  const start = BigInt(trace.start_unix_ns);
  const rows = trace.logs.map((log) => ({ ...log, time_unix_ns: String(start + BigInt(log.offset_ns)), time_ms: trace.start_ms + log.offset_ns / 1e6, scope: '', trace_id: traceId }));
  return { logs: rows.reverse(), more: trace.more === true };
}
