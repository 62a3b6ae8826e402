// Overview: how much came, how it went, how long it took; then where the time goes.

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { type OperationRow, type Overview, type ServiceRow, type Status, type Traces, address } from '../api';
import { BUNDLE, type Manifest } from '../bundle';
import { ago, bytes, count, duration, moment, percent, plural, short } from '../format';
import { hue } from '../palette';
import { Service, Share } from '../parts/bits';
import { Chart, type ChartSeries } from '../parts/chart';
import { Page } from '../parts/shell';
import { Await, NothingYet } from '../parts/states';
import { useQuery } from '../query';
import { to } from '../router';
import { type Range, useRange } from '../time';

const OPERATIONS_SHOWN = 12;

const REQUESTS: ChartSeries[] = [
  { label: 'Requests', variable: '--hue-4', shape: 'bars', format: short },
  { label: 'Errors', variable: '--error', shape: 'bars', format: short },
];
const LATENCY: ChartSeries[] = [
  { label: 'p99', variable: '--hue-3', format: duration },
  { label: 'p95', variable: '--hue-1', format: duration },
  { label: 'p50', variable: '--hue-2', format: duration },
];
const TOKENS: ChartSeries[] = [
  { label: 'Output tokens', variable: '--hue-0', shape: 'area', format: short },
  { label: 'Input tokens', variable: '--hue-5', shape: 'line', format: short },
];

function sum(steps: (number | null)[]): number {
  return steps.reduce<number>((total, step) => total + (step ?? 0), 0);
}

function latest(steps: (number | null)[]): number | null {
  return steps.findLast((step) => step !== null) ?? null;
}

function Legend({ series }: { series: ChartSeries[] }): JSX.Element {
  return (
    <span class="legend spacer">
      {series.map((one) => (
        <span key={one.label}>
          <i class="dot" style={{ background: `var(${one.variable})` }} />
          {one.label}
        </span>
      ))}
    </span>
  );
}

interface CardProps {
  title: string;
  headline: JSX.Element;
  series: ChartSeries[];
  data: (number | null)[][];
  range: Range;
}

function ChartCard({ title, headline, series, data, range }: CardProps): JSX.Element {
  return (
    <section class="card" aria-label={title}>
      <header>
        <h2>{title}</h2>
        <Legend series={series} />
      </header>
      <div class="body">
        <p class="headline">{headline}</p>
        <Chart label={`${title} over time`} data={data} series={series} start={range.start} end={range.end} group="overview" />
      </div>
    </section>
  );
}

function Charts({ overview, range }: { overview: Overview; range: Range }): JSX.Element {
  const s = overview.series;
  const requests = sum(s.requests);
  const errors = sum(s.errors);
  const seconds = Math.max(1, (range.end - range.start) / 1000);
  const output = sum(s.tokens_output);
  return (
    <div class="grid three">
      <ChartCard
        title="Requests"
        series={REQUESTS}
        range={range}
        data={[s.time_ms, s.requests, s.errors]}
        headline={
          <>
            {count(requests)} <small>requests, </small>
            <span class={errors > 0 ? 'error-text' : ''}>{percent(errors, requests)}</span> <small>errors ({count(errors)})</small>
          </>
        }
      />
      <ChartCard
        title="Latency"
        series={LATENCY}
        range={range}
        data={[s.time_ms, s.p99_ns, s.p95_ns, s.p50_ns]}
        headline={
          <>
            {duration(latest(s.p95_ns))} <small>p95 latest, p50 {duration(latest(s.p50_ns))}, p99 {duration(latest(s.p99_ns))}</small>
          </>
        }
      />
      <ChartCard
        title="Tokens"
        series={TOKENS}
        range={range}
        data={[s.time_ms, s.tokens_output, s.tokens_input]}
        headline={
          <>
            {short(output)} <small>out ({short(output / seconds)}/s), {short(sum(s.tokens_input))} in</small>
          </>
        }
      />
    </div>
  );
}

function ErrorsCell({ errors, of }: { errors: number; of: number }): JSX.Element {
  if (errors === 0) return <td class="number muted">0</td>;
  return (
    <td class="number error-text" title={`${count(errors)} of ${count(of)}`}>
      {percent(errors, of)}
    </td>
  );
}

