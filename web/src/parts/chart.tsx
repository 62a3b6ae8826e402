// A chart over time: uPlot with this page's colours, a tooltip, ranges by dragging, and exemplars that are links.

import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { clock } from '../format';
import { color, useTheme } from '../theme';
import { setFixed } from '../time';
import { chartTip } from './chart-tip';

export interface ChartSeries {
  label: string;
  /** The custom property with its colour. */
  variable: string;
  shape?: 'line' | 'area' | 'bars';
  format: (value: number | null) => string;
  dash?: number[];
  /** Bytes: steps of the axis are powers of two. */
  binary?: boolean;
}

export interface Dot {
  time_ms: number;
  value: number;
  href: string;
  words: string;
}

interface Props {
  label: string;
  /** Milliseconds, then the values of each series. */
  data: (number | null)[][];
  series: ChartSeries[];
  start: number;
  end: number;
  height?: number;
  dots?: Dot[];
  /** Charts of one group show the same moment. */
  group?: string;
}

const NO_DOTS: Dot[] = [];

export function Chart({ label, data, series, start, end, height = 150, dots = NO_DOTS, group }: Props): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const view = useRef({ start, end, dots, series });
  view.current = { start, end, dots, series };
  const theme = useTheme();
  const shape = series.map((one) => `${one.label} ${one.variable} ${one.shape}`).join('\n');

  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const made = new uPlot(options(view, element.clientWidth, height, group), data as uPlot.AlignedData, element);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, height, group]);

  useEffect(() => plot.current?.setData(data as uPlot.AlignedData), [data, start, end, dots]);
  useEffect(() => plot.current?.redraw(false), [theme]);

  return <div ref={box} class="chart" role={dots.length > 0 ? 'group' : 'img'} aria-label={label} style={{ height: `${height}px` }} />;
}

interface View {
  start: number;
  end: number;
  dots: Dot[];
  series: ChartSeries[];
}

function options(view: { current: View }, width: number, height: number, group: string | undefined): uPlot.Options {
  const series = view.current.series;
  return {
    width,
    height,
    ms: 1,
    legend: { show: false },
    padding: [8, 8, 0, 0],
    cursor: {
      y: false,
      points: { size: 6 },
      drag: { x: true, y: false, setScale: false },
      ...(group === undefined ? {} : { sync: { key: group } }),
    },
    scales: {
      x: { time: true, range: () => [view.current.start, view.current.end] },
      y: { range: (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.08 : 1] },
    },
    axes: [timeAxis(), valueAxis(series)],
    series: [{}, ...series.map(drawn)],
    hooks: {
      setSelect: [select],
      draw: [(u) => placeDots(u, view.current.dots)],
    },
    plugins: [chartTip(() => view.current.series)],
  };
}

const GRID = { width: 1, stroke: () => color('--line') };
const FONT = '11px system-ui, sans-serif';

function timeAxis(): uPlot.Axis {
  return {
    stroke: () => color('--faint'),
    font: FONT,
    size: 24,
    gap: 4,
    space: 76,
    grid: { show: false },
    ticks: { ...GRID, size: 4 },
    values: (_, splits, __, ___, step) =>
      splits.map((ms) => {
        if (step >= 86_400_000) return new Date(ms).toLocaleDateString(undefined, { day: '2-digit', month: 'short' });
        const time = clock(ms, false).slice(-8);
        return step >= 60_000 ? time.slice(0, 5) : time;
      }),
  };
}

const POWERS_OF_TWO = Array.from({ length: 50 }, (_, power) => 2 ** power);

/** `1.50 s` beside `2 s` is noise on an axis. */
function trimmed(words: string): string {
  return words.replace(/(\.\d*?)0+(\D|$)/, '$1$2').replace(/\.(\D|$)/, '$1');
}

function valueAxis(series: ChartSeries[]): uPlot.Axis {
  const format = series[0]?.format ?? String;
  return {
    stroke: () => color('--faint'),
    font: FONT,
    size: 62,
    gap: 6,
    space: 34,
    grid: GRID,
    ticks: { show: false },
    ...(series[0]?.binary ? { incrs: POWERS_OF_TWO } : {}),
    values: (_, splits) => splits.map((value) => (value === 0 ? '0' : trimmed(format(value)))),
  };
}

function drawn({ label, variable, shape = 'line', dash }: ChartSeries): uPlot.Series {
  const bars = uPlot.paths.bars;
  return {
    label,
    stroke: () => color(variable),
    width: shape === 'bars' ? 0 : 1.5,
    points: { show: shape === 'bars' ? false : lonely },
    ...(dash ? { dash } : {}),
    ...(shape === 'line' ? {} : { fill: () => (shape === 'bars' ? color(variable) : `${color(variable)}2e`) }),
    ...(shape === 'bars' && bars ? { paths: bars({ size: [0.82, 24], align: 1 }) } : {}),
  };
}

/** Points that no line reaches would not be seen. */
function lonely(u: uPlot, index: number): boolean {
  let there = 0;
  for (const value of u.data[index] ?? []) if (value !== null) there += 1;
  return there > 0 && there <= 3;
}

function select(u: uPlot): void {
  if (u.select.width < 4) return;
  setFixed(u.posToVal(u.select.left, 'x'), u.posToVal(u.select.left + u.select.width, 'x'));
  u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
}

/** Exemplars are links over the chart, so that they can be reached by the keyboard too. */
function placeDots(u: uPlot, dots: Dot[]): void {
  const old = [...u.over.querySelectorAll<HTMLAnchorElement>('a.exemplar')];
  const yMax = u.scales['y']?.max ?? 0;
  dots.forEach((dot, index) => {
    const link = old[index] ?? u.over.appendChild(document.createElement('a'));
    link.className = 'exemplar';
    link.href = dot.href;
    link.title = dot.words;
    link.setAttribute('aria-label', dot.words);
    link.style.left = `${u.valToPos(dot.time_ms, 'x')}px`;
    // One above the chart's top stays at the edge rather than vanish.
    link.style.top = `${u.valToPos(Math.min(dot.value, yMax), 'y')}px`;
  });
  for (const link of old.slice(dots.length)) link.remove();
}
