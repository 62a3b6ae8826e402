// Dashboards are files that somebody edits while the page shows them: they are asked for again by themselves.

import { useEffect } from 'preact/hooks';
import { type Dashboard, type Dashboards, address } from '../api';
import { type Answer, useQuery } from '../query';

/** How soon a change of a file is shown. */
const SHOWN_MS = 2000;
/** How soon a file is listed that is new. */
const LISTED_MS = 10_000;

function useRepeated<T>(url: string, everyMs: number): Answer<T> {
  const answer = useQuery<T>(url, { live: false });
  const { again } = answer;
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) again();
    }, everyMs);
    return () => clearInterval(timer);
  }, [again, everyMs]);
  return answer;
}

export function useDashboards(): Answer<Dashboards> {
  return useRepeated(address('dashboards'), LISTED_MS);
}

export function useDashboard(name: string): Answer<Dashboard> {
  return useRepeated(address(`dashboards/${encodeURIComponent(name)}`), SHOWN_MS);
}
