// A trace as a tree that is cheap at 100,000 spans: numbers in typed arrays, spans by their index.
//
// Invariants: `order` lists every span once, parents before their children, siblings by time; the spans below one are
// the `below[i]` that follow it there. Spans whose parent is not in the trace, and those in a circle of parents, are
// roots.

import type { Span, Trace, TraceLog } from '../api';

export interface Model {
  trace: Trace;
  spans: Span[];
  /** Index of the parent, -1 for a root. */
  parent: Int32Array;
  depth: Uint16Array;
  order: Uint32Array;
  /** How many spans lie below. */
  below: Uint32Array;
  /** Time in which no child ran. */
  self: Float64Array;
  /** Errors in the span and below it. */
  errors: Uint32Array;
  indexOf: Map<string, number>;
  /** Logs by span; those of no span are under -1. */
  logs: Map<number, TraceLog[]>;
  /** When the first span starts and the last one ends. */
  start: number;
  end: number;
  services: [name: string, spans: number][];
}

export function isError(span: Span): boolean {
  return span.status.toLowerCase() === 'error';
}

export function build(trace: Trace): Model {
  const { spans } = trace;
  const indexOf = new Map<string, number>();
  spans.forEach((span, index) => indexOf.set(span.span_id, index));
  const parent = parents(spans, indexOf);
  const children = childLists(spans, parent);
  const tree = walk(spans, parent, children);
  return {
    trace,
    spans,
    indexOf,
    parent,
    ...tree,
    self: selfTimes(spans, children),
    logs: logsBySpan(trace.logs, indexOf),
    ...bounds(spans),
    services: services(spans),
  };
}

function parents(spans: Span[], indexOf: Map<string, number>): Int32Array {
  const parent = new Int32Array(spans.length);
  spans.forEach((span, index) => {
    const found = span.parent_span_id ? indexOf.get(span.parent_span_id) : undefined;
    parent[index] = found === undefined || found === index ? -1 : found;
  });
  // Broken clients send circles of parents; the first of one found becomes a root.
  const state = new Uint8Array(spans.length);
  for (let from = 0; from < spans.length; from += 1) {
    let at = from;
    while (at >= 0 && state[at] === 0) {
      state[at] = 1;
      const up = parent[at] as number;
      if (up >= 0 && state[up] === 1) parent[at] = -1;
      at = parent[at] as number;
    }
    for (at = from; at >= 0 && state[at] === 1; at = parent[at] as number) state[at] = 2;
  }
  return parent;
}

interface Children {
  /** Children of span i are list[first[i]..first[i + 1]], by time. */
  first: Uint32Array;
  list: Uint32Array;
  roots: number[];
}

function childLists(spans: Span[], parent: Int32Array): Children {
  const size = spans.length;
  const first = new Uint32Array(size + 1);
  parent.forEach((up) => {
    if (up >= 0) first[up + 1] = (first[up + 1] as number) + 1;
  });
  for (let index = 0; index < size; index += 1) first[index + 1] = (first[index + 1] as number) + (first[index] as number);
  const next = first.slice();
  const list = new Uint32Array(size);
  const roots: number[] = [];
  // The answer's spans are in the order of time, and so are each one's children then.
  for (let index = 0; index < size; index += 1) {
    const up = parent[index] as number;
    if (up < 0) {
      roots.push(index);
    } else {
      list[next[up] as number] = index;
      next[up] = (next[up] as number) + 1;
    }
  }
  return { first, list, roots };
}

function walk(spans: Span[], parent: Int32Array, { first, list, roots }: Children): Pick<Model, 'order' | 'depth' | 'below' | 'errors'> {
  const size = spans.length;
  const order = new Uint32Array(size);
  const depth = new Uint16Array(size);
  const below = new Uint32Array(size);
  const errors = new Uint32Array(size);
  spans.forEach((span, index) => (errors[index] = isError(span) ? 1 : 0));
  // A stack of our own: traces can be deeper than the language's.
  const stack = roots.toReversed();
  let at = 0;
  while (stack.length > 0) {
    const index = stack.pop() as number;
    order[at] = index;
    at += 1;
    const up = parent[index] as number;
    depth[index] = up < 0 ? 0 : Math.min(65_535, (depth[up] as number) + 1);
    for (let child = (first[index + 1] as number) - 1; child >= (first[index] as number); child -= 1) stack.push(list[child] as number);
  }
  for (let place = size - 1; place >= 0; place -= 1) {
    const index = order[place] as number;
    const up = parent[index] as number;
    if (up < 0) continue;
    below[up] = (below[up] as number) + (below[index] as number) + 1;
    errors[up] = (errors[up] as number) + (errors[index] as number);
  }
  return { order, depth, below, errors };
}

/** A span's duration without the time in which at least one child ran. */
function selfTimes(spans: Span[], { first, list }: Children): Float64Array {
  const self = new Float64Array(spans.length);
  spans.forEach((span, index) => {
    const end = span.offset_ns + span.duration_ns;
    let reached = span.offset_ns;
    let covered = 0;
    for (let child = first[index] as number; child < (first[index + 1] as number); child += 1) {
      const { offset_ns, duration_ns } = spans[list[child] as number] as Span;
      const from = Math.max(offset_ns, reached);
      const until = Math.min(offset_ns + duration_ns, end);
      if (until > from) {
        covered += until - from;
        reached = until;
      }
    }
    self[index] = span.duration_ns - covered;
  });
  return self;
}

function logsBySpan(logs: TraceLog[], indexOf: Map<string, number>): Map<number, TraceLog[]> {
  const found = new Map<number, TraceLog[]>();
  for (const log of logs) {
    const index = (log.span_id && indexOf.get(log.span_id)) ?? -1;
    const key = typeof index === 'number' ? index : -1;
    const list = found.get(key);
    if (list) list.push(log);
    else found.set(key, [log]);
  }
  return found;
}

/** The trace's span that nothing is above: its first root, or -1 of nothing. */
export function rootOf(model: Model): number {
  return model.order[0] ?? -1;
}

function bounds(spans: Span[]): { start: number; end: number } {
  let start = Number.POSITIVE_INFINITY;
  let end = 0;
  for (const { offset_ns, duration_ns } of spans) {
    start = Math.min(start, offset_ns);
    end = Math.max(end, offset_ns + duration_ns);
  }
  return spans.length === 0 ? { start: 0, end: 1 } : { start, end: Math.max(end, start + 1) };
}

function services(spans: Span[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const { service } of spans) counts.set(service, (counts.get(service) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}
