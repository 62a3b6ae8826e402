// Every trace as a dot: when it started and how long it took, on a logarithmic axis. Errors are crosses, not only red.

import type { JSX, TargetedPointerEvent } from 'preact';
import { useRef, useState } from 'preact/hooks';
import type { TraceRow } from '../api';
import { clock, duration, plural } from '../format';
import { hueVariable } from '../palette';
import { navigate, to } from '../router';
import { color, useTheme } from '../theme';
import { setFixed } from '../time';
import { useCanvas } from './canvas';
import { placeTip } from './chart-tip';

interface Props {
  traces: TraceRow[];
  start: number;
  end: number;
}

const LEFT = 62;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 22;
const NEAR_PX = 12;
const DRAG_PX_MIN = 5;

interface Scales {
  x: (ms: number) => number;
  y: (ns: number) => number;
  ms: (x: number) => number;
  low: number;
  high: number;
}

function scales({ traces, start, end }: Props, width: number, height: number): Scales {
  let shortest = Number.POSITIVE_INFINITY;
  let longest = 1;
  for (const { duration_ns } of traces) {
    shortest = Math.min(shortest, Math.max(duration_ns, 1));
    longest = Math.max(longest, duration_ns);
  }
  const low = Math.log10(Math.min(shortest, longest)) - 0.12;
  const high = Math.max(Math.log10(longest) + 0.12, low + 0.5);
  const inner = Math.max(1, width - LEFT - RIGHT);
  return {
    x: (ms) => LEFT + (inner * (ms - start)) / (end - start),
    y: (ns) => TOP + (height - TOP - BOTTOM) * (1 - (Math.log10(Math.max(ns, 1)) - low) / (high - low)),
    ms: (x) => start + ((x - LEFT) / inner) * (end - start),
    low,
    high,
  };
}

/** Round durations for the axis: every power of ten, and 2 and 5 between while there is room. */
function marks(low: number, high: number): number[] {
  const factors = high - low > 3 ? [1] : high - low > 1.4 ? [1, 3] : [1, 2, 5];
  const found: number[] = [];
  for (let power = Math.floor(low); power <= high; power += 1) {
    for (const factor of factors) {
      const value = factor * 10 ** power;
      if (Math.log10(value) >= low && Math.log10(value) <= high) found.push(value);
    }
  }
  return found;
}

function drawAxes(context: CanvasRenderingContext2D, s: Scales, { start, end }: Props, width: number, height: number): void {
  context.font = '11px system-ui, sans-serif';
  context.fillStyle = color('--faint');
  context.strokeStyle = color('--line');
  context.lineWidth = 1;
  context.textAlign = 'right';
  context.textBaseline = 'middle';
  for (const ns of marks(s.low, s.high)) {
    const y = Math.round(s.y(ns)) + 0.5;
    context.beginPath();
    context.moveTo(LEFT, y);
    context.lineTo(width - RIGHT, y);
    context.stroke();
    context.fillText(duration(ns), LEFT - 8, y);
  }
  context.textBaseline = 'bottom';
  const steps = Math.max(2, Math.floor((width - LEFT) / 150));
  for (let step = 0; step <= steps; step += 1) {
    const ms = start + ((end - start) * step) / steps;
    context.textAlign = step === 0 ? 'left' : step === steps ? 'right' : 'center';
    context.fillText(clock(ms, false).slice(0, end - start > 1_800_000 ? -3 : undefined), s.x(ms), height - 4);
  }
}

function drawTrace(context: CanvasRenderingContext2D, x: number, y: number, trace: TraceRow, large: boolean): void {
  const size = large ? 6 : 3.5;
  if (trace.errors > 0) {
    context.strokeStyle = color('--error');
    context.lineWidth = large ? 2.5 : 1.8;
    context.beginPath();
    context.moveTo(x - size, y - size);
    context.lineTo(x + size, y + size);
    context.moveTo(x + size, y - size);
    context.lineTo(x - size, y + size);
    context.stroke();
    return;
  }
  context.globalAlpha = large ? 1 : 0.72;
  context.fillStyle = color(hueVariable(trace.service));
  context.beginPath();
  context.arc(x, y, size, 0, 7);
  context.fill();
  context.globalAlpha = 1;
}

