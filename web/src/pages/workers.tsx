// Workers: how much waits, how much memory is taken, what was called and what failed.

import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { type Queues, type Workers, address } from '../api';
import { BUNDLE } from '../bundle';
import { bytes, duration } from '../format';
import { HUES } from '../palette';
import { Service, Time } from '../parts/bits';
import { Chart, type ChartSeries } from '../parts/chart';
import { align, labels } from '../parts/series';
import { Page } from '../parts/shell';
import { Await, Command, Empty, NothingYet } from '../parts/states';
import { useQuery } from '../query';
import { useRange } from '../time';
import { Ahead, QueueTable, TraceLink } from './queues';

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

const NO_WORKERS = 'No worker reported in this range of time';

function NoWorkers(): JSX.Element {
  return (
    <Empty title={NO_WORKERS}>
      <p class="muted">Workers appear when a pool reports its queue, its memory, or the calls it makes. Start one under sonde:</p>
      <Command text="sonde run -- python worker.py" />
    </Empty>
  );
}

export function WorkersPage(): JSX.Element {
  const range = useRange();
  const answer = useQuery<Workers>(address('workers', { from: range.from, to: range.to }), { live: range.live });
  const queues = useQuery<Queues>(address('queues', { from: range.from, to: range.to }), { live: range.live });
  const isEmpty = (workers: Workers) => workers.memory.length + workers.calls.length + workers.errors.length === 0;
  return (
    <Page title="Workers">
      <Await answer={answer}>
        {(workers) =>
          isEmpty(workers) && (queues.data?.queues ?? []).length === 0 ? (
            BUNDLE ? (
              <NothingYet title={NO_WORKERS} />
            ) : (
              <NoWorkers />
            )
          ) : (
            <>
              <Await answer={queues}>
                {({ queues: all, more }) => (
                  <div class="grid">
                    <QueueTable queues={all} more={more} />
                  </div>
                )}
              </Await>
              <div class="grid halves">
                <Ahead queues={queues.data?.queues ?? []} />
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
