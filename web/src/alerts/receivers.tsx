// Receivers: who may be told, what does not arrive there, and the button that sends a test.

import type { JSX } from 'preact';
import { type Alerts, address, post } from '../api';
import { ahead, clock, plural } from '../format';
import { Command, Problem, Words } from '../parts/states';
import { useAction } from './use-action';
import { ms } from './words';

const EXAMPLE = `[route]
receiver = "team"

[receivers.team]
kind = "slack"
url = "https://hooks.slack.com/services/..."`;

interface RowProps {
  name: string;
  kind: string;
  failing: Alerts['failing'];
}

function Row({ name, kind, failing }: RowProps): JSX.Element {
  const action = useAction(() => post(address(`alerts/test/${encodeURIComponent(name)}`), {}));
  return (
    <li>
      <div class="entry-head">
        <span class="grow">
          <b>{name}</b> <span class="muted">{kind}</span>
        </span>
        <span role="status">
          {action.busy && <span class="muted">Sending</span>}
          {action.doneMs !== null && <span class="badge accent">Arrived at {clock(action.doneMs, false)}</span>}
        </span>
        <button type="button" class="button small" data-row disabled={action.busy} onClick={action.start} title="Sends one message that says that it is a test">
          Test<span class="hidden-text"> {name}</span>
        </button>
      </div>
      {failing.map((one) => (
        <p key={one.group_key} class="error-text">
          A notification does not arrive: <Words text={one.because} />. {plural(one.attempts, 'attempt')}, tried again {ahead(ms(one.retry_unix_ns))}.
        </p>
      ))}
      {action.error !== null && <Problem error={action.error} again={action.start} />}
    </li>
  );
}

function Nobody(): JSX.Element {
  return (
    <div class="body stack below-head">
      <p>Nobody is told of alerts: no receiver is configured. Write one into a file,</p>
      <pre class="mono example" tabIndex={0}>
        {EXAMPLE}
      </pre>
      <p>and start the server with it:</p>
      <Command text="sonde serve --alerts alerts.toml" />
    </div>
  );
}

export function Receivers({ receivers, failing }: Pick<Alerts, 'receivers' | 'failing'>): JSX.Element {
  const names = Object.keys(receivers);
  return (
    <section class="card table-card" aria-label="Receivers">
      <header>
        <h2>Receivers</h2>
      </header>
      {names.length === 0 ? (
        <Nobody />
      ) : (
        <ul class="entries">
          {names.map((name) => (
            <Row key={name} name={name} kind={receivers[name] ?? ''} failing={failing.filter((one) => one.receiver === name)} />
          ))}
        </ul>
      )}
    </section>
  );
}
