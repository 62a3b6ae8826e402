// The keyboard: what is bound now, as the help shows it, and the one listener that runs it.

import { useEffect, useRef } from 'preact/hooks';

export interface Binding {
  /** One key or a sequence: `j`, `g t`, `ArrowDown`. */
  keys: string[];
  words: string;
  run: (event: KeyboardEvent) => void;
}

export interface Group {
  title: string;
  bindings: Binding[];
  /** Where two bind the same key, the greater one has it: the page before the frame, a dialog before the page. */
  weight: number;
}

const SEQUENCE_MS = 1200;

const groups = new Set<{ current: Group }>();
let pending = '';
let pendingTimer = 0;

/** Bound for as long as the component is there. */
export function useKeys(title: string, bindings: Binding[], weight = 1): void {
  const group = useRef<Group>({ title, bindings, weight });
  group.current = { title, bindings, weight };
  useEffect(() => {
    groups.add(group);
    return () => void groups.delete(group);
  }, []);
}

export function boundGroups(): Group[] {
  return [...groups]
    .map((group) => group.current)
    .filter((group) => group.bindings.length > 0)
    .sort((a, b) => b.weight - a.weight);
}

function find(keys: string): Binding | undefined {
  return boundGroups()
    .flatMap((group) => group.bindings)
    .find((binding) => binding.keys.includes(keys));
}

function begins(prefix: string): boolean {
  return boundGroups().some((group) => group.bindings.some((binding) => binding.keys.some((keys) => keys.startsWith(`${prefix} `))));
}

export function typing(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName);
}

export function startKeys(): void {
  addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
    if (typing(event.target)) {
      // Escape leaves the field; everything else is text.
      if (event.key === 'Escape') (event.target as HTMLElement).blur();
      return;
    }
    // Enter and space belong to the control that has the focus.
    if ((event.key === 'Enter' || event.key === ' ') && event.target instanceof Element && event.target.closest('a, button, summary')) return;
    const keys = pending === '' ? event.key : `${pending} ${event.key}`;
    const binding = find(keys) ?? find(event.key);
    clearTimeout(pendingTimer);
    pending = '';
    if (binding) {
      event.preventDefault();
      binding.run(event);
    } else if (begins(event.key)) {
      pending = event.key;
      pendingTimer = window.setTimeout(() => (pending = ''), SEQUENCE_MS);
    }
  });
}

/** j and k move the focus between the rows of the page, so Enter opens and the focus ring shows where one is. */
export function moveRow(step: number): void {
  const rows = [...document.querySelectorAll<HTMLElement>('main [data-row]')];
  if (rows.length === 0) return;
  const at = rows.indexOf(document.activeElement as HTMLElement);
  const next = at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + step, 0), rows.length - 1);
  rows[next]?.focus();
  rows[next]?.scrollIntoView({ block: 'nearest' });
}

export function focusSearch(): void {
  const field = document.querySelector<HTMLInputElement>('main [data-search]');
  field?.focus();
  field?.select();
}
