// Where the user is: path and parameters live in the address and nowhere else, so every view can be linked to. A page that is a
// file has one path, so there they stand behind the `#`.

import { useEffect, useState } from 'preact/hooks';
import { BUNDLE } from './bundle';

export interface Place {
  path: string;
  params: URLSearchParams;
}

/** Parameters that stay when the user goes to another page. */
const KEPT = ['range', 'from', 'to'];

const listeners = new Set<() => void>();
let current = read();

function read(): Place {
  if (BUNDLE === null) return { path: location.pathname, params: new URLSearchParams(location.search) };
  const [path = '/', search = ''] = here().slice(1).split('?', 2);
  return { path, params: new URLSearchParams(search) };
}

/** This page as its own links write it. */
function here(): string {
  if (BUNDLE === null) return location.pathname + location.search;
  return location.hash.startsWith('#/') ? location.hash : `#${BUNDLE.first}`;
}

function changed(): void {
  current = read();
  for (const listener of [...listeners]) listener();
}

addEventListener('popstate', () => {
  // `#main` is a place on this page, not another one.
  if (BUNDLE === null || location.hash === '' || location.hash.startsWith('#/')) changed();
});

export function place(): Place {
  return current;
}

export function usePlace(): Place {
  const [, again] = useState(0);
  useEffect(() => {
    const listener = () => again((n) => n + 1);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
  return current;
}

export function navigate(href: string, replace = false): void {
  if (href === here()) return;
  const { path } = current;
  if (replace) history.replaceState(null, '', href);
  else history.pushState(null, '', href);
  changed();
  if (current.path !== path) scrollTo(0, 0);
}

export type Changes = Record<string, string | number | null>;

/** The address of this page with some parameters changed; null and '' take one away. */
export function withParams(changes: Changes): string {
  const params = new URLSearchParams(current.params);
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === '') params.delete(key);
    else params.set(key, String(value));
  }
  return join(current.path, params);
}

/** Typing and selecting replace the entry of the history; a choice that one would want to take back pushes one. */
export function setParams(changes: Changes, replace = true): void {
  navigate(withParams(changes), replace);
}

/** The address of another page, in the same range of time. */
export function to(path: string, params: Changes = {}): string {
  const search = new URLSearchParams();
  for (const key of KEPT) {
    const value = current.params.get(key);
    if (value !== null) search.set(key, value);
  }
  for (const [key, value] of Object.entries(params)) {
    if (value === null || value === '') search.delete(key);
    else search.set(key, String(value));
  }
  return join(path, search);
}

function join(path: string, params: URLSearchParams): string {
  const text = params.toString();
  const href = text === '' ? path : `${path}?${text}`;
  return BUNDLE === null ? href : `#${href}`;
}

/** Links of this page are followed without loading it anew; modified clicks stay the browser's. */
export function followLinks(root: HTMLElement): () => void {
  const onClick = (event: MouseEvent) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element).closest('a');
    const href = link?.getAttribute('href');
    if (BUNDLE !== null && href?.startsWith('#/')) {
      event.preventDefault();
      navigate(href);
      return;
    }
    if (!link || link.target !== '' || link.origin !== location.origin || link.hasAttribute('download')) return;
    if (link.pathname.startsWith('/api/') || href?.startsWith('#')) return;
    event.preventDefault();
    navigate(link.pathname + link.search);
  };
  root.addEventListener('click', onClick);
  return () => root.removeEventListener('click', onClick);
}
