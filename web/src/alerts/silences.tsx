// Silences: which alerts, why, who said so, until when, and the button that ends one.

import type { JSX } from 'preact';
import { type Silence, address, ask } from '../api';
import { ago, ahead, moment } from '../format';
import { Problem } from '../parts/states';
import { useAction } from './use-action';
import { ms } from './words';

/** Of those that are over only the newest say what became of an alert that is told again. */
const OVER_SHOWN = 5;

function Row({ silence, onEnded }: { silence: Silence; onEnded: () => void }): JSX.Element {
  const [starts, ends] = [ms(silence.starts_unix_ns), ms(silence.ends_unix_ns)];
  const isOver = ends <= Date.now();
  const action = useAction(async () => {
    await ask(address(`silences/${encodeURIComponent(silence.id)}`), { method: 'DELETE' });
    onEnded();
  });
  return (
    <li class={isOver ? 'muted' : ''}>
      <div class="entry-head">
        <span class="grow">
          {silence.matchers.map((text) => (
            <span key={text} class="label mono">
              {text}
            </span>
          ))}
        </span>
        <span title={`From ${moment(starts)} until ${moment(ends)}`}>{isOver ? `ended ${ago(ends)}` : `ends ${ahead(ends)}`}</span>
        {!isOver && (
          <button type="button" class="button small" data-row disabled={action.busy} onClick={action.start}>
            End<span class="hidden-text"> {silence.id}</span>
          </button>
        )}
      </div>
      <p>
        {silence.comment || <span class="muted">Nobody said why.</span>}{' '}
        <span class="muted">
          {silence.created_by || 'Somebody'}, {ago(starts)}, <code>{silence.id}</code>
        </span>
      </p>
      {action.error !== null && <Problem error={action.error} again={action.start} />}
    </li>
  );
}

export function Silences({ silences, onEnded }: { silences: Silence[]; onEnded: () => void }): JSX.Element {
  const isOver = (silence: Silence) => ms(silence.ends_unix_ns) <= Date.now();
  const holding = silences.filter((silence) => !isOver(silence)).toSorted((a, b) => a.ends_unix_ns - b.ends_unix_ns);
  const over = silences.filter(isOver).toSorted((a, b) => b.ends_unix_ns - a.ends_unix_ns);
  return (
    <section class="card table-card" aria-label="Silences">
      <header>
        <h2>Silences</h2>
        {over.length > OVER_SHOWN && <span class="muted spacer">{over.length - OVER_SHOWN} older ones are over</span>}
      </header>
      {silences.length === 0 ? (
        <p class="nothing">
          Nothing is silenced. The button beside an alert does it, or <code>sonde alerts silence</code>.
        </p>
      ) : (
        <ul class="entries">
          {[...holding, ...over.slice(0, OVER_SHOWN)].map((silence) => (
            <Row key={silence.id} silence={silence} onEnded={onEnded} />
          ))}
        </ul>
      )}
    </section>
  );
}