function Services({ services }: { services: ServiceRow[] }): JSX.Element {
  return (
    <section class="card table-card" aria-label="Services">
      <header>
        <h2>Services</h2>
      </header>
      <div class="scroll-x">
        <table>
          <thead>
            <tr>
              <th>Service</th>
              <th class="number">Requests</th>
              <th class="number">Errors</th>
              <th class="number">p50</th>
              <th class="number">p95</th>
              <th class="number optional">p99</th>
              <th class="number optional">Logs</th>
            </tr>
          </thead>
          <tbody>
            {services.map((row) => (
              <tr key={row.service} class="open">
                <td class="fill">
                  <a class="cover" data-row href={to('/traces', { service: row.service })}>
                    <Service name={row.service} />
                  </a>
                </td>
                <td class="number">{count(row.requests)}</td>
                <ErrorsCell errors={row.errors} of={row.requests} />
                <td class="number">{duration(row.p50_ns)}</td>
                <td class="number">{duration(row.p95_ns)}</td>
                <td class="number optional">{duration(row.p99_ns)}</td>
                <td class="number optional">{count(row.logs)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Slowest({ range }: { range: Range }): JSX.Element {
  const answer = useQuery<Traces>(address('traces', { from: range.from, to: range.to, order: 'slowest', limit: 6 }), { live: range.live });
  return (
    <section class="card table-card" aria-label="Slowest requests">
      <header>
        <h2>Slowest requests</h2>
        <a class="link spacer" href={to('/traces', { order: 'slowest' })}>
          All, slowest first
        </a>
      </header>
      <Await answer={answer}>
        {({ traces }) => (
          <div class="scroll-x">
            <table>
              <tbody>
                {traces.map((trace) => (
                  <tr key={trace.trace_id} class="open">
                    <td class="fill" title={trace.name}>
                      <a class="cover" data-row href={to(`/traces/${trace.trace_id}`)}>
                        {trace.name}
                      </a>
                    </td>
                    <td class="optional">
                      <Service name={trace.service} />
                    </td>
                    <td>{trace.errors > 0 && <span class="badge error">{plural(trace.errors, 'error')}</span>}</td>
                    <td class="number muted optional">{plural(trace.spans, 'span')}</td>
                    <td class="number">{duration(trace.duration_ns)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Await>
    </section>
  );
}

function Operations({ operations }: { operations: OperationRow[] }): JSX.Element {
  const [all, setAll] = useState(false);
  const sorted = [...operations].sort((a, b) => b.total_ns - a.total_ns);
  const total = sorted.reduce((ns, row) => ns + row.total_ns, 0);
  return (
    <section class="card table-card" aria-label="Operations">
      <header>
        <h2>Operations by total time</h2>
      </header>
      <div class="scroll-x">
        <table>
          <thead>
            <tr>
              <th>Operation</th>
              <th class="optional">Service</th>
              <th class="number">Calls</th>
              <th class="number">Errors</th>
              <th class="number">p50</th>
              <th class="number">p95</th>
              <th class="number optional">p99</th>
              <th class="number">Total time</th>
              <th>
                <span class="hidden-text">Why</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {sorted.slice(0, all ? undefined : OPERATIONS_SHOWN).map((row) => (
              <tr key={`${row.service} ${row.name}`} class={`open hue-${hue(row.service)}`}>
                <td class="fill">
                  <a class="cover" data-row href={to('/traces', { service: row.service, q: nameFilter(row.name), order: 'slowest' })}>
                    {row.name}
                  </a>
                </td>
                <td class="optional">
                  <Service name={row.service} />
                </td>
                <td class="number">{count(row.count)}</td>
                <ErrorsCell errors={row.errors} of={row.count} />
                <td class="number">{duration(row.p50_ns)}</td>
                <td class="number">{duration(row.p95_ns)}</td>
                <td class="number optional">{duration(row.p99_ns)}</td>
                <td class="number">
                  {duration(row.total_ns)}
                  <Share part={row.total_ns} whole={total} />
                </td>
                <td>
                  <a class="link above" href={to('/why', { service: row.service, operation: row.name })} title={`Where the time of ${row.name} goes, and what makes the slow ones slow`}>
                    Why
                    <span class="hidden-text"> {row.name}</span>
                  </a>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {sorted.length > OPERATIONS_SHOWN && (
        <div class="more">
          <button type="button" class="button small" onClick={() => setAll(!all)}>
            {all ? 'Show fewer' : `Show all ${sorted.length}`}
          </button>
        </div>
      )}
    </section>
  );
}

function nameFilter(name: string): string {
  return `name = "${name.replace(/[\\"]/g, '\\$&')}"`;
}

function StoreState(): JSX.Element {
  const answer = useQuery<Status>(address('status'));
  return (
    <Await answer={answer}>
      {({ store, received, started_ms, version }) => (
        <section class="card store-state" aria-label="Store and receiving">
          <span title="Since the server started">
            <b>{count(received.spans)}</b> spans, <b>{count(received.logs)}</b> logs, <b>{count(received.points)}</b> points received
            {received.refused > 0 && (
              <>
                ,{' '}
                <a class="error-text" href={to('/doctor')}>
                  <b>{count(received.refused)}</b> refused
                </a>
              </>
            )}
          </span>
          <span title={store.folder ?? 'In memory'}>
            Store <b>{bytes(store.bytes)}</b>
            {store.bytes_max !== null && ` of ${bytes(store.bytes_max)}`} in {plural(store.segments, 'segment')}, {count(store.rows_in_memory)} rows in memory
          </span>
          <span class="muted">
            sonde {version}, started {ago(started_ms)}
          </span>
        </section>
      )}
    </Await>
  );
}

/** What this file is, and what is not in it. */
function BundleState({ bundle }: { bundle: Manifest }): JSX.Element {
  return (
    <section class="card store-state" aria-label="This bundle">
      <span>
        A file, made by <b>sonde {bundle.version}</b> on {moment(bundle.made_ms)}, with secrets replaced
      </span>
      <span>
        <b>{plural(bundle.traces, 'trace')}</b> with their spans
      </span>
      {bundle.left_out.length > 0 && <span>Left out: {bundle.left_out.join('; ')}</span>}
      <span class="muted">Not live: comparing, SQL, PromQL and filters of several conditions take a collector</span>
    </section>
  );
}

export function OverviewPage(): JSX.Element {
  const range = useRange();
  const answer = useQuery<Overview>(address('overview', { from: range.from, to: range.to, buckets: 60 }), { live: range.live });
  return (
    <Page title="Overview">
      <Await answer={answer}>
        {(overview) =>
          overview.services.length === 0 ? (
            <NothingYet title="Nothing received in this range of time" />
          ) : (
            <>
              {overview.is_estimated && (
                <p class="muted">Estimates: a sample of the traces is kept, and each span stands for those like it that were not. Numbers of logs are counts.</p>
              )}
              <Charts overview={overview} range={range} />
              <div class="grid halves">
                <Services services={overview.services} />
                <Slowest range={range} />
              </div>
              <Operations operations={overview.operations} />
            </>
          )
        }
      </Await>
      {BUNDLE ? <BundleState bundle={BUNDLE} /> : <StoreState />}
    </Page>
  );
}
