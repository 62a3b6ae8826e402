// Traces: a filter over any span, a picture of how long requests took, and the list.

import type { JSX } from 'preact';
import { type Overview, type TraceRow, type Traces, address } from '../api';
import { BUNDLE } from '../bundle';
import { count, duration, plural } from '../format';
import { Choice, SearchField, Service, Share, Time } from '../parts/bits';
import { Scatter } from '../parts/scatter';
import { Page } from '../parts/shell';
import { Await, Empty, More, NothingYet } from '../parts/states';
import { useQuery } from '../query';
import { place, setParams, to, usePlace } from '../router';
import { type Range, useRange } from '../time';

const LIMIT = 400;
const LIMIT_MAX = 2000;

/** The services that sent something in this range, for choosing one. */
export function ServiceChoice({ range, value }: { range: Range; value: string }): JSX.Element {
  const { data } = useQuery<Overview>(address('overview', { from: range.from, to: range.to, buckets: 1 }), { live: false });
  const names = new Set((data?.services ?? []).map((row) => row.service));
  if (value !== '') names.add(value);
  const options = [...names].sort().map((name) => ({ value: name, words: name }));
  return <Choice label="Service" value={value} options={[{ value: '', words: 'All services' }, ...options]} onChange={(service) => setParams({ service }, false)} />;
}

/** The traces that were ticked, at most two, in the order in which they were. */
function ticked(): string[] {
  return (place().params.get('pick') ?? '').split(',').filter((id) => id !== '');
}

function tick(id: string): void {
  const others = ticked().filter((one) => one !== id);
  const next = ticked().includes(id) ? others : [...others.slice(-1), id];
  setParams({ pick: next.join(',') });
}

/** What can be done with the traces that were ticked. */
function Ticked(): JSX.Element | null {
  const [first, second] = ticked();
  if (!first) return null;
  return (
    <p class="ticked" role="status">
      {second ? (
        <a class="button" href={to('/compare', { a_trace: first, b_trace: second })}>
          Compare the two
        </a>
      ) : (
        <>
          <span>Tick another one to compare the two, or</span>{' '}
          <a class="button" href={to('/compare', { b_trace: first })}>
            Compare with typical ones
          </a>
        </>
      )}{' '}
      <button type="button" class="button plain" onClick={() => setParams({ pick: null })}>
        Clear
      </button>
    </p>
  );
}

function Row({ trace, slowest }: { trace: TraceRow; slowest: number }): JSX.Element {
  const others = trace.services.filter((name) => name !== trace.service);
  return (
    <tr class="open">
      <td class="tick" hidden={BUNDLE !== null}>
        <input type="checkbox" class="above" aria-label={`Compare ${trace.name}, ${duration(trace.duration_ns)}`} checked={ticked().includes(trace.trace_id)} onChange={() => tick(trace.trace_id)} />
      </td>
      <td class="time">
        <Time ms={trace.start_ms} />
      </td>
      <td class="fill">
        <a class="cover" data-row href={to(`/traces/${trace.trace_id}`)}>
          {trace.name}
        </a>
      </td>
      <td class="optional">
        <Service name={trace.service} />
        {others.length > 0 && (
          <span class="muted" title={others.join(', ')}>
            {' '}
            +{others.length}
          </span>
        )}
      </td>
      <td>{trace.errors > 0 && <span class="badge error">{plural(trace.errors, 'error')}</span>}</td>
      <td class="number optional">{count(trace.spans)}</td>
      <td class="number">
        {duration(trace.duration_ns)}
        <Share part={trace.duration_ns} whole={slowest} />
      </td>
    </tr>
  );
}

function Table({ traces }: { traces: TraceRow[] }): JSX.Element {
  const slowest = Math.max(...traces.map((trace) => trace.duration_ns));
  return (
    <div class="scroll-x">
      <table>
        <thead>
          <tr>
            <th hidden={BUNDLE !== null}>
              <span class="hidden-text">Compare</span>
            </th>
            <th>Start</th>
            <th>Request</th>
            <th class="optional">Service</th>
            <th>
              <span class="hidden-text">Errors</span>
            </th>
            <th class="number optional">Spans</th>
            <th class="number">Duration</th>
          </tr>
        </thead>
        <tbody>
          {traces.map((trace) => (
            <Row key={trace.trace_id} trace={trace} slowest={slowest} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Found({ answer, range, limit }: { answer: Traces; range: Range; limit: number }): JSX.Element {
  const { traces, more } = answer;
  return (
    <>
      <section class="card scatter-card" aria-label="Latency">
        <Scatter traces={traces} start={range.start} end={range.end} />
      </section>
      <section class="card" aria-label="Traces">
        <Table traces={traces} />
        {more === true && <More shown={traces.length} what="traces" onMore={limit < LIMIT_MAX && !BUNDLE ? () => setParams({ limit: LIMIT_MAX }) : undefined} />}
      </section>
      <Ticked />
    </>
  );
}

/** A bundle answers comparisons of one thing alone. */
const EXAMPLES = BUNDLE ? ['status = error', 'gpu.op = "softmax"'] : ['duration > 100ms', 'gpu.op = "softmax"', 'duration > 1s and http.response.status_code >= 500'];

function NoneFound(): JSX.Element {
  return (
    <Empty title="No trace matches">
      <p class="muted">A filter compares attributes, or name, service and duration, of any span of a trace. Some that work:</p>
      {EXAMPLES.map((q) => (
        <p key={q}>
          <a class="mono" href={to('/traces', { q })}>
            {q}
          </a>
        </p>
      ))}
      <p>
        <button type="button" class="button small" onClick={() => setParams({ q: null, service: null }, false)}>
          Clear the filter
        </button>
      </p>
    </Empty>
  );
}

export function TracesPage(): JSX.Element {
  const { params } = usePlace();
  const range = useRange();
  const q = params.get('q') ?? '';
  const service = params.get('service') ?? '';
  const order = params.get('order') === 'slowest' ? 'slowest' : 'recent';
  const limit = params.get('limit') === null ? LIMIT : LIMIT_MAX;
  const answer = useQuery<Traces>(address('traces', { q, service, order, from: range.from, to: range.to, limit }), { live: range.live });
  return (
    <Page title="Traces">
      <div class="filters">
        <SearchField code onEnter value={q} label="Filter of traces" placeholder={BUNDLE ? 'gpu.op = "softmax"' : 'duration > 100ms and gpu.op = "softmax"'} onChange={(next) => setParams({ q: next }, false)} />
        <ServiceChoice range={range} value={service} />
        <Choice
          label="Order"
          value={order}
          options={[
            { value: 'recent', words: 'Newest first' },
            { value: 'slowest', words: 'Slowest first' },
          ]}
          onChange={(next) => setParams({ order: next === 'recent' ? null : next }, false)}
        />
        <a class="button" href={to('/why', { q, service })} title="Where the time of all of them goes, and what makes the slow ones slow">
          Why
        </a>
      </div>
      <Await answer={answer}>
        {(found) => {
          if (found.traces.length > 0) return <Found answer={found} range={range} limit={limit} />;
          return q === '' && service === '' ? <NothingYet title="No traces in this range of time" /> : <NoneFound />;
        }}
      </Await>
    </Page>
  );
}
