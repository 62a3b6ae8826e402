// PromQL, as the server answers it by Prometheus' API: docs/promql.md.

import type { Attribute, SqlAnswer } from './api';
import { addressUnder } from './api';
import type { Range } from './time';

export type Labels = Record<string, string>;
export type Sample = [seconds: number, value: string];
export type Whole = [seconds: number, histogram: { count: string; sum: string }];

export interface Series {
  metric: Labels;
  values?: Sample[];
  histograms?: Whole[];
}

export interface Element {
  metric: Labels;
  value?: Sample;
  histogram?: Whole;
}

interface Matrix {
  resultType: 'matrix';
  result: Series[];
}

interface Vector {
  resultType: 'vector';
  result: Element[];
}

interface Single {
  resultType: 'scalar' | 'string';
  result: Sample;
}

export type Result = Matrix | Vector | Single;

export interface PromAnswer {
  data: Result;
}

/** Of each metric, by its name in PromQL: what it is. */
export interface Metadata {
  data: Record<string, { type: string; unit: string }[]>;
}

/** Steps that people count in, in seconds. */
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400];
const PIXELS_PER_STEP = 4;

/** How far apart a query is answered, in seconds, so that a chart of that width shows each answer. */
export function stepOf(range: Range, width: number): number {
  const steps = Math.max(20, Math.floor(width / PIXELS_PER_STEP));
  const least = (range.end - range.start) / 1000 / steps;
  return STEPS_S.find((step) => step >= least) ?? Math.ceil(least);
}

// A range that follows is said relative to now: its address stays the same, and so does what is shown.
const startOf = (range: Range) => (range.live ? range.from : range.start / 1000);
const endOf = (range: Range) => (range.live ? 'now' : range.end / 1000);

const under = (path: string, params: Record<string, string | number>) => addressUnder('/prometheus/api/v1/', path, params);

export function overRange(query: string, range: Range, step: number): string {
  return under('query_range', { query, start: startOf(range), end: endOf(range), step });
}

export function atEnd(query: string, range: Range): string {
  return under('query', { query, time: endOf(range) });
}

export function metadata(range: Range): string {
  return under('metadata', { start: startOf(range), end: endOf(range) });
}

/** What a value is; what no line can show is none. */
export function numberOf(value: string): number | null {
  const number = Number(value);
  return value !== '' && Number.isFinite(number) ? number : null;
}

/** Every series' values at each step: where there was no answer a line is broken. */
export function aligned(series: Series[], step: number): (number | null)[][] {
  const values = series.map((one) => new Map((one.values ?? []).map(([seconds, value]) => [Math.round(seconds * 1000), numberOf(value)])));
  const known = values.flatMap((one) => [...one.keys()]);
  if (known.length === 0) return [[], ...series.map(() => [])];
  const first = known.reduce((a, b) => Math.min(a, b));
  const last = known.reduce((a, b) => Math.max(a, b));
  const times = Array.from({ length: Math.floor((last - first) / (step * 1000)) + 1 }, (_, index) => first + index * step * 1000);
  return [times, ...values.map((one) => times.map((time) => one.get(time) ?? null))];
}

/** As PromQL writes a series. */
export function written({ __name__: name = '', ...labels }: Labels): string {
  const list = Object.entries(labels).map(([label, value]) => `${label}=${JSON.stringify(value)}`);
  return `${name}{${list.join(', ')}}`;
}

/** What tells the series apart, and no more. */
export function names(series: Labels[]): string[] {
  const keys = [...new Set(series.flatMap((labels) => Object.keys(labels)))].sort();
  const telling = keys.filter((key) => new Set(series.map((labels) => labels[key])).size > 1);
  return series.map((labels) => {
    const parts = telling.flatMap((key) => (labels[key] === undefined ? [] : [key === '__name__' ? labels[key] : `${key}=${labels[key]}`]));
    return parts.length === 0 ? written(labels) : parts.join(' ');
  });
}

export interface Place {
  line: number;
  column: number;
  words: string;
}

/** Where in the query it is wrong, where the server says so. */
export function placeOf(message: string): Place | null {
  const found = /^line (\d+), column (\d+): (.*)$/s.exec(message);
  return found ? { line: Number(found[1]), column: Number(found[2]), words: found[3] ?? '' } : null;
}

/** A place as JavaScript counts in a text; the server counts characters. */
export function offsetOf(query: string, { line, column }: Place): number {
  const lines = query.split('\n');
  const before = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
  const inside = Array.from(lines[line - 1] ?? '').slice(0, column - 1).join('').length;
  return before + inside;
}

const whole = ([, { count, sum }]: Whole) => `${count} measured, sum ${sum}`;
const cell = (value: string): Attribute => numberOf(value) ?? value;

function isSingle(result: Result): result is Single {
  return result.resultType === 'scalar' || result.resultType === 'string';
}

/** An instant answer as a table: a column for each label. */
export function asTable(result: Result): SqlAnswer {
  if (isSingle(result)) {
    const [, said] = result.result;
    const isNumber = result.resultType === 'scalar';
    return { columns: [{ name: 'value', type: isNumber ? 'number' : 'text' }], rows: [[isNumber ? cell(said) : said]], elapsed_ms: 0 };
  }
  const keys = [...new Set(result.result.flatMap(({ metric }: Element | Series) => Object.keys(metric)))].sort();
  const columns = keys.map((key) => ({ name: key === '__name__' ? 'metric' : key, type: 'text' }));
  const value = { name: 'value', type: 'number' };
  const labels = (metric: Labels) => keys.map((key) => metric[key] ?? null);
  if (result.resultType === 'vector') {
    const rows = result.result.map(({ metric, value, histogram }) => [...labels(metric), histogram ? whole(histogram) : cell(value?.[1] ?? '')]);
    return { columns: [...columns, value], rows, elapsed_ms: 0 };
  }
  const time = (seconds: number) => new Date(seconds * 1000).toISOString();
  const rows = result.result.flatMap(({ metric, values = [], histograms = [] }) => [
    ...values.map(([seconds, value]) => [time(seconds), ...labels(metric), cell(value)]),
    ...histograms.map((one) => [time(one[0]), ...labels(metric), whole(one)]),
  ]);
  return { columns: [{ name: 'time', type: 'time' }, ...columns, value], rows, elapsed_ms: 0 };
}

/** What the metrics that are there are usually asked first. */
export function examples({ data }: Metadata): { words: string; query: string }[] {
  // What people's own programs measure tells more than what a collector or a process tells of itself.
  const interest = (name: string) => (/^(radiosonde|process|target|scrape|up$)/.test(name) ? 2 : 0) + (/token|request|duration|latency|second|queue|memory/.test(name) ? 0 : 1);
  const known = Object.keys(data).sort((a, b) => interest(a) - interest(b) || (a < b ? -1 : 1));
  const first = (type: string) => known.find((name) => data[name]?.some((one) => one.type === type));
  const [counter, histogram, gauge] = [first('counter'), first('histogram'), first('gauge')];
  return [
    ...(counter ? [{ words: 'How often, by service', query: `sum by (job) (rate(${counter}[5m]))` }] : []),
    ...(histogram ? [{ words: 'The slowest twentieth', query: `histogram_quantile(0.95, sum by (le, job) (rate(${histogram}_bucket[5m])))` }] : []),
    ...(gauge ? [{ words: 'What it is now', query: gauge }] : []),
  ];
}
