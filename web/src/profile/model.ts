// A flame graph's tree, laid out: where each node is, in parts of the whole width, and what is looked for in it.
//
// Invariant: a node comes after its parent, and lies within it. Nodes that the server left out leave a gap.

import type { Flame, FlameFrame } from '../api';

export interface Graph {
  answer: Flame;
  /** Whether two sides are laid over each other. */
  pair: boolean;
  depth: Uint16Array;
  /** Left edge and width in parts of the whole. */
  left: Float64Array;
  width: Float64Array;
  /** The children of node n are `children[first[n] .. first[n + 1]]`, the largest first. */
  first: Uint32Array;
  children: Uint32Array;
  rows: number;
}

const ROOT: FlameFrame = { function: 'all', library: '', file: '', kind: '' };

export function frameOf(graph: Graph, node: number): FlameFrame {
  return node === 0 ? ROOT : (graph.answer.frames[graph.answer.nodes.frame[node] as number] ?? ROOT);
}

/** What a node is to each side's whole: both are 1 at the root. */
export function shares(graph: Graph, node: number): [number, number] {
  const { nodes, total, b_total } = graph.answer;
  const share = (value: number | undefined, whole: number | undefined) => (value === undefined || !whole ? 0 : value / whole);
  return [share(nodes.total[node], total), share(nodes.b_total?.[node], b_total)];
}

export function build(answer: Flame): Graph {
  const { parent } = answer.nodes;
  const size = parent.length;
  const pair = answer.b_total !== undefined;
  const first = new Uint32Array(size + 1);
  const depth = new Uint16Array(size);
  let rows = 1;
  for (let node = 1; node < size; node += 1) {
    first[(parent[node] as number) + 1]! += 1;
    depth[node] = (depth[parent[node] as number] as number) + 1;
    rows = Math.max(rows, (depth[node] as number) + 1);
  }
  for (let node = 0; node < size; node += 1) first[node + 1]! += first[node] as number;
  const children = new Uint32Array(Math.max(0, size - 1));
  const next = first.slice();
  for (let node = 1; node < size; node += 1) {
    const up = parent[node] as number;
    children[next[up] as number] = node;
    next[up]! += 1;
  }
  const graph: Graph = { answer, pair, depth, left: new Float64Array(size), width: new Float64Array(size), first, children, rows };
  place(graph);
  return graph;
}

function place(graph: Graph): void {
  const { answer, pair, left, width, first, children } = graph;
  const size = answer.nodes.parent.length;
  // Of two sides what is on either is as wide as its part of that side, so that what is gone is seen too.
  const sides = (answer.total > 0 ? 1 : 0) + (pair && (answer.b_total ?? 0) > 0 ? 1 : 0);
  for (let node = 0; node < size; node += 1) {
    const [a, b] = shares(graph, node);
    width[node] = sides === 0 ? 0 : (a + b) / sides;
  }
  for (let node = 0; node < size; node += 1) {
    let x = left[node] as number;
    for (let at = first[node] as number; at < (first[node + 1] as number); at += 1) {
      const child = children[at] as number;
      left[child] = x;
      x += width[child] as number;
    }
  }
}

/** The nodes whose function, library or file has the words, and what stacks with any of them are of the whole. */
export function find(graph: Graph, words: string): { matches: Uint8Array; list: number[]; share: number } {
  const wanted = words.toLowerCase();
  const hit = graph.answer.frames.map((frame) => `${frame.function}\n${frame.library}\n${frame.file}`.toLowerCase().includes(wanted));
  const size = graph.depth.length;
  const matches = new Uint8Array(size);
  const below = new Uint8Array(size);
  const list: number[] = [];
  let share = 0;
  for (let node = 1; node < size; node += 1) {
    const parent = graph.answer.nodes.parent[node] as number;
    if (hit[graph.answer.nodes.frame[node] as number]) {
      matches[node] = 1;
      list.push(node);
      if (!below[parent]) share += graph.width[node] as number;
    }
    below[node] = matches[node] || below[parent] ? 1 : 0;
  }
  list.sort((a, b) => (graph.depth[a] as number) - (graph.depth[b] as number) || (graph.left[a] as number) - (graph.left[b] as number));
  return { matches, list, share };
}

/** The node at a place, of what is seen when `focus` takes the whole width; -1 for none. */
export function nodeAt(graph: Graph, focus: number, x: number, row: number): number {
  const level = graph.depth[focus] as number;
  if (row <= level) {
    let node = focus;
    for (let up = level; up > row; up -= 1) node = graph.answer.nodes.parent[node] as number;
    return node;
  }
  const at = (graph.left[focus] as number) + x * (graph.width[focus] as number);
  let node = focus;
  for (let down = level; down < row; down += 1) {
    let found = -1;
    for (let index = graph.first[node] as number; index < (graph.first[node + 1] as number); index += 1) {
      const child = graph.children[index] as number;
      const left = graph.left[child] as number;
      if (at >= left && at < left + (graph.width[child] as number)) {
        found = child;
        break;
      }
    }
    if (found < 0) return -1;
    node = found;
  }
  return node;
}

/** The neighbour of a node in a direction, the node itself where there is none. */
export function step(graph: Graph, node: number, key: string): number {
  const parent = graph.answer.nodes.parent[node] as number;
  if (key === 'ArrowUp') return parent;
  const from = graph.first[key === 'ArrowDown' ? node : parent] as number;
  const until = graph.first[(key === 'ArrowDown' ? node : parent) + 1] as number;
  if (key === 'ArrowDown') return from < until ? (graph.children[from] as number) : node;
  if (node === 0) return node;
  const at = graph.children.indexOf(node, from) + (key === 'ArrowRight' ? 1 : -1);
  return at >= from && at < until ? (graph.children[at] as number) : node;
}

export function isWithin(graph: Graph, node: number, ancestor: number): boolean {
  let up = node;
  while ((graph.depth[up] as number) > (graph.depth[ancestor] as number)) up = graph.answer.nodes.parent[up] as number;
  return up === ancestor;
}
