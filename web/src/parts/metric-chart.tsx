// One metric over time. Of a histogram one quantile for every series, or all quantiles of the only one.

import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { type HistogramPoint, type Metric, type MetricSeries, type Step, address } from '../api';
import { measured, short } from '../format';
import { useQuery } from '../query';
import { setParams, to, usePlace } from '../router';
import { useRange } from '../time';
import { Choice } from './bits';
import { Chart, type ChartSeries, type Dot } from './chart';
import { Legend, type Line, lineStyle, useHidden } from './legend';
import { align, labels } from './series';
import { Await, Empty } from './states';

type Stat = 'p50' | 'p95' | 'p99' | 'mean' | 'rate';
const STATS: { value: Stat; words: string }[] = [
  { value: 'p50', words: 'p50' },
  { value: 'p95', words: 'p95' },
  { value: 'p99', words: 'p99' },
  { value: 'mean', words: 'Mean' },
  { value: 'rate', words: 'Rate' },
];

function isHistogram(metric: Metric): boolean {
  return metric.kind.includes('histogram');
}

function statOf([, count, sum, p50, p95, p99]: HistogramPoint, stat: Stat, stepMs: number): Step {
  switch (stat) {
    case 'p50':
      return p50;
    case 'p95':
      return p95;
    case 'p99':
      return p99;
    case 'mean':
      return sum === null || count === 0 ? null : sum / count;
    case 'rate':
      return count / (stepMs / 1000);
  }
}

function linesOf(metric: Metric, stat: Stat): Line[] {
  const names = labels(metric.series);
  if (!isHistogram(metric)) {
    return metric.series.map((one, index) => ({ label: names[index] ?? '', ...lineStyle(index), values: new Map(one.points.map(([ms, value]) => [ms, value])) }));
  }
  const of = (one: MetricSeries, wanted: Stat) => new Map((one.points as HistogramPoint[]).map((point) => [point[0], statOf(point, wanted, metric.step_ms)]));
  const [only] = metric.series;
  if (metric.series.length === 1 && only && stat !== 'rate' && stat !== 'mean') {
    return (['p99', 'p95', 'p50'] as const).map((wanted, index) => ({ label: wanted, ...lineStyle(index + 1), values: of(only, wanted) }));
  }
  return metric.series.map((one, index) => ({ label: names[index] ?? '', ...lineStyle(index), values: of(one, stat) }));
}

function Shown({ metric, stat }: { metric: Metric; stat: Stat }): JSX.Element {
  const range = useRange();
  const [hidden, toggle] = useHidden();
  const lines = useMemo(() => linesOf(metric, stat), [metric, stat]);
  const visible = lines.filter((line) => !hidden.has(line.label));
  const data = useMemo(() => align(visible.map((line) => line.values)), [lines, hidden]);
  const perSecond = metric.kind === 'counter' || metric.kind === 'sum';
  const format = stat === 'rate' && isHistogram(metric) ? (value: number | null) => `${short(value)}/s` : (value: number | null) => measured(value, metric.unit, perSecond);
  const series: ChartSeries[] = visible.map(({ label, variable, dash }) => ({ label, variable, format, binary: metric.unit === 'By', ...(dash ? { dash: [5, 4] } : {}) }));
  const dots = useMemo<Dot[]>(
    () =>
      stat === 'rate'
        ? []
        : metric.exemplars.map((one) => ({
            time_ms: one.time_ms,
            value: one.value,
            href: to(`/traces/${one.trace_id}`, { span: one.span_id }),
            words: `Exemplar ${measured(one.value, metric.unit)}: open the trace`,
          })),
    [metric, stat],
  );
  if (metric.series.length === 0) return <Empty title="Nothing was measured in this range of time" />;
  return (
    <>
      <Chart label={`${metric.name} over time`} data={data} series={series} dots={dots} start={range.start} end={range.end} height={300} />
      {dots.length > 0 && (
        <p class="muted exemplar-note">
          <i class="exemplar-sample" /> {dots.length} exemplars: each opens the trace in which it was measured.
        </p>
      )}
      <Legend lines={lines} hidden={hidden} format={format} onToggle={toggle} />
      {metric.more === true && <p class="muted">The first 50 series; there are more. SQL over the table <code>points</code> reaches all of them.</p>}
    </>
  );
}

export function MetricChart({ name }: { name: string }): JSX.Element {
  const range = useRange();
  const { params } = usePlace();
  const stat = STATS.find((one) => one.value === params.get('stat'))?.value ?? 'p95';
  const answer = useQuery<Metric>(address(`metrics/${encodeURIComponent(name)}`, { from: range.from, to: range.to, buckets: 120 }), { live: range.live });
  return (
    <section class="card metric-card" aria-label={name}>
      <Await answer={answer}>
        {(metric) => (
          <>
            <header>
              <h2>{metric.name}</h2>
              <span class="badge">{metric.kind}</span>
              {metric.unit !== '' && <span class="badge">{metric.unit}</span>}
              {isHistogram(metric) && (
                <span class="spacer">
                  <Choice label="Statistic" value={stat} options={STATS} onChange={(next) => setParams({ stat: next })} />
                </span>
              )}
            </header>
            <div class="body">
              <Shown metric={metric} stat={stat} />
            </div>
          </>
        )}
      </Await>
    </section>
  );
}
