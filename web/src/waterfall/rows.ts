// Which rows a waterfall shows: spans that are not below a collapsed one, each followed by its logs if those are wanted.

import type { TraceLog } from '../api';
import type { Model } from './model';

export interface Rows {
  /** The span of each row. */
  span: Int32Array;
  /** The log that the row shows instead of its span, -1 for a span; a number in `Model.logs` of that span. */
  log: Int32Array;
  length: number;
  /** The row of each span that has one, -1 for hidden ones. */
  rowOf: Int32Array;
}

export function rows(model: Model, collapsed: ReadonlySet<number>, withLogs: boolean): Rows {
  const size = model.spans.length + (withLogs ? model.trace.logs.length : 0);
  const span = new Int32Array(size);
  const log = new Int32Array(size).fill(-1);
  const rowOf = new Int32Array(model.spans.length).fill(-1);
  let length = 0;
  const addLogs = (index: number) => {
    const count = model.logs.get(index)?.length ?? 0;
    for (let number = 0; number < count; number += 1) {
      span[length] = index;
      log[length] = number;
      length += 1;
    }
  };
  if (withLogs) addLogs(-1);
  for (let place = 0; place < model.order.length; place += 1) {
    const index = model.order[place] as number;
    rowOf[index] = length;
    span[length] = index;
    length += 1;
    if (withLogs) addLogs(index);
    if (collapsed.has(index)) place += model.below[index] as number;
  }
  return { span, log, length, rowOf };
}

/** The log in a row, if it shows one. */
export function logAt(model: Model, { span, log }: Rows, row: number): TraceLog | undefined {
  const number = log[row] ?? -1;
  return number < 0 ? undefined : model.logs.get(span[row] as number)?.[number];
}

/** Opens whatever hides the span. */
export function reveal(model: Model, collapsed: ReadonlySet<number>, index: number): ReadonlySet<number> {
  let next: Set<number> | null = null;
  for (let up = model.parent[index] ?? -1; up >= 0; up = model.parent[up] ?? -1) {
    if (collapsed.has(up)) {
      next ??= new Set(collapsed);
      next.delete(up);
    }
  }
  return next ?? collapsed;
}

/** Collapses every span at this depth that has something below it. */
export function collapseAt(model: Model, depth: number): ReadonlySet<number> {
  const next = new Set<number>();
  model.depth.forEach((level, index) => {
    if (level === depth && (model.below[index] as number) > 0) next.add(index);
  });
  return next;
}

/** Spans with the words in their name, service or attributes, in the order of the rows. */
export function find(model: Model, words: string, haystack: Map<number, string>): number[] {
  const wanted = words.toLowerCase();
  const found: number[] = [];
  for (const index of model.order) {
    let hay = haystack.get(index);
    if (hay === undefined) {
      const span = model.spans[index];
      hay = span ? `${span.name}\n${span.service}\n${span.span_id}\n${span.status_message ?? ''}\n${JSON.stringify(span.attributes)}`.toLowerCase() : '';
      haystack.set(index, hay);
    }
    if (hay.includes(wanted)) found.push(index);
  }
  return found;
}
