// The strip above a waterfall: the whole trace in small, the part of it that is visible, and a ruler for that part.

import { duration } from '../format';
import { hueVariable } from '../palette';
import { color } from '../theme';
import { type Sight, ticks, xOf } from './draw';
import { type Model, isError } from './model';

export const SMALL_PX = 44;
export const RULER_PX = 22;
const LEVELS = 10;

/** The trace in small, drawn once and copied for every frame: with 100,000 spans that is what makes panning cheap. */
export function drawSmall(model: Model, width: number): HTMLCanvasElement {
  const ratio = devicePixelRatio || 1;
  const canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = SMALL_PX * ratio;
  const context = canvas.getContext('2d');
  if (!context) return canvas;
  context.scale(ratio, ratio);
  const scale = width / (model.end - model.start);
  const level = (SMALL_PX - 6) / LEVELS;
  // What lies on the same pixel of the same level is drawn once.
  const reached = new Float64Array(LEVELS).fill(-1);
  const errors: number[] = [];
  model.spans.forEach((span, index) => {
    const at = Math.min(LEVELS - 1, model.depth[index] as number);
    const left = (span.offset_ns - model.start) * scale;
    const right = Math.max(left + 1, left + span.duration_ns * scale);
    if (isError(span)) errors.push(left);
    if (right <= (reached[at] as number) + 0.5) return;
    const from = Math.max(left, reached[at] as number);
    reached[at] = right;
    context.fillStyle = color(hueVariable(span.service));
    context.fillRect(from, 3 + at * level, right - from, Math.max(1.5, level - 1));
  });
  context.fillStyle = color('--error');
  for (const left of errors) context.fillRect(left, SMALL_PX - 4, 2, 4);
  return canvas;
}

export function drawHead(context: CanvasRenderingContext2D, sight: Sight, small: HTMLCanvasElement, width: number, drag: [number, number] | null): void {
  const { model, names } = sight;
  const inner = width - names;
  context.drawImage(small, names, 0, inner, SMALL_PX);
  const x = (ns: number) => names + ((ns - model.start) / (model.end - model.start)) * inner;
  const [left, right] = [x(sight.from), x(sight.until)];
  context.fillStyle = color('--bg');
  context.globalAlpha = 0.72;
  context.fillRect(names, 0, Math.max(0, left - names), SMALL_PX);
  context.fillRect(right, 0, Math.max(0, width - right), SMALL_PX);
  context.globalAlpha = 1;
  if (right - left < inner - 1) {
    context.strokeStyle = color('--accent-line');
    context.lineWidth = 1.5;
    context.strokeRect(left, 1, Math.max(2, right - left), SMALL_PX - 2);
  }
  context.fillStyle = color('--line');
  context.fillRect(0, SMALL_PX, width, 1);
  context.font = '11px system-ui, sans-serif';
  context.textBaseline = 'middle';
  for (const at of ticks(sight.from, sight.until, inner)) {
    const tick = Math.round(xOf(sight, at, width));
    context.fillStyle = color('--line-strong');
    context.fillRect(tick, SMALL_PX + RULER_PX - 5, 1, 5);
    context.fillStyle = color('--muted');
    const label = duration(at);
    if (tick + 4 + context.measureText(label).width < width) context.fillText(label, tick + 4, SMALL_PX + RULER_PX / 2);
  }
  if (drag) {
    context.fillStyle = color('--accent-line');
    context.globalAlpha = 0.25;
    context.fillRect(Math.min(...drag), 0, Math.abs(drag[1] - drag[0]), SMALL_PX + RULER_PX);
    context.globalAlpha = 1;
  }
}
