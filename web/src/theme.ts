// Dark and light, and the colours that canvases need as values. The style sheet owns every colour.

import { useEffect, useState } from 'preact/hooks';
import { recall, remember } from './storage';

export type Choice = 'system' | 'light' | 'dark';

const KEY = 'radiosonde.theme';
const dark = matchMedia('(prefers-color-scheme: dark)');
const listeners = new Set<() => void>();
let cache = new Map<string, string>();

export function choice(): Choice {
  const stored = recall(KEY);
  return stored === 'light' || stored === 'dark' ? stored : 'system';
}

function apply(): void {
  const chosen = choice();
  document.documentElement.dataset.theme = chosen === 'system' ? (dark.matches ? 'dark' : 'light') : chosen;
  cache = new Map();
  for (const listener of [...listeners]) listener();
}

export function startTheme(): void {
  dark.addEventListener('change', apply);
  apply();
}

export function choose(next: Choice): void {
  remember(KEY, next === 'system' ? null : next);
  apply();
}

/** A number that changes with the theme, for what has to be drawn anew. */
export function useTheme(): number {
  const [version, setVersion] = useState(0);
  useEffect(() => {
    const listener = () => setVersion((n) => n + 1);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
  return version;
}

/** The value of a custom property of the style sheet. */
export function color(name: string): string {
  let value = cache.get(name);
  if (value === undefined) {
    value = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    cache.set(name, value);
  }
  return value;
}
