// The range of time that every page shows: relative to now and followed live, or fixed.

import { BUNDLE } from './bundle';
import { place, setParams, usePlace } from './router';

export const RANGES = [
  { key: '5m', words: 'Last 5 min', ms: 5 * 60_000 },
  { key: '15m', words: 'Last 15 min', ms: 15 * 60_000 },
  { key: '1h', words: 'Last 1 h', ms: 3_600_000 },
  { key: '6h', words: 'Last 6 h', ms: 6 * 3_600_000 },
  { key: '24h', words: 'Last 24 h', ms: 24 * 3_600_000 },
  { key: '7d', words: 'Last 7 d', ms: 7 * 24 * 3_600_000 },
] as const;

const DEFAULT = RANGES[2];

export interface Range {
  /** Follows what comes; false when the range is fixed. */
  live: boolean;
  /** The preset, also that to which a fixed range goes back. */
  key: string;
  words: string;
  /** As parameters of the API. */
  from: string;
  to: string | null;
  /** In milliseconds since the epoch, as of now. */
  start: number;
  end: number;
}

/** Of a page that is a file: the one of which it has the answers. */
const BUNDLED: Range | null = BUNDLE && {
  live: false,
  key: DEFAULT.key,
  words: 'The time of this bundle',
  from: BUNDLE.from_unix_ns,
  to: BUNDLE.to_unix_ns,
  start: Number(BUNDLE.from_unix_ns) / 1e6,
  end: Number(BUNDLE.to_unix_ns) / 1e6,
};

export function rangeOf(params: URLSearchParams): Range {
  if (BUNDLED) return BUNDLED;
  const preset = RANGES.find((range) => range.key === params.get('range')) ?? DEFAULT;
  const start = Number(params.get('from') ?? Number.NaN);
  const end = Number(params.get('to') ?? Number.NaN);
  if (Number.isFinite(start) && Number.isFinite(end) && start < end) {
    // The API reads whole numbers as nanoseconds; these digits are put together as text to stay exact.
    const ns = (ms: number) => `${Math.round(ms)}000000`;
    return { live: false, key: preset.key, words: 'Fixed range', from: ns(start), to: ns(end), start, end };
  }
  const now = Date.now();
  return { live: true, key: preset.key, words: preset.words, from: `-${preset.key}`, to: null, start: now - preset.ms, end: now };
}

export function useRange(): Range {
  return rangeOf(usePlace().params);
}

export function setRange(key: string): void {
  setParams({ range: key === DEFAULT.key ? null : key, from: null, to: null }, false);
}

export function setFixed(startMs: number, endMs: number): void {
  if (BUNDLED) return;
  const end = Math.max(Math.ceil(endMs), Math.floor(startMs) + 1);
  setParams({ from: Math.floor(startMs), to: end }, false);
}

/** Holds the view where it is, or lets it follow again. */
export function toggleLive(): void {
  if (BUNDLED) return;
  const range = rangeOf(place().params);
  if (range.live) setFixed(range.start, range.end);
  else setParams({ from: null, to: null }, false);
}