function Tip({ trace }: { trace: TraceRow }): JSX.Element {
  return (
    <>
      <b>{trace.name}</b>
      <div class="muted">
        {trace.service}, {clock(trace.start_ms)}
      </div>
      <div>
        {duration(trace.duration_ns)}, {plural(trace.spans, 'span')}
        {trace.errors > 0 && <span class="error-text">, {plural(trace.errors, 'error')}</span>}
      </div>
    </>
  );
}

/** The trace whose dot is nearest to the pointer, if one is near. */
function nearest(props: Props, canvas: HTMLCanvasElement, event: PointerEvent): TraceRow | null {
  const s = scales(props, canvas.clientWidth, canvas.clientHeight);
  let found: TraceRow | null = null;
  let best = NEAR_PX;
  for (const trace of props.traces) {
    const distance = Math.hypot(s.x(trace.start_ms) - event.offsetX, s.y(trace.duration_ns) - event.offsetY);
    if (distance < best) [best, found] = [distance, trace];
  }
  return found;
}

function shade(context: CanvasRenderingContext2D, { from, to }: Drag, height: number): void {
  context.fillStyle = color('--accent-line');
  context.globalAlpha = 0.18;
  context.fillRect(from, TOP, to - from, height - TOP - BOTTOM);
  context.globalAlpha = 1;
}

interface Drag {
  from: number;
  to: number;
}

export function Scatter(props: Props): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  const drag = useRef<Drag | null>(null);
  const [over, setOver] = useState<TraceRow | null>(null);
  useTheme();
  const request = useCanvas(canvas, (context, width, height) => {
    const s = scales(props, width, height);
    drawAxes(context, s, props, width, height);
    for (const trace of props.traces) drawTrace(context, s.x(trace.start_ms), s.y(trace.duration_ns), trace, trace === over);
    if (drag.current) shade(context, drag.current, height);
  });

  const onDown = (event: TargetedPointerEvent<HTMLCanvasElement>) => {
    drag.current = { from: event.offsetX, to: event.offsetX };
    event.currentTarget.setPointerCapture(event.pointerId);
  };
  const onMove = (event: TargetedPointerEvent<HTMLCanvasElement>) => {
    if (drag.current) {
      drag.current.to = event.offsetX;
      request();
      return;
    }
    setOver(nearest(props, event.currentTarget, event));
    if (tip.current) placeTip(tip.current, event.clientX, event.clientY);
  };
  const onUp = (event: TargetedPointerEvent<HTMLCanvasElement>) => {
    const dragged = drag.current;
    drag.current = null;
    if (dragged && Math.abs(dragged.to - dragged.from) > DRAG_PX_MIN) {
      const s = scales(props, event.currentTarget.clientWidth, 1);
      setFixed(s.ms(Math.min(dragged.from, dragged.to)), s.ms(Math.max(dragged.from, dragged.to)));
      return;
    }
    const trace = nearest(props, event.currentTarget, event);
    if (trace) navigate(to(`/traces/${trace.trace_id}`));
  };

  return (
    <div class="scatter">
      <canvas
        ref={canvas}
        role="img"
        aria-label={`${plural(props.traces.length, 'trace')} by start and duration; the table below lists the same`}
        class={over ? 'pointing' : ''}
        onPointerDown={onDown}
        onPointerMove={onMove}
        onPointerUp={onUp}
        onPointerCancel={() => (drag.current = null)}
        onPointerLeave={() => setOver(null)}
      />
      <div ref={tip} class="tip" hidden={over === null}>
        {over && <Tip trace={over} />}
      </div>
    </div>
  );
}
