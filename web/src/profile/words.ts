// Amounts of what profilers count.

import { bytes, count, duration } from '../format';

/** An amount in the unit that the profiler says. */
export function amount(value: number, unit: string): string {
  if (unit === 'nanoseconds') return duration(value);
  if (unit === 'microseconds') return duration(value * 1e3);
  if (unit === 'milliseconds') return duration(value * 1e6);
  if (unit === 'seconds') return duration(value * 1e9);
  if (unit === 'bytes') return bytes(value);
  return unit === 'count' || unit === '' ? count(value) : `${count(value)} ${unit}`;
}

const KNOWN: Record<string, string> = {
  cpu: 'CPU time',
  wall: 'Wall time',
  samples: 'Samples',
  alloc_space: 'Bytes allocated',
  alloc_objects: 'Allocations',
  inuse_space: 'Bytes in use',
  inuse_objects: 'Objects in use',
  off_cpu: 'Time off CPU',
};

/** What is counted, for people. */
export function typeWords(type: string): string {
  return KNOWN[type] ?? type;
}
