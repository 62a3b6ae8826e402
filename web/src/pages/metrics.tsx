// Metrics: a question in PromQL, and a list to choose from, the chosen one as a chart with its series and exemplars.

import type { JSX } from 'preact';
import { type MetricRow, type Metrics, address } from '../api';
import { BUNDLE } from '../bundle';
import { SearchField } from '../parts/bits';
import { MetricChart } from '../parts/metric-chart';
import { Page } from '../parts/shell';
import { Await, Empty, NothingYet } from '../parts/states';
import { useQuery } from '../query';
import { setParams, usePlace, withParams } from '../router';
import { useRange } from '../time';
import { MetricsQuery } from './metrics-query';

function matches(metric: MetricRow, words: string): boolean {
  const hay = `${metric.name} ${metric.unit} ${metric.kind} ${metric.services.join(' ')}`.toLowerCase();
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => hay.includes(word));
}

function Item({ metric, chosen }: { metric: MetricRow; chosen: boolean }): JSX.Element {
  return (
    <li>
      <a data-row class="metric-item" href={withParams({ name: metric.name, stat: null })} {...(chosen ? { 'aria-current': 'true' as const } : {})}>
        <span class="clip">{metric.name}</span>
        <small class="muted">
          {metric.kind}
          {metric.unit !== '' && metric.unit !== '1' && `, ${metric.unit}`}, {metric.series} series
        </small>
      </a>
    </li>
  );
}

function Explorer({ metrics }: { metrics: MetricRow[] }): JSX.Element {
  const { params } = usePlace();
  const words = params.get('filter') ?? '';
  const shown = metrics.filter((metric) => matches(metric, words)).sort((a, b) => (a.name < b.name ? -1 : 1));
  const name = params.get('name') ?? shown[0]?.name;
  return (
    <div class="explorer">
      <section class="card metric-list" aria-label="Metrics">
        <div class="filters">
          <SearchField value={words} label="Filter of metrics" placeholder="Name, unit, service" onChange={(filter) => setParams({ filter })} />
        </div>
        <ul>
          {shown.map((metric) => (
            <Item key={metric.name} metric={metric} chosen={metric.name === name} />
          ))}
        </ul>
        {shown.length === 0 && <Empty title="No metric matches" />}
      </section>
      {name !== undefined && <MetricChart key={name} name={name} />}
    </div>
  );
}

export function MetricsPage(): JSX.Element {
  const range = useRange();
  const { params } = usePlace();
  const answer = useQuery<Metrics>(address('metrics', { from: range.from, to: range.to }), { live: range.live });
  // Where nothing is measured there is nothing to ask, except by who brought a question along.
  const isAsked = !BUNDLE && (params.has('query') || (answer.data?.metrics.length ?? 0) > 0);
  return (
    <Page title="Metrics">
      {isAsked && <MetricsQuery />}
      <Await answer={answer}>{({ metrics }) => (metrics.length === 0 ? <NothingYet title="No metrics in this range of time" /> : <Explorer metrics={metrics} />)}</Await>
    </Page>
  );
}
