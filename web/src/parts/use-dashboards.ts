// Dashboards are files that somebody edits while the page shows them: they are asked for again by themselves.

import { type Dashboard, type Dashboards, address } from '../api';
import { type Answer, useRepeated } from '../query';

/** How soon a change of a file is shown. */
const SHOWN_MS = 2000;
/** How soon a file is listed that is new. */
const LISTED_MS = 10_000;

export function useDashboards(): Answer<Dashboards> {
  return useRepeated(address('dashboards'), LISTED_MS);
}

export function useDashboard(name: string): Answer<Dashboard> {
  return useRepeated(address(`dashboards/${encodeURIComponent(name)}`), SHOWN_MS);
}
