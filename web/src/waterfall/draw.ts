// Draws the visible rows of a waterfall: names on the left, bars on the right. Costs what is on screen, not the trace.

import { duration } from '../format';
import { hueVariable } from '../palette';
import { said } from '../parts/bits';
import { color } from '../theme';
import { severityVariable } from './marks';
import { type Model, isError } from './model';
import { type Rows, logAt } from './rows';

export const ROW_PX = 24;
const INDENT_PX = 14;
/** Deeper ones are not indented further, so that names stay readable. */
const INDENTS_MAX = 18;
const BAR_PX = 14;
const LOG_CHARS_MAX = 300;

export interface Sight {
  model: Model;
  rows: Rows;
  collapsed: ReadonlySet<number>;
  /** The first visible pixel of the list. */
  top: number;
  /** Width of the column of names. */
  names: number;
  /** The visible stretch of time, in offsets. */
  from: number;
  until: number;
  selected: number;
  hovered: number;
  matches: ReadonlySet<number> | null;
  font: string;
}

/** Where a row's toggle is drawn, for drawing and for clicking. */
export function indent(model: Model, index: number): number {
  return 10 + Math.min(INDENTS_MAX, index < 0 ? 0 : (model.depth[index] as number)) * INDENT_PX;
}

export function drawRows(context: CanvasRenderingContext2D, sight: Sight, width: number, height: number): void {
  const first = Math.max(0, Math.floor(sight.top / ROW_PX));
  const last = Math.min(sight.rows.length, Math.ceil((sight.top + height) / ROW_PX));
  context.textBaseline = 'middle';
  for (let row = first; row < last; row += 1) {
    const y = row * ROW_PX - sight.top;
    drawBackground(context, sight, row, y, width);
  }
  drawGrid(context, sight, width, height);
  context.save();
  context.beginPath();
  context.rect(sight.names, 0, width - sight.names, height);
  context.clip();
  for (let row = first; row < last; row += 1) drawBar(context, sight, row, row * ROW_PX - sight.top, width);
  context.restore();
  context.save();
  context.beginPath();
  context.rect(0, 0, sight.names - 1, height);
  context.clip();
  for (let row = first; row < last; row += 1) drawName(context, sight, row, row * ROW_PX - sight.top);
  context.restore();
  context.fillStyle = color('--line');
  context.fillRect(sight.names - 1, 0, 1, height);
}

function drawBackground(context: CanvasRenderingContext2D, sight: Sight, row: number, y: number, width: number): void {
  const index = sight.rows.span[row] as number;
  const isSpan = (sight.rows.log[row] as number) < 0;
  if (isSpan && index === sight.selected) context.fillStyle = color('--accent-soft');
  else if (row === sight.hovered) context.fillStyle = color('--hover');
  else if (isSpan && sight.matches?.has(index)) context.fillStyle = color('--warn-soft');
  else return;
  context.fillRect(0, y, width, ROW_PX);
}

/** Round steps of time that leave room for their labels. */
export function ticks(from: number, until: number, width: number): number[] {
  const rough = (until - from) / Math.max(2, Math.floor(width / 110));
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const found: number[] = [];
  for (let at = Math.ceil(from / step) * step; at <= until; at += step) found.push(at);
  return found;
}

export function xOf(sight: Sight, ns: number, width: number): number {
  return sight.names + ((ns - sight.from) / (sight.until - sight.from)) * (width - sight.names);
}

function drawGrid(context: CanvasRenderingContext2D, sight: Sight, width: number, height: number): void {
  context.fillStyle = color('--line');
  context.globalAlpha = 0.7;
  for (const at of ticks(sight.from, sight.until, width - sight.names)) {
    const x = Math.round(xOf(sight, at, width));
    if (x > sight.names) context.fillRect(x, 0, 1, height);
  }
  context.globalAlpha = 1;
}

function drawName(context: CanvasRenderingContext2D, sight: Sight, row: number, y: number): void {
  const { model } = sight;
  const index = sight.rows.span[row] as number;
  const middle = y + ROW_PX / 2 + 0.5;
  const log = logAt(model, sight.rows, row);
  let x = indent(model, index);
  if (log) {
    context.fillStyle = color(severityVariable(log.severity));
    context.font = `${sight.font.replace('12px', '11px')}`;
    context.fillText(log.event_name || log.severity_text, x + 16, middle);
    return;
  }
  const span = model.spans[index];
  if (!span) return;
  context.fillStyle = color(hueVariable(span.service));
  context.fillRect(3, y + 5, 3, ROW_PX - 10);
  if ((model.below[index] as number) > 0) drawToggle(context, x, middle, sight.collapsed.has(index));
  x += 16;
  const hiddenError = sight.collapsed.has(index) && (model.errors[index] as number) > 0;
  if (isError(span) || hiddenError) {
    drawErrorMark(context, x + 5, middle, isError(span));
    x += 15;
  }
  context.font = sight.font;
  context.fillStyle = isError(span) ? color('--error') : color('--text');
  context.fillText(span.name, x, middle);
  if (sight.collapsed.has(index)) {
    const after = x + context.measureText(span.name).width + 8;
    context.fillStyle = color('--muted');
    context.fillText(`+${model.below[index]}`, after, middle);
  }
}

