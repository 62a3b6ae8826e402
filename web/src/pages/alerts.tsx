// Alerts: what fires, what is kept from whom and why, silences, rules, receivers; and whether they can be trusted.

import type { JSX } from 'preact';
import type { Alerts } from '../api';
import { HeldTable } from '../alerts/held';
import { AlertList } from '../alerts/list';
import { Receivers } from '../alerts/receivers';
import { Rules } from '../alerts/rules';
import { Silences } from '../alerts/silences';
import { useAlerts } from '../alerts/use-alerts';
import { count, plural } from '../format';
import { Page } from '../parts/shell';
import { Await, Words } from '../parts/states';

/** Why one may not hear of something: each of these is a fault that nobody else would tell. */
function doubts({ rules, failing, receivers, readings_refused }: Alerts): string[] {
  const found: string[] = [];
  const broken = rules.filter((rule) => rule.error !== null).length;
  if (broken > 0) found.push(`${plural(broken, 'rule')} cannot be evaluated. What ${broken === 1 ? 'it watches' : 'they watch'} may be wrong without an alert.`);
  const unreached = new Set(failing.map((one) => one.receiver));
  if (unreached.size > 0) found.push(`Notifications do not arrive at ${[...unreached].join(', ')}.`);
  if (readings_refused > 0) found.push(`${count(readings_refused)} readings found no room among those that rules look at. \`sonde cardinality\` shows which labels make so many series.`);
  if (Object.keys(receivers).length === 0) found.push('Nobody is told of alerts; they are on this page alone.');
  return found;
}

function Doubts({ data }: { data: Alerts }): JSX.Element | null {
  const found = doubts(data);
  if (found.length === 0) return null;
  return (
    <section class="card doubts" aria-label="What these alerts cannot be trusted for">
      <ul class="body findings">
        {found.map((words) => (
          <li key={words}>
            <span class="badge warn">!</span> <Words text={words} />
          </li>
        ))}
      </ul>
    </section>
  );
}

export function AlertsPage(): JSX.Element {
  const answer = useAlerts();
  return (
    <Page title="Alerts" ranged={false}>
      <Await answer={answer}>
        {(data) => (
          <>
            <Doubts data={data} />
            <AlertList data={data} onSilenced={answer.again} />
            <div class="grid after-alerts">
              <HeldTable held={data.held} now={Date.now()} title="Kept back" nothing={Object.keys(data.receivers).length === 0 ? 'There is nobody to keep anything from: no receiver is configured.' : 'Nothing is kept back: whoever is to be told was told of everything.'} />
            </div>
            <div class="grid halves">
              <Silences silences={data.silences} onEnded={answer.again} />
              <Receivers receivers={data.receivers} failing={data.failing} />
            </div>
            <Rules rules={data.rules} />
          </>
        )}
      </Await>
    </Page>
  );
}
