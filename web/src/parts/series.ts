// Names of series, and series measured at different moments on one axis.

import type { Attributes } from '../api';
import { entries, text } from './bits';

export interface Named {
  service: string;
  attributes: Attributes;
  /** Where series of more than one metric stand together. */
  name?: string;
}

/** What tells the series apart: attributes that are the same for all of them are left out. */
export function labels(series: Named[]): string[] {
  const values = new Map<string, Set<string>>();
  for (const { attributes } of series) {
    for (const [key, value] of entries(attributes)) values.set(key, (values.get(key) ?? new Set()).add(text(value)));
  }
  const services = new Set(series.map((one) => one.service));
  const names = new Set(series.map((one) => one.name));
  return series.map(({ service, attributes, name }) => {
    const telling = entries(attributes).filter(([key]) => (values.get(key)?.size ?? 0) > 1 || series.some((one) => one.attributes?.[key] === undefined));
    const parts = telling.map(([key, value]) => `${key}=${text(value)}`);
    if (name !== undefined && names.size > 1) parts.unshift(name);
    if (services.size > 1 || parts.length === 0) parts.unshift(service);
    return parts.join(' ');
  });
}

/** Moments, then the values of each series at them, as charts want it. */
export function align(series: Map<number, number | null>[]): (number | null)[][] {
  const times = [...new Set(series.flatMap((values) => [...values.keys()]))].sort((a, b) => a - b);
  return [times, ...series.map((values) => times.map((time) => values.get(time) ?? null))];
}
