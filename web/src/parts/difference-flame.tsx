// Both sides as one flame graph: as wide as a part is on both sides together, coloured by on which of them it takes longer.
// What it shows is in the table above as well, so it is hidden from those who do not see it.

import type { JSX } from 'preact';
import type { TreeNode } from '../api';
import { duration } from '../format';
import { to } from '../router';
import { more } from './comparison';

const ROW_PX = 20;
const ROWS_MAX = 32;
/** Parts narrower than this share of the whole are not drawn. */
const WIDTH_MIN = 0.002;

export interface Box {
  node: TreeNode;
  /** Shares of the whole width. */
  left: number;
  width: number;
  row: number;
}

function weight(node: TreeNode): number {
  return node.first.path_ns + node.second.path_ns;
}

/** Where each part is: children within their parent, the widest first. */
export function boxes(nodes: TreeNode[]): Box[] {
  const below = new Map<number | null, TreeNode[]>();
  for (const node of nodes) below.set(node.parent, [...(below.get(node.parent) ?? []), node]);
  const roots = below.get(null) ?? [];
  const whole = roots.reduce((sum, node) => sum + weight(node), 0);
  const placed: Box[] = [];
  const place = (siblings: TreeNode[], from: number, row: number) => {
    let left = from;
    for (const node of [...siblings].sort((a, b) => weight(b) - weight(a) || a.id - b.id)) {
      const width = whole === 0 ? 0 : weight(node) / whole;
      if (width < WIDTH_MIN || row >= ROWS_MAX) continue;
      placed.push({ node, left, width, row });
      place(below.get(node.id) ?? [], left, row + 1);
      left += width;
    }
  };
  place(roots, 0, 0);
  return placed;
}

/** How strongly a part is coloured: its difference as a share of the longer side of it, in per cent. */
function strength(node: TreeNode): number {
  const longer = Math.max(node.first.path_ns, node.second.path_ns);
  return longer === 0 ? 0 : Math.round((100 * Math.abs(node.path_difference_ns)) / longer);
}

function Part({ box }: { box: Box }): JSX.Element {
  const { node, left, width, row } = box;
  const evidence = node.second.evidence[0] ?? node.first.evidence[0];
  const hue = node.path_difference_ns > 0 ? '--hue-1' : '--hue-0';
  const style = {
    left: `${100 * left}%`,
    width: `${100 * width}%`,
    top: `${row * ROW_PX}px`,
    background: `color-mix(in srgb, var(${hue}) ${Math.min(40, strength(node))}%, var(--sunken))`,
  };
  const title = `${node.label}: ${duration(node.first.path_ns)} → ${duration(node.second.path_ns)} per request (${more(node.path_difference_ns)})`;
  if (!evidence) {
    return (
      <span style={style} title={title}>
        {node.label}
      </span>
    );
  }
  return (
    <a tabIndex={-1} style={style} title={title} href={to(`/traces/${evidence.trace_id}`, { span: evidence.span_id })}>
      {node.label}
    </a>
  );
}

export function DifferenceFlame({ nodes }: { nodes: TreeNode[] }): JSX.Element | null {
  const placed = boxes(nodes);
  if (placed.length < 2) return null;
  const rows = Math.max(...placed.map((box) => box.row)) + 1;
  return (
    <figure class="difference-flame" aria-hidden="true">
      <div style={{ height: `${rows * ROW_PX}px` }}>
        {placed.map((box) => (
          <Part key={box.node.id} box={box} />
        ))}
      </div>
      <figcaption class="muted">As wide as a part is on both sides together; coloured where it takes longer, the stronger the more.</figcaption>
    </figure>
  );
}
