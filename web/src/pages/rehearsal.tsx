// A rule rehearsed: what it would have done in a range of time, who would have been told what, and how noisy it is.

import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { type Noise, type Rehearsal, address, post } from '../api';
import { HeldTable } from '../alerts/held';
import { Timeline, episodesOf } from '../alerts/timeline';
import { useAlerts } from '../alerts/use-alerts';
import { ms, valueWords } from '../alerts/words';
import { clock, count, duration, moment, percent, plural } from '../format';
import { Page } from '../parts/shell';
import { Await, Empty, Words } from '../parts/states';
import { useQuery } from '../query';
import { to } from '../router';
import { useRange } from '../time';

const MESSAGES_SHOWN = 100;

/** A time as a file of alerts has it. */
function written(seconds: number): string {
  if (seconds % 3600 === 0) return `${seconds / 3600}h`;
  return seconds % 60 === 0 ? `${seconds / 60}m` : `${seconds}s`;
}

function suggestion(one: Noise['suggestions'][number], unit: string | undefined): string {
  if ('for' in one) return `With \`for = "${written(one.for.for_ns / 1e9)}"\` it would have fired ${plural(one.for.fires, 'time')}`;
  return `With ${valueWords(one.limit.limit, unit)} (${one.limit.limit}) as its limit it would have fired ${plural(one.limit.fires, 'time')}`;
}

function NoiseWords({ noise, unit }: { noise: Noise; unit: string | undefined }): JSX.Element | null {
  if (noise.fired === 0) return null;
  const noisy = Math.round(noise.score * noise.fired);
  return (
    <ul class="findings">
      <li>
        It would have fired <b>{plural(noise.fired, 'time')}</b>
        {noise.median_ns !== null && <>, for {duration(noise.median_ns)} in the median</>}.
      </li>
      {noisy > 0 && (
        <li>
          <span class="badge warn">noise</span> {percent(noisy, noise.fired)} of that nobody could have acted upon: {plural(noise.short, 'time')} it was over within 5 min, {plural(noise.flapped, 'time')} it fired again within 10 min.
        </li>
      )}
      {noisy > 0 &&
        noise.suggestions.map((one) => (
          <li key={JSON.stringify(one)}>
            <Words text={suggestion(one, unit)} />.
          </li>
        ))}
    </ul>
  );
}

function Messages({ messages, someone }: { messages: Rehearsal['messages']; someone: boolean }): JSX.Element {
  return (
    <section class="card table-card" aria-label="Messages">
      <header>
        <h2>Who would have been told what</h2>
        {messages.length > MESSAGES_SHOWN && (
          <span class="muted spacer">
            The first {MESSAGES_SHOWN} of {count(messages.length)}
          </span>
        )}
      </header>
      {messages.length === 0 ? (
        <p class="nothing">{someone ? 'Nobody would have been told anything.' : 'Nobody would have been told: no receiver is configured. The page of alerts says how.'}</p>
      ) : (
        <ul class="entries">
          {messages.slice(0, MESSAGES_SHOWN).map((message) => (
            <li key={`${message.time_unix_ns} ${message.receiver} ${message.group_key}`}>
              <details>
                <summary data-row>
                  <span title={moment(ms(message.time_unix_ns))}>{clock(ms(message.time_unix_ns), false)}</span> <b>{message.receiver}</b> {message.kind}, {plural(message.alerts, 'alert')} of <span class="mono">{message.group_key}</span>
                </summary>
                <pre class="mono example" tabIndex={0}>
                  {typeof message.payload === 'string' ? message.payload : JSON.stringify(message.payload, null, 2)}
                </pre>
              </details>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

interface FoundProps {
  rehearsal: Rehearsal;
  rule: string;
  unit: string | undefined;
  someone: boolean;
  startMs: number;
  endMs: number;
}

function Found({ rehearsal, rule, unit, someone, startMs, endMs }: FoundProps): JSX.Element {
  const episodes = episodesOf(rehearsal.changes);
  const noise = rehearsal.noise.find(([name]) => name === rule)?.[1];
  return (
    <>
      {noise && <NoiseWords noise={noise} unit={unit} />}
      {rehearsal.left_out > 0 && <p class="warn-text findings">{plural(rehearsal.left_out, 'change')} and messages are not shown. A shorter range of time shows all of it.</p>}
      {episodes.length === 0 ? (
        <Empty title="It would not have fired">
          <p class="muted">
            It was evaluated {plural(rehearsal.evaluations, 'time')}. A wider range of time, up to seven days here, looks further back; <code>sonde alerts backtest {rule} --from -30d</code> a month.
          </p>
        </Empty>
      ) : (
        <div class="grid">
          <Timeline episodes={episodes} messages={rehearsal.messages} span={{ startMs, endMs }} unit={unit} />
          <Messages messages={rehearsal.messages} someone={someone} />
          <HeldTable held={rehearsal.held} now={endMs} title="Kept back at the end" nothing="Nothing would have been kept back at the end." />
        </div>
      )}
    </>
  );
}

export function RehearsalPage({ rule }: { rule: string }): JSX.Element {
  const range = useRange();
  const question = address('alerts/rehearsal', { from: range.from, to: range.to });
  // A rule may look at much: it is asked when the range changes or somebody asks again, and not whenever something comes.
  const answer = useQuery<Rehearsal>(`${question}#${rule}`, { live: false, how: (_, init) => post(question, { rule }, init) });
  const alerts = useAlerts().data;
  const [startMs, endMs] = useMemo(() => [range.start, range.end], [answer.data]);
  const known = alerts?.rules.find((one) => one.name === rule);
  return (
    <Page
      title={`Rehearsal of ${rule}`}
      actions={
        <>
          <a class="button" href={to('/alerts')}>
            All alerts
          </a>
          <button type="button" class="button" onClick={answer.again}>
            Rehearse again
          </button>
        </>
      }
    >
      <p class="muted board-description">What the rule would have done over what is kept, had it been there: the same rule, routes and receivers as now; nobody is told anything by this.</p>
      <Await answer={answer}>{(rehearsal) => <Found rehearsal={rehearsal} rule={rule} unit={known?.unit} someone={alerts === null || Object.keys(alerts.receivers).length > 0} startMs={startMs} endMs={endMs} />}</Await>
    </Page>
  );
}
