// Draws what is visible of a flame graph, the root on top. Costs what is on screen, not the graph.

import { hueVariable } from '../palette';
import { color } from '../theme';
import { type Graph, frameOf, shares } from './model';

export const ROW_PX = 20;
/** Narrower ones cannot be seen, nor what is below them. */
const WIDTH_MIN_PX = 0.6;
/** Room that a name needs at least. */
const NAME_MIN_PX = 26;
const PAD_PX = 4;
/** A difference of so many parts of the whole has the full colour. */
const DIFFERENCE_MAX = 0.1;

export interface Sight {
  graph: Graph;
  focus: number;
  selected: number;
  hovered: number;
  matches: Uint8Array | null;
  /** The first visible pixel of the graph. */
  top: number;
  font: string;
}

export function drawGraph(context: CanvasRenderingContext2D, sight: Sight, width: number, height: number): void {
  const { graph, focus } = sight;
  const style = new Style(context, sight);
  context.textBaseline = 'middle';
  context.font = sight.font;
  const level = graph.depth[focus] as number;
  for (let node = focus, row = level; ; row -= 1) {
    style.box(node, 0, row * ROW_PX - sight.top, width, height);
    if (row === 0) break;
    node = graph.answer.nodes.parent[node] as number;
  }
  const scale = width / Math.max(graph.width[focus] as number, Number.MIN_VALUE);
  const origin = graph.left[focus] as number;
  const last = Math.ceil((sight.top + height) / ROW_PX);
  const open = [focus];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    const row = (graph.depth[node] as number) + 1;
    if (row > last) continue;
    for (let at = graph.first[node] as number; at < (graph.first[node + 1] as number); at += 1) {
      const child = graph.children[at] as number;
      const wide = (graph.width[child] as number) * scale;
      // The largest come first.
      if (wide < WIDTH_MIN_PX) break;
      style.box(child, ((graph.left[child] as number) - origin) * scale, row * ROW_PX - sight.top, wide, height);
      open.push(child);
    }
  }
}

/** Colours and texts, looked up once for a drawing. */
class Style {
  private readonly panel = color('--panel');
  private readonly text = color('--text');
  private readonly faint = color('--sunken');
  private readonly more = color('--hue-1');
  private readonly less = color('--hue-0');
  private readonly same = color('--line-strong');
  private readonly hues = new Map<string, string>();
  private readonly letter: number;

  constructor(
    private readonly context: CanvasRenderingContext2D,
    private readonly sight: Sight,
  ) {
    context.font = sight.font;
    this.letter = context.measureText('e').width;
  }

  box(node: number, x: number, y: number, width: number, height: number): void {
    if (y + ROW_PX < 0 || y > height) return;
    const { context, sight } = this;
    const frame = frameOf(sight.graph, node);
    const dim = sight.matches !== null && sight.matches[node] === 0;
    const wide = Math.max(width - 1, 0.5);
    context.fillStyle = this.panel;
    context.fillRect(x, y, wide, ROW_PX - 1);
    const strength = this.fill(node, frame.library, dim);
    context.fillRect(x, y, wide, ROW_PX - 1);
    context.globalAlpha = 1;
    if (node === sight.hovered || node === sight.selected) {
      context.strokeStyle = this.text;
      context.lineWidth = node === sight.selected ? 2 : 1;
      context.strokeRect(x + 1, y + 1, Math.max(wide - 2, 0.5), ROW_PX - 3);
    }
    if (width < NAME_MIN_PX) return;
    const room = Math.floor((width - PAD_PX * 2) / this.letter);
    const name = this.words(node, frame.function);
    context.fillStyle = strength > 0.6 ? this.panel : this.text;
    context.save();
    context.beginPath();
    context.rect(x, y, wide - PAD_PX / 2, ROW_PX);
    context.clip();
    context.fillText(name.length > room * 2 ? name.slice(0, room * 2) : name, x + PAD_PX, y + ROW_PX / 2);
    context.restore();
  }

  /** Sets the colour; how strong it is. */
  private fill(node: number, library: string, dim: boolean): number {
    const { context, sight } = this;
    if (dim) {
      context.fillStyle = this.faint;
      return 0;
    }
    if (sight.graph.pair) {
      const [a, b] = shares(sight.graph, node);
      const strength = Math.min(1, Math.abs(a - b) / DIFFERENCE_MAX);
      context.fillStyle = a - b > 0.0005 ? this.more : b - a > 0.0005 ? this.less : this.same;
      const alpha = Math.abs(a - b) > 0.0005 ? 0.18 + 0.82 * strength : 0.3;
      context.globalAlpha = alpha;
      return alpha;
    }
    let hue = this.hues.get(library);
    if (hue === undefined) {
      hue = node === 0 ? this.same : color(hueVariable(library));
      this.hues.set(library, hue);
    }
    context.fillStyle = hue;
    if (node === 0) context.globalAlpha = 0.4;
    return node === 0 ? 0 : 1;
  }

  /** Of two sides the difference is said too, because colours alone say it to few. */
  private words(node: number, name: string): string {
    if (!this.sight.graph.pair) return name;
    const [a, b] = shares(this.sight.graph, node);
    const more = (a - b) * 100;
    return Math.abs(more) < 0.05 ? name : `${more > 0 ? '+' : '−'}${Math.abs(more).toFixed(1)}% ${name}`;
  }
}
