// Workers: how much waits, how much memory is taken, what was called and what failed.

import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { type Workers, address } from '../api';
import { ago, bytes, count, duration } from '../format';
import { HUES } from '../palette';
import { Service, Share, Time } from '../parts/bits';
import { Chart, type ChartSeries } from '../parts/chart';
import { align, labels } from '../parts/series';
import { Page } from '../parts/shell';
import { Await, Command, Empty } from '../parts/states';
import { useQuery } from '../query';
import { to } from '../router';
import { useRange } from '../time';

function Queues({ queues }: { queues: Workers['queues'] }): JSX.Element {
  const deepest = Math.max(1, ...queues.map((queue) => queue.depth ?? 0));
  const names = labels(queues.map((queue) => ({ ...queue, service: queue.queue })));
  const sorted = queues.map((queue, index) => ({ ...queue, label: names[index] })).sort((a, b) => (b.depth ?? 0) - (a.depth ?? 0));
  return (
    <section class="card table-card" aria-label="Queues">
      <header>
        <h2>Queues</h2>
      </header>
      {queues.length === 0 ? (
        <p class="nothing">No queue was reported.</p>
      ) : (
        <table>
          <thead>
            <tr>
              <th>Queue</th>
              <th class="optional">Service</th>
              <th class="number">Depth</th>
              <th class="number optional">Read</th>
            </tr>
          </thead>
          <tbody>
            {sorted.map((queue) => (
                <tr key={`${queue.service} ${queue.queue} ${JSON.stringify(queue.attributes)}`}>
                  <td class="fill" title={queue.label}>
                    {queue.label}
                  </td>
                  <td class="optional">
                    <Service name={queue.service} />
                  </td>
                  <td class="number">
                    {count(queue.depth)} waiting <Share part={queue.depth ?? 0} whole={deepest} />
                  </td>
                  <td class="number muted optional">{ago(queue.time_ms)}</td>
                </tr>
              ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function Memory({ memory }: { memory: Workers['memory'] }): JSX.Element {
  const names = labels(memory);
  const series: ChartSeries[] = names.map((label, index) => ({ label, variable: `--hue-${(index * 3) % HUES}`, format: bytes, binary: true }));
  const data = useMemo(() => align(memory.map((one) => new Map(one.points))), [memory]);
  const times = data[0] ?? [];
  return (
    <section class="card" aria-label="Memory">
      <header>
        <h2>Memory</h2>
        <span class="muted">the last 60 readings</span>
      </header>
      <div class="body">
        {times.length === 0 ? (
          <p class="nothing">No memory was reported.</p>
        ) : (
          <>
            <Chart label="Memory of the workers" data={data} series={series} start={times[0] as number} end={Math.max(times.at(-1) as number, (times[0] as number) + 1000)} height={170} />
            <p class="legend">
              {memory.map((one, index) => (
                <span key={index}>
                  <i class="dot" style={{ background: `var(${series[index]?.variable})` }} />
                  {names[index]} <b>{bytes(one.points.at(-1)?.[1])}</b>
                </span>
              ))}
            </p>
          </>
        )}
      </div>
    </section>
  );
}

function TraceLink({ id, words }: { id: string | null; words: string }): JSX.Element {
  if (!id) return <>{words}</>;
  return (
    <a class="cover" data-row href={to(`/traces/${id}`)}>
      {words}
    </a>
  );
}

function Calls({ calls }: { calls: Workers['calls'] }): JSX.Element {
  return (
    <section class="card table-card" aria-label="Recent calls">
      <header>
        <h2>Recent calls</h2>
      </header>
      {calls.length === 0 ? (
        <p class="nothing">No call of a worker was received in this range of time.</p>
      ) : (
        <div class="scroll-x">
          <table>
            <thead>
              <tr>
                <th>Time</th>
                <th class="optional">Library</th>
                <th>Function</th>
                <th class="optional">Service</th>
                <th>Result</th>
                <th class="number">Duration</th>
              </tr>
            </thead>
            <tbody>
              {calls.map((call, index) => (
                <tr key={`${call.time_ms} ${call.trace_id} ${call.function} ${index}`} class="open">
                  <td class="time">
                    <Time ms={call.time_ms} />
                  </td>
                  <td class="optional">{call.library}</td>
                  <td class="fill mono">
                    <TraceLink id={call.trace_id} words={call.function} />
                  </td>
                  <td class="optional">
                    <Service name={call.service} />
                  </td>
                  <td>{call.status.toLowerCase() === 'error' ? <span class="badge error">error</span> : <span class="muted">ok</span>}</td>
                  <td class="number">{duration(call.duration_ns)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Errors({ errors }: { errors: Workers['errors'] }): JSX.Element {
  return (
    <section class="card table-card" aria-label="Recent errors">
      <header>
        <h2>Recent errors</h2>
      </header>
      {errors.length === 0 ? (
        <p class="nothing">None in this range of time.</p>
      ) : (
        <div class="scroll-x">
          <table>
            <thead>
              <tr>
                <th>Time</th>
                <th class="optional">Library</th>
                <th>Type</th>
                <th>Message</th>
              </tr>
            </thead>
            <tbody>
              {errors.map((error, index) => (
                <tr key={`${error.time_ms} ${index}`} class="open">
                  <td class="time">
                    <Time ms={error.time_ms} />
                  </td>
                  <td class="optional">{error.library}</td>
                  <td class="error-text">{error.error_type}</td>
                  <td class="fill" title={error.message}>
                    <TraceLink id={error.trace_id} words={error.message} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function NoWorkers(): JSX.Element {
  return (
    <Empty title="No worker reported in this range of time">
      <p class="muted">Workers appear when a pool reports its queue, its memory, or the calls it makes. Start one under sonde:</p>
      <Command text="sonde run -- python worker.py" />
    </Empty>
  );
}

export function WorkersPage(): JSX.Element {
  const range = useRange();
  const answer = useQuery<Workers>(address('workers', { from: range.from, to: range.to }), { live: range.live });
  return (
    <Page title="Workers">
      <Await answer={answer}>
        {(workers) =>
          Object.values(workers).every((list: unknown) => Array.isArray(list) && list.length === 0) ? (
            <NoWorkers />
          ) : (
            <>
              <div class="grid halves">
                <Queues queues={workers.queues} />
                <Memory memory={workers.memory} />
              </div>
              <div class="grid">
                <Errors errors={workers.errors} />
                <Calls calls={workers.calls} />
              </div>
            </>
          )
        }
      </Await>
    </Page>
  );
}
