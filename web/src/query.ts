// One question to the API for as long as a component shows its answer.
//
// An answer stays on screen until the next one is there, and one that reads the same as the last changes nothing:
// so live views neither flicker nor lose scroll, selection or focus.

import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { Away, ask } from './api';
import { eachBeat } from './live';

/** Least time between the starts of two refetches of one view. */
const THROTTLE_MS = 500;
/** A slow answer is followed by a pause as long as it took, up to this. */
const PAUSE_MS_MAX = 5000;
const KEPT_MAX = 24;

interface Kept {
  text: string;
  data: unknown;
}

/** Answers of pages that were left, so that going back shows something at once. */
const kept = new Map<string, Kept>();

function keep(key: string, value: Kept): void {
  kept.delete(key);
  kept.set(key, value);
  const oldest = kept.keys().next().value;
  if (kept.size > KEPT_MAX && oldest !== undefined) kept.delete(oldest);
}

export interface Answer<T> {
  data: T | null;
  error: Error | null;
  /** The answer to another question is still shown while this one is asked. */
  loading: boolean;
  /** Asks again now. */
  again: () => void;
}

export interface Options {
  /** Ask again when something was received. Not for answers that are costly. */
  live?: boolean;
  /** Answers longer than this are not asked for again by themselves. */
  liveCharsMax?: number;
  /** How it is asked, where the question is no address. */
  how?: (question: string, init: RequestInit) => Promise<string>;
}

interface State<T> {
  url: string | null;
  data: T | null;
  error: Error | null;
}

export function useQuery<T>(url: string | null, { live = true, liveCharsMax = 4_000_000, how = ask }: Options = {}): Answer<T> {
  const [state, setState] = useState<State<T>>(() => initial<T>(url));
  const last = useRef<Kept | null>(null);
  const run = useRef<() => void>(() => {});

  useEffect(() => {
    if (url === null) return undefined;
    const abort = new AbortController();
    last.current = kept.get(url) ?? null;
    const fetchOnce = async () => {
      try {
        const text = await how(url, { signal: abort.signal });
        if (abort.signal.aborted) return;
        if (last.current?.text !== text) last.current = { text, data: JSON.parse(text) };
        const { data } = last.current;
        keep(url, last.current);
        setState((old) => (old.data === data && old.url === url && !old.error ? old : { url, data: data as T, error: null }));
      } catch (error) {
        if (abort.signal.aborted) return;
        setState((old) => onError(old, url, error as Error));
      }
    };
    run.current = throttled(fetchOnce, abort.signal);
    run.current();
    return () => abort.abort();
  }, [url]);

  useEffect(() => {
    if (!live) return undefined;
    return eachBeat(() => {
      if ((last.current?.text.length ?? 0) <= liveCharsMax) run.current();
    });
  }, [live, liveCharsMax]);

  const again = useCallback(() => run.current(), []);
  const loading = url !== null && state.url !== url;
  return { data: state.data, error: state.error, loading, again };
}

/** Asked again every so often, for what changes without anything being received. */
export function useRepeated<T>(url: string | null, everyMs: number, options: Options = { live: false }): Answer<T> {
  const answer = useQuery<T>(url, options);
  const { again } = answer;
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) again();
    }, everyMs);
    return () => clearInterval(timer);
  }, [again, everyMs]);
  return answer;
}

function initial<T>(url: string | null): State<T> {
  const found = url === null ? undefined : kept.get(url);
  return { url: found ? url : null, data: (found?.data as T | undefined) ?? null, error: null };
}

function onError<T>(old: State<T>, url: string, error: Error): State<T> {
  // While the server is away the page says so once; what was there stays readable.
  if (error instanceof Away && old.data !== null) return old;
  return { url, data: null, error };
}

/** Never two at a time, never sooner than the throttle allows, and the last wish is not forgotten. */
function throttled(fetchOnce: () => Promise<void>, signal: AbortSignal): () => void {
  let busy = false;
  let wanted = false;
  const go = async () => {
    if (busy) {
      wanted = true;
      return;
    }
    busy = true;
    const start = performance.now();
    await fetchOnce();
    const took = performance.now() - start;
    await new Promise((done) => setTimeout(done, Math.min(Math.max(THROTTLE_MS - took, took), PAUSE_MS_MAX)));
    busy = false;
    if (wanted && !signal.aborted) {
      wanted = false;
      void go();
    }
  };
  return () => void go();
}
