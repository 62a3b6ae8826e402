// Queues: how much waits and since when, what comes and goes, whether the numbers agree, who is ahead, what is wrong.

import type { JSX } from 'preact';
import type { Queue } from '../api';
import { count, duration, percent, short } from '../format';
import { Service, Share } from '../parts/bits';
import { labels } from '../parts/series';
import { to } from '../router';

export function TraceLink({ id, words }: { id: string | null; words: string }): JSX.Element {
  if (!id) return <>{words}</>;
  return (
    <a class="cover" data-row href={to(`/traces/${id}`)}>
      {words}
    </a>
  );
}

function key(queue: Queue): string {
  return `${queue.service} ${queue.queue} ${JSON.stringify(queue.attributes)}`;
}

function Little({ little }: { little: Queue['little'] }): JSX.Element {
  if (little.kind === 'not_assessed') {
    return (
      <span class="muted" title={`Not assessed: ${little.because}`}>
        not assessed
      </span>
    );
  }
  const numbers = `L ${short(little.l)} ${little.holds ? '=' : '≠'} λW ${short(little.lambda_w)}`;
  const within = `within ${short(little.tolerance)}`;
  return little.holds ? <span title={`They agree ${within}`}>{numbers}</span> : <span class="badge warn" title={`They do not agree ${within}: one of them is not of this queue, or not of all of it`}>{numbers}</span>;
}

/** What is wrong or will be, in sentences. */
function Findings({ queues, names }: { queues: Queue[]; names: string[] }): JSX.Element | null {
  const found = queues.flatMap((queue, index) => [
    ...queue.stuck.map((stuck) => ({ name: names[index], words: stuck.words, trace: stuck.trace_id, isBad: true })),
    ...queue.saturation.map((one) => {
      const interval = one.in_interval_s ? ` (${one.in_interval_s.map((s) => duration(s * 1e9)).join(' to ')})` : '';
      const end = one.in_s === null ? 'nothing says how much there can be' : `${short(one.limit)} is reached in ${duration(one.in_s * 1e9)}${interval} at this trend`;
      return { name: names[index], words: `${one.what} grows by ${short(one.growth_per_s)} a second; ${end}`, trace: null, isBad: false };
    }),
  ]);
  if (found.length === 0) return null;
  return (
    <ul class="findings body">
      {found.map(({ name, words, trace, isBad }) => (
        <li key={`${name} ${words}`}>
          <span class={`badge ${isBad ? 'error' : 'warn'}`}>{isBad ? 'stuck' : 'grows'}</span> <b>{name}</b>: {words}
          {trace && (
            <>
              {', '}
              <a class="link" href={to(`/traces/${trace}`)}>
                in this trace
              </a>
            </>
          )}
        </li>
      ))}
    </ul>
  );
}

export function QueueTable({ queues, more }: { queues: Queue[]; more: boolean }): JSX.Element {
  const deepest = Math.max(1, ...queues.map((queue) => queue.depth?.now ?? 0));
  const names = labels(queues.map((queue) => ({ service: queue.queue, attributes: queue.attributes })));
  return (
    <section class="card table-card" aria-label="Queues">
      <header>
        <h2>Queues</h2>
        {more && <span class="muted">the longest 100</span>}
      </header>
      {queues.length === 0 ? (
        <p class="nothing">No queue was reported.</p>
      ) : (
        <div class="scroll-x">
          <table>
            <thead>
              <tr>
                <th>Queue</th>
                <th class="optional">Service</th>
                <th class="number">Waiting</th>
                <th class="number">Oldest</th>
                <th class="number optional">Arrive</th>
                <th class="number optional">Are done</th>
                <th class="number optional">Busy</th>
                <th class="optional">Little's law</th>
              </tr>
            </thead>
            <tbody>
              {queues.map((queue, index) => (
                <tr key={key(queue)}>
                  <td class="fill" title={names[index]}>
                    {names[index]}
                  </td>
                  <td class="optional">
                    <Service name={queue.service} />
                  </td>
                  <td class="number">
                    {count(queue.depth?.now)}
                    {queue.capacity !== null && <span class="muted"> of {count(queue.capacity)}</span>} <Share part={queue.depth?.now ?? 0} whole={queue.capacity ?? deepest} />
                  </td>
                  <td class="number" title={queue.oldest?.is_at_most ? 'The queue was empty so long ago' : undefined}>
                    {queue.oldest ? `${queue.oldest.is_at_most ? '≤ ' : ''}${duration(queue.oldest.age_ns)}` : '–'}
                  </td>
                  <td class="number optional">{queue.arrival ? `${short(queue.arrival.per_s)}/s` : '–'}</td>
                  <td class="number optional">{queue.service_rate ? `${short(queue.service_rate.per_s)}/s` : '–'}</td>
                  <td class="number optional">{queue.utilisation === null ? '–' : percent(queue.utilisation, 1)}</td>
                  <td class="optional">
                    <Little little={queue.little} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Findings queues={queues} names={names} />
    </section>
  );
}

/** Who waits, the one that has waited longest first. */
export function Ahead({ queues }: { queues: Queue[] }): JSX.Element {
  const waiting = queues.flatMap((queue) => queue.ahead.map((ahead) => ({ ...ahead, queue }))).sort((a, b) => b.age_ns - a.age_ns);
  const more = queues.reduce((sum, queue) => sum + queue.ahead_more, 0);
  return (
    <section class="card table-card" aria-label="Who is ahead">
      <header>
        <h2>Who is ahead</h2>
        {more > 0 && <span class="muted">and {count(more)} more</span>}
      </header>
      {waiting.length === 0 ? (
        <p class="nothing">Nobody is known to wait. Queues that report their items are listed here.</p>
      ) : (
        <table>
          <thead>
            <tr>
              <th class="number">Waits for</th>
              <th>Item</th>
              <th>Queue</th>
            </tr>
          </thead>
          <tbody>
            {waiting.slice(0, 20).map((ahead) => (
              <tr key={`${key(ahead.queue)} ${ahead.item}`} class="open">
                <td class="number">{duration(ahead.age_ns)}</td>
                <td class="fill mono">
                  <TraceLink id={ahead.trace_id} words={ahead.item} />
                </td>
                <td class="clip" title={ahead.queue.queue}>
                  {ahead.queue.queue}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
