// A trace as a flame graph: spans of the same name under the same path are one frame, as wide as the self times in it
// and below it. So it says where the time went, not when; work that ran in parallel counts as often as it ran.
//
// Invariant: a frame is at least as wide as all frames above it together.

import { type Model, isError } from './model';

export interface Frame {
  parent: number;
  depth: number;
  name: string;
  service: string;
  self: number;
  /** Self time of the frame and everything below it. */
  total: number;
  spans: number;
  errors: number;
  /** The span of the frame that took longest. */
  longest: number;
  children: number[];
}

/** Numbers in names count what is alike: `token 1`, `token 2`. */
function common(name: string): string {
  return name.replace(/\d+/g, '*');
}

export function frames(model: Model): Frame[] {
  const all: Frame[] = [{ parent: -1, depth: -1, name: '', service: '', self: 0, total: 0, spans: 0, errors: 0, longest: -1, children: [] }];
  const byKey = new Map<string, number>();
  const frameOf = new Int32Array(model.spans.length);
  for (const index of model.order) {
    const span = model.spans[index];
    if (!span) continue;
    const up = model.parent[index] as number;
    const parent = up < 0 ? 0 : (frameOf[up] as number);
    const key = `${parent}\n${span.service}\n${common(span.name)}`;
    let at = byKey.get(key);
    if (at === undefined) {
      at = all.length;
      byKey.set(key, at);
      all[parent]?.children.push(at);
      all.push({ parent, depth: (all[parent]?.depth ?? -1) + 1, name: span.name, service: span.service, self: 0, total: 0, spans: 0, errors: 0, longest: index, children: [] });
    }
    frameOf[index] = at;
    add(all[at] as Frame, model, index);
  }
  // Frames come after their parents, so backwards every total is whole when it is passed on.
  for (let at = all.length - 1; at >= 0; at -= 1) {
    const frame = all[at] as Frame;
    frame.total += frame.self;
    const parent = all[frame.parent];
    if (parent) parent.total += frame.total;
    frame.children.sort((a, b) => (all[b]?.total ?? 0) - (all[a]?.total ?? 0));
  }
  return all;
}

function add(frame: Frame, model: Model, index: number): void {
  const span = model.spans[index];
  if (!span) return;
  if (span.name !== frame.name) frame.name = common(span.name);
  frame.self += model.self[index] as number;
  frame.spans += 1;
  if (isError(span)) frame.errors += 1;
  if (span.duration_ns > (model.spans[frame.longest]?.duration_ns ?? 0)) frame.longest = index;
}

export interface Box {
  frame: number;
  /** In parts of the whole width. */
  left: number;
  width: number;
  row: number;
}

/** Narrower ones cannot be seen. */
const WIDTH_MIN = 0.0015;
const BOXES_MAX = 800;

/** What is shown when one frame takes the whole width: it, those it lies on, and what is above it. */
export function boxes(all: Frame[], focus: number): Box[] {
  const found: Box[] = [];
  for (let up = focus; up > 0; up = all[up]?.parent ?? 0) found.unshift({ frame: up, left: 0, width: 1, row: all[up]?.depth ?? 0 });
  const whole = Math.max(1, all[focus]?.total ?? 1);
  const queue: { frame: number; left: number }[] = [{ frame: focus, left: 0 }];
  // The widest come first in each row, and rows in turn, so that the bound leaves out the deepest and narrowest.
  for (let next = 0; next < queue.length && found.length < BOXES_MAX; next += 1) {
    let { left } = queue[next] as { left: number };
    for (const child of all[queue[next]?.frame ?? 0]?.children ?? []) {
      const width = (all[child]?.total ?? 0) / whole;
      if (width < WIDTH_MIN) break;
      found.push({ frame: child, left, width, row: all[child]?.depth ?? 0 });
      queue.push({ frame: child, left });
      left += width;
    }
  }
  return found;
}
