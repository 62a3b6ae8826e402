// The page's icons: 16 units square, drawn with the current colour.

import type { JSX } from 'preact';

const PATHS = {
  overview: 'M2.500 9.500h3v4h-3zM6.500 2.500h3v11h-3zM10.500 6.500h3v7h-3z',
  dashboards: 'M2.500 2.500h11v3.500h-11zM2.500 8.500h5v5h-5zM10 8.500h3.500v5H10z',
  alerts: 'M8 2.500a4 4 0 0 1 4 4c0 3 1.500 4.500 1.500 4.500h-11S4 9.500 4 6.500a4 4 0 0 1 4-4zM6.700 13.500h2.600',
  traces: 'M2 4h7M5 8h8M4 12h5',
  why: 'M8 2.500a5.500 5.500 0 1 1 0 11 5.500 5.500 0 0 1 0-11zM6.400 6.400a1.700 1.700 0 1 1 2.400 1.900c-.6.3-.8.6-.8 1.200M8 11.300v.01',
  compare: 'M2.500 4h11l-2.500-2M13.500 12h-11l2.500 2M2.500 8h4M9.500 8h4',
  logs: 'M3 3.500h10M3 6.500h10M3 9.500h7M3 12.500h9',
  metrics: 'M2 12.500l3.500-5 3 2.500 5-7',
  workers: 'M2.500 2.500h4.500v4.500H2.500zM9 2.500h4.500v4.500H9zM2.500 9h4.500v4.500H2.500zM9 9h4.500v4.500H9z',
  flame: 'M2 3h12M2 6.500h9M2 10h6M2 13.500h3',
  map: 'M4 4.500a1.500 1.500 0 1 0 0-.01M12 4.500a1.500 1.500 0 1 0 0-.01M8 13a1.500 1.500 0 1 0 0-.01M5.500 4.500h5M4.800 6l2.500 5.500M11.200 6l-2.500 5.500',
  engines: 'M4.500 4.500h7v7h-7zM6.500 2v2.500M9.500 2v2.500M6.500 11.500V14M9.500 11.500V14M2 6.500h2.500M2 9.500h2.500M11.500 6.500H14M11.500 9.500H14',
  sql: 'M5.500 4 2 8l3.500 4M10.500 4 14 8l-3.500 4',
  doctor: 'M8 3v10M3 8h10',
  search: 'M7 2.500a4.500 4.500 0 1 1 0 9 4.500 4.500 0 0 1 0-9zM10.500 10.500 14 14',
  theme: 'M8 2.500a5.500 5.500 0 1 0 0 11zM8 2.500a5.500 5.500 0 0 1 0 11',
  close: 'M4 4l8 8M12 4l-8 8',
  copy: 'M5.500 5.500h8v8h-8zM10.500 5.500v-3h-8v8h3',
  filter: 'M2.500 3.500h11L9.500 8v4.500l-3-1.500V8z',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }): JSX.Element {
  return (
    <svg viewBox="0 0 16 16" width="14" height="14" fill="none" stroke="currentColor" stroke-width="1.4" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
