// Which part of a waterfall is visible, and how it moves. Not component state: panning draws, it does not render.

import type { Model } from './model';

/** The shortest stretch that can be zoomed to. */
const SPAN_NS_MIN = 20;

export class Viewport {
  from: number;
  until: number;
  private readonly watchers = new Set<() => void>();

  constructor(private model: Model) {
    [this.from, this.until] = this.whole();
  }

  /** The whole trace with a little air behind, so that labels of bars at the end have room. */
  private whole(): [number, number] {
    const { start, end } = this.model;
    return [start, end + (end - start) * 0.02];
  }

  /** The trace grew; what is visible stays, unless everything was. */
  replace(model: Model): void {
    const everything = this.isWhole();
    this.model = model;
    if (everything) [this.from, this.until] = this.whole();
  }

  /** Calls back after every change. */
  watch(watcher: () => void): () => void {
    this.watchers.add(watcher);
    return () => void this.watchers.delete(watcher);
  }

  isWhole(): boolean {
    const [from, until] = this.whole();
    return this.from === from && this.until === until;
  }

  reset(): void {
    const [from, until] = this.whole();
    this.show(from, until);
  }

  show(from: number, until: number): void {
    const [first, last] = this.whole();
    const length = Math.min(Math.max(until - from, SPAN_NS_MIN), last - first);
    const start = Math.min(Math.max(from, first), last - length);
    if (start === this.from && start + length === this.until) return;
    this.from = start;
    this.until = start + length;
    for (const watcher of this.watchers) watcher();
  }

  /** Zooms by a factor around a moment that stays where it is. */
  zoom(factor: number, around = (this.from + this.until) / 2): void {
    const length = (this.until - this.from) * factor;
    const part = (around - this.from) / (this.until - this.from);
    this.show(around - length * part, around + length * (1 - part));
  }

  /** Moves by a part of what is visible. */
  pan(part: number): void {
    const by = (this.until - this.from) * part;
    this.show(this.from + by, this.until + by);
  }

  /** One span with a little air around it. */
  fit(index: number): void {
    const span = this.model.spans[index];
    if (!span) return;
    const air = Math.max(span.duration_ns * 0.1, SPAN_NS_MIN / 2);
    this.show(span.offset_ns - air, span.offset_ns + span.duration_ns + air);
  }
}
