// Why many requests took as long as they did: of a service, an operation, a version, a time; and what the slow ones have
// that the typical ones have not.

import type { JSX } from 'preact';
import { type Slow, type WhySelection, address } from '../api';
import { BUNDLE } from '../bundle';
import { count, duration, plural } from '../format';
import { SearchField } from '../parts/bits';
import { ComparisonBody } from '../parts/comparison';
import { Page } from '../parts/shell';
import { Await, Words } from '../parts/states';
import { AccountBody } from '../parts/why';
import { useQuery } from '../query';
import { setParams, to, usePlace } from '../router';
import { useRange } from '../time';
import { ServiceChoice } from './traces';

function Facts({ answer }: { answer: WhySelection }): JSX.Element {
  const { durations, read } = answer;
  return (
    <div class="trace-facts">
      <span>
        <b>{count(durations.requests)}</b> {durations.requests === 1 ? 'request' : 'requests'}
      </span>
      <span>
        median <b>{duration(durations.p50_ns)}</b>
      </span>
      <span>
        p95 <b>{duration(durations.p95_ns)}</b>
      </span>
      <span class="muted">longest {duration(durations.max_ns)}</span>
      <span class={durations.errors > 0 ? 'error-text' : 'muted'}>{plural(durations.errors, 'error')}</span>
      <span class="muted">
        {read.of_traces === read.traces ? plural(read.traces, 'trace') : `the newest ${count(read.traces)} of ${read.of_traces === null ? 'more' : count(read.of_traces)} traces`}, {plural(read.spans, 'span')} read
      </span>
    </div>
  );
}

function SlowOnes({ slow }: { slow: Slow }): JSX.Element {
  return (
    <section class="card why" aria-label="The slow ones">
      <header>
        <h2>The slow ones against the typical ones</h2>
        {slow.kind === 'compared' && (
          <span class="muted">
            {duration(slow.slow_at_least_ns)} and more (the slowest twentieth) against at most {duration(slow.typical_at_most_ns)} (the faster half)
          </span>
        )}
      </header>
      {slow.kind === 'compared' ? (
        <ComparisonBody comparison={slow.comparison} />
      ) : (
        <div class="why-body">
          <p class="verdict">
            <span class="badge warn">Not compared</span> <Words text={slow.because} />.
          </p>
        </div>
      )}
    </section>
  );
}

export function WhyPage(): JSX.Element {
  const { params } = usePlace();
  const range = useRange();
  const [q, service, operation, version] = ['q', 'service', 'operation', 'version'].map((name) => params.get(name) ?? '') as [string, string, string, string];
  const asked = { q, service, operation, version };
  // What it is made of is much, so it is asked for again only when somebody asks.
  const answer = useQuery<WhySelection>(address('why', { ...asked, from: range.from, to: range.to }), { live: false });
  const title = operation === '' ? 'Why' : operation;
  return (
    <Page
      tab={`Why ${operation}`}
      title={
        operation === '' ? (
          title
        ) : (
          <>
            <a class="muted" href={to('/why')}>
              Why
            </a>{' '}
            <span class="muted">/</span> {operation}
          </>
        )
      }
      actions={
        !BUNDLE && (
          <button type="button" class="button" onClick={answer.again}>
            Ask again
          </button>
        )
      }
    >
      <div class="filters">
        <SearchField code onEnter value={q} label="Filter of requests" placeholder='gpu.op = "softmax"' onChange={(next) => setParams({ q: next }, false)} />
        <ServiceChoice range={range} value={service} />
        <SearchField plain onEnter value={operation} label="Operation" placeholder="Operation: all requests" onChange={(next) => setParams({ operation: next }, false)} />
        <SearchField plain onEnter value={version} label="Version" placeholder="Version: any" onChange={(next) => setParams({ version: next }, false)} />
      </div>
      <Await answer={answer}>
        {(found) => (
          <>
            <Facts answer={found} />
            <section class="card why" aria-label="Where their time went">
              <AccountBody account={found} traceId={null} />
            </section>
            <SlowOnes slow={found.slow} />
          </>
        )}
      </Await>
    </Page>
  );
}