function drawToggle(context: CanvasRenderingContext2D, x: number, y: number, closed: boolean): void {
  context.fillStyle = color('--muted');
  context.beginPath();
  if (closed) {
    context.moveTo(x + 3, y - 4);
    context.lineTo(x + 8, y);
    context.lineTo(x + 3, y + 4);
  } else {
    context.moveTo(x + 1, y - 2.5);
    context.lineTo(x + 9, y - 2.5);
    context.lineTo(x + 5, y + 2.5);
  }
  context.fill();
}

/** A filled disc for an error, a ring for one that is hidden below: shape says it without colour. */
function drawErrorMark(context: CanvasRenderingContext2D, x: number, y: number, own: boolean): void {
  context.beginPath();
  context.arc(x, y, 5, 0, 7);
  if (!own) {
    context.strokeStyle = color('--error');
    context.lineWidth = 1.5;
    context.stroke();
    return;
  }
  context.fillStyle = color('--error');
  context.fill();
  context.fillStyle = color('--panel');
  context.fillRect(x - 0.75, y - 3, 1.5, 3.5);
  context.fillRect(x - 0.75, y + 1.5, 1.5, 1.5);
}

function drawBar(context: CanvasRenderingContext2D, sight: Sight, row: number, y: number, width: number): void {
  const { model } = sight;
  const log = logAt(model, sight.rows, row);
  if (log) {
    drawLog(context, sight, row, y, width);
    return;
  }
  const index = sight.rows.span[row] as number;
  const span = model.spans[index];
  if (!span) return;
  const left = xOf(sight, span.offset_ns, width);
  const right = xOf(sight, span.offset_ns + span.duration_ns, width);
  const shown = { left: Math.max(left, sight.names - 4), right: Math.min(Math.max(right, left + 2), width + 4) };
  const top = y + (ROW_PX - BAR_PX) / 2;
  if (shown.right > shown.left) {
    context.fillStyle = color(hueVariable(span.service));
    context.globalAlpha = sight.matches && !sight.matches.has(index) ? 0.4 : 1;
    context.beginPath();
    context.roundRect(shown.left, top, shown.right - shown.left, BAR_PX, Math.min(3, (shown.right - shown.left) / 2));
    context.fill();
    context.globalAlpha = 1;
    if (isError(span)) {
      context.strokeStyle = color('--error');
      context.lineWidth = 2;
      context.stroke();
    }
  }
  drawMarks(context, sight, index, top, width);
  drawDuration(context, sight, { left, right }, index, y, width);
}

/** Logs of a span as ticks on its bar, also while their rows are not shown. */
function drawMarks(context: CanvasRenderingContext2D, sight: Sight, index: number, top: number, width: number): void {
  for (const log of sight.model.logs.get(index) ?? []) {
    const x = xOf(sight, log.offset_ns, width);
    if (x < sight.names || x > width) continue;
    context.fillStyle = color('--panel');
    context.fillRect(x - 2, top - 1, 4, BAR_PX + 2);
    context.fillStyle = color(severityVariable(log.severity));
    context.fillRect(x - 1, top - 1, 2, BAR_PX + 2);
  }
}

function drawDuration(context: CanvasRenderingContext2D, sight: Sight, bar: { left: number; right: number }, index: number, y: number, width: number): void {
  const span = sight.model.spans[index];
  if (!span) return;
  const self = sight.model.self[index] as number;
  const label = duration(span.duration_ns) + ((sight.model.below[index] as number) > 0 && self < span.duration_ns ? `  self ${duration(self)}` : '');
  context.font = sight.font.replace('12px', '11px');
  const size = context.measureText(label).width;
  context.fillStyle = color('--muted');
  const middle = y + ROW_PX / 2 + 0.5;
  if (bar.right + 6 + size < width) context.fillText(label, Math.max(bar.right, bar.left + 2, sight.names - 6) + 6, middle);
  else if (bar.left - 6 - size > sight.names) context.fillText(label, bar.left - 6 - size, middle);
  else {
    context.fillStyle = color('--panel');
    context.fillText(label, Math.min(bar.right, width) - size - 8, middle);
  }
}

function drawLog(context: CanvasRenderingContext2D, sight: Sight, row: number, y: number, width: number): void {
  const log = logAt(sight.model, sight.rows, row);
  if (!log) return;
  const x = xOf(sight, log.offset_ns, width);
  const middle = y + ROW_PX / 2 + 0.5;
  context.fillStyle = color(severityVariable(log.severity));
  context.beginPath();
  context.moveTo(x, middle - 4);
  context.lineTo(x + 4, middle);
  context.lineTo(x, middle + 4);
  context.lineTo(x - 4, middle);
  context.fill();
  context.font = sight.font.replace('12px', '11px');
  context.fillStyle = color('--muted');
  const words = said(log).slice(0, LOG_CHARS_MAX);
  const room = width - x - 16;
  const size = Math.min(context.measureText(words).width, 420);
  if (room >= size || x < (width + sight.names) / 2) context.fillText(words, Math.max(x, sight.names) + 10, middle);
  else {
    context.textAlign = 'right';
    context.fillText(words, Math.min(x, width) - 10, middle);
    context.textAlign = 'left';
  }
}
