// Where the user is: path and parameters live in the address and nowhere else, so every view can be linked to.

import { useEffect, useState } from 'preact/hooks';

export interface Place {
  path: string;
  params: URLSearchParams;
}

/** Parameters that stay when the user goes to another page. */
const KEPT = ['range', 'from', 'to'];

const listeners = new Set<() => void>();
let current = read();

function read(): Place {
  return { path: location.pathname, params: new URLSearchParams(location.search) };
}

function changed(): void {
  current = read();
  for (const listener of [...listeners]) listener();
}

addEventListener('popstate', changed);

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
  if (href === location.pathname + location.search) return;
  const samePage = new URL(href, location.href).pathname === location.pathname;
  if (replace) history.replaceState(null, '', href);
  else history.pushState(null, '', href);
  changed();
  if (!samePage) scrollTo(0, 0);
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
  return text === '' ? path : `${path}?${text}`;
}

/** Links of this page are followed without loading it anew; modified clicks stay the browser's. */
export function followLinks(root: HTMLElement): () => void {
  const onClick = (event: MouseEvent) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element).closest('a');
    if (!link || link.target !== '' || link.origin !== location.origin || link.hasAttribute('download')) return;
    if (link.pathname.startsWith('/api/') || link.getAttribute('href')?.startsWith('#')) return;
    event.preventDefault();
    navigate(link.pathname + link.search);
  };
  root.addEventListener('click', onClick);
  return () => root.removeEventListener('click', onClick);
}
