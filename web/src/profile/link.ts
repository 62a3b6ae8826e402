// From a trace to the samples that were taken in it.

import type { Trace } from '../api';
import { to } from '../router';

/** Samples that were taken in the trace, or in one of its spans. */
export function profileOf(trace: Trace, span_id: string | null = null): string {
  const end = trace.start_ms + trace.duration_ns / 1e6;
  return to('/flame', { trace_id: trace.trace_id, span_id, from: Math.floor(trace.start_ms) - 60_000, to: Math.ceil(end) + 60_000 });
}
