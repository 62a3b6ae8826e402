// Answers to PromQL: lines over the page's time, a table of what is now, and where in the query it is wrong.

import type { JSX, RefObject } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { measured } from '../format';
import { type Place, type PromAnswer, type Series, aligned, asTable, atEnd, names, numberOf, offsetOf, overRange, placeOf, stepOf } from '../promql';
import { useQuery } from '../query';
import { to } from '../router';
import { useRange } from '../time';
import { Chart, type ChartSeries } from './chart';
import { Legend, type Line, lineStyle, useHidden } from './legend';
import { ResultTable } from './result-table';
import { Await, Empty, Problem, Words } from './states';

/** Lines of one chart. */
const LINES_MAX = 50;

interface ProblemProps {
  query: string;
  error: Error;
  again: () => void;
  /** Puts the cursor there. */
  onPlace?: ((offset: number) => void) | undefined;
}

/** What is wrong with a query, at the place where it is. */
export function QueryProblem({ query, error, again, onPlace }: ProblemProps): JSX.Element {
  const place = placeOf(error.message);
  if (place === null) return <Problem error={error} again={again} />;
  const line = Array.from(query.split('\n')[place.line - 1] ?? '');
  const at = place.column - 1;
  return (
    <div class="problem" role="alert">
      <strong>
        <Words text={place.words} />
      </strong>
      <pre class="mono query-place">
        {line.slice(0, at).join('')}
        <mark>{line[at] ?? ' '}</mark>
        {line.slice(at + 1).join('')}
      </pre>
      <span class="row">
        <span class="muted">{said(place)}</span>
        {onPlace && (
          <button type="button" class="button small" onClick={() => onPlace(offsetOf(query, place))}>
            Go there
          </button>
        )}
      </span>
    </div>
  );
}

function said({ line, column }: Place): string {
  return `Line ${line}, column ${column}`;
}

function useWidth(): [RefObject<HTMLDivElement | null>, number] {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    setWidth(element.clientWidth);
    return () => observer.disconnect();
  }, []);
  return [box, width];
}

interface LinesProps {
  query: string;
  /** What it is measured in, as UCUM writes it; a query does not say. */
  unit?: string;
  height?: number;
  onPlace?: (offset: number) => void;
}

export function PromLines({ query, unit = '', height = 300, onPlace }: LinesProps): JSX.Element {
  const range = useRange();
  const [box, width] = useWidth();
  const step = stepOf(range, width);
  const answer = useQuery<PromAnswer>(width === 0 ? null : overRange(query, range, step), { live: range.live });
  return (
    <div ref={box}>
      <Await answer={answer} problem={(error) => <QueryProblem query={query} error={error} again={answer.again} onPlace={onPlace} />}>
        {({ data }) => answer.error === null && data.resultType === 'matrix' && <Lines query={query} series={data.result} step={step} unit={unit} height={height} />}
      </Await>
    </div>
  );
}

function linesOf(series: Series[]): Line[] {
  const called = names(series.map((one) => one.metric));
  return series.map((one, index) => ({ label: called[index] ?? '', ...lineStyle(index), values: new Map((one.values ?? []).map(([seconds, value]) => [seconds, numberOf(value)])) }));
}

function Lines({ query, series, step, unit, height }: { query: string; series: Series[]; step: number; unit: string; height: number }): JSX.Element {
  const range = useRange();
  const [hidden, toggle] = useHidden();
  const shown = useMemo(() => series.filter((one) => one.values).slice(0, LINES_MAX), [series]);
  const lines = useMemo(() => linesOf(shown), [shown]);
  const isVisible = (_: unknown, index: number) => !hidden.has(lines[index]?.label ?? '');
  const data = useMemo(() => aligned(shown.filter(isVisible), step), [shown, hidden, step]);
  const format = (value: number | null) => measured(value, unit);
  const drawn: ChartSeries[] = lines.filter(isVisible).map(({ label, variable, dash }) => ({ label, variable, format, binary: unit === 'By', ...(dash ? { dash: [5, 4] } : {}) }));
  if (series.length === 0) {
    return (
      <Empty title="Nothing matches in this range of time">
        <p class="muted">
          If something came earlier, widen the range of time. <a href={to('/metrics')}>Metrics</a> has what is measured, and queries to start from.
        </p>
      </Empty>
    );
  }
  if (shown.length === 0) {
    return (
      <Empty title="These are histograms themselves, and no lines">
        <p class="muted">
          Take a number of them: <code>histogram_quantile(0.95, {query})</code>, or look at the values.
        </p>
      </Empty>
    );
  }
  return (
    <>
      <Chart label={`${query} over time`} data={data} series={drawn} start={range.start} end={range.end} height={height} />
      <Legend lines={lines} hidden={hidden} format={format} onToggle={toggle} />
      {series.length > shown.length && (
        <p class="muted">
          The first {shown.length} of {series.length} series. <code>sum by (label) (…)</code> adds them up, <code>topk(10, …)</code> takes the largest.
        </p>
      )}
    </>
  );
}

/** What a query is at the end of the page's time. */
export function PromTable({ query, onPlace }: Pick<LinesProps, 'query' | 'onPlace'>): JSX.Element {
  const range = useRange();
  const answer = useQuery<PromAnswer>(atEnd(query, range), { live: range.live });
  return (
    <Await answer={answer} problem={(error) => <QueryProblem query={query} error={error} again={answer.again} onPlace={onPlace} />}>
      {({ data }) => {
        if (answer.error !== null) return null;
        const table = asTable(data);
        return table.rows.length === 0 ? <Empty title="Nothing matches at the end of this range of time" /> : <ResultTable answer={table} />;
      }}
    </Await>
  );
}
