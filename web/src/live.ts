// What the server says by itself: that something came, and that it is there at all.

import { useEffect, useState } from 'preact/hooks';
import { BUNDLE } from './bundle';

/** `none` is a page that is a file. */
export type Connection = 'connecting' | 'live' | 'away' | 'none';

const RETRY_MS = 1500;
/** A view whose range ends now moves on also when nothing comes. */
const IDLE_MS = 30_000;

let connection: Connection = BUNDLE ? 'none' : 'connecting';
let awaySince: number | null = null;
let missed = false;
const onBeat = new Set<() => void>();
const onConnection = new Set<() => void>();

function setConnection(next: Connection): void {
  if (next === connection) return;
  const back = connection === 'away' && next === 'live';
  awaySince = next === 'away' ? Date.now() : null;
  connection = next;
  for (const listener of [...onConnection]) listener();
  // What came while nobody listened is fetched at once.
  if (back) ring();
}

/** A page that nobody looks at asks for nothing, and catches up when it is seen again. */
function ring(): void {
  missed = document.hidden;
  if (missed) return;
  for (const listener of [...onBeat]) listener();
}

export function follow(): void {
  if (BUNDLE) return;
  document.addEventListener('visibilitychange', () => {
    if (missed) ring();
  });
  setInterval(ring, IDLE_MS);
  listen();
}

/** The browser's own reconnecting gives up on some errors, so this is ours. */
function listen(): void {
  const source = new EventSource('/api/v1/live');
  source.addEventListener('open', () => setConnection('live'));
  source.addEventListener('received', ring);
  source.addEventListener('error', () => {
    source.close();
    setConnection('away');
    setTimeout(listen, RETRY_MS);
  });
}

/** Calls back whenever something was received. */
export function eachBeat(listener: () => void): () => void {
  onBeat.add(listener);
  return () => void onBeat.delete(listener);
}

export function useConnection(): { connection: Connection; awaySince: number | null } {
  const [, again] = useState(0);
  useEffect(() => {
    const listener = () => again((n) => n + 1);
    onConnection.add(listener);
    return () => void onConnection.delete(listener);
  }, []);
  return { connection, awaySince };
}
