// Alerts in words: which one, how bad, why somebody is not told.

import type { Alert, Because, Labels, Severity } from '../api';
import { ago, ahead, duration, measured, plural, short } from '../format';

/** From the least urgent to the most. */
export const SEVERITIES: Severity[] = ['info', 'warning', 'error', 'critical'];

export function urgency(severity: Severity): number {
  return SEVERITIES.indexOf(severity);
}

export function badge(severity: Severity): string {
  return severity === 'critical' || severity === 'error' ? 'badge error' : severity === 'warning' ? 'badge warn' : 'badge';
}

/** In milliseconds, as the page has times. */
export function ms(ns: number): number {
  return ns / 1e6;
}

export function nameOf(labels: Labels): string {
  return labels['alertname'] ?? '';
}

/** What tells an alert from those of the same rule. */
export function others(labels: Labels): [string, string][] {
  return Object.entries(labels).filter(([name]) => name !== 'alertname' && name !== 'severity');
}

/** Two alerts with the same labels are the same. */
export function keyOf(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => matcher(name, value))
    .sort()
    .join(',');
}

/** As a silence wants it. */
export function matcher(name: string, value: string): string {
  return `${name}=${JSON.stringify(value)}`;
}

/** A value in the unit of its rule: a share in percent, as in the messages. */
export function valueWords(value: number | null, unit: string | undefined): string {
  if (value === null) return '–';
  if (unit === '1') return measured(value * 100, '%');
  if (unit === 'Cel') return measured(value, '°C');
  return unit === undefined || unit === '' ? short(value) : measured(value, unit);
}

/** What happens first comes first: what fires before what may, the most urgent before others, then the newest. */
export function inOrder(alerts: Alert[]): Alert[] {
  const fires = (alert: Alert) => (alert.phase === 'firing' ? 0 : 1);
  return alerts.toSorted((a, b) => fires(a) - fires(b) || urgency(b.severity) - urgency(a.severity) || b.started_unix_ns - a.started_unix_ns);
}

/** Since when it is as it is, in milliseconds since the epoch. */
export function sinceMs(alert: Alert): number {
  if (alert.phase === 'resolved') return ms(alert.resolved_unix_ns ?? alert.started_unix_ns);
  return ms(alert.phase === 'firing' ? (alert.fired_unix_ns ?? alert.started_unix_ns) : alert.started_unix_ns);
}

export function sinceWords(alert: Alert): string {
  const since = sinceMs(alert);
  if (alert.phase === 'resolved') return `resolved ${ago(since)}`;
  return `${alert.phase} for ${duration(Math.max(0, Math.round((Date.now() - since) / 1000)) * 1e9)}`;
}

/** Why a receiver has not the last word of an alert, as of that time. */
export function becauseWords(because: Because, now: number): string {
  const then = (ns: number) => ahead(ms(ns), now);
  switch (because.kind) {
    case 'muted':
      return `The mute time \`${because.by}\` holds; it is told afterwards`;
    case 'silenced':
      return `\`${because.by}\` keeps it silent, and ends ${then(because.until_unix_ns)}`;
    case 'inhibited':
      return `\`${nameOf(because.by)}\` fires, which says enough (\`inhibit[${because.rule}]\` of the file)`;
    case 'sending':
      return 'A notification of its group is on its way';
    case 'failing':
      return `${plural(because.attempts, 'attempt')} failed: ${because.because}; tried again ${then(because.until_unix_ns)}`;
    case 'flapping':
      return `It began to fire ${plural(because.firings, 'time')} of late; a digest comes ${then(because.until_unix_ns)}`;
    case 'waiting':
      return `Its group waits; it is told ${then(because.until_unix_ns)}`;
  }
}
