// How many alerts fire, beside the link to them: seen from every page.

import type { JSX } from 'preact';
import { count } from '../format';
import { useAlerts } from './use-alerts';
import { badge, urgency } from './words';

/** Nothing where none fires, or where that is not known. */
export function FiringCount(): JSX.Element | null {
  const { data } = useAlerts();
  const firing = data?.alerts.filter((alert) => alert.phase === 'firing') ?? [];
  const [worst] = firing.map((alert) => alert.severity).sort((a, b) => urgency(b) - urgency(a));
  if (worst === undefined) return null;
  return (
    <span class={badge(worst)} title={`${count(firing.length)} firing, ${worst} at worst`}>
      {count(firing.length)}
      <span class="hidden-text"> firing</span>
    </span>
  );
}
