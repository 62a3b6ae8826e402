// Places services on a map: a layer for each step away from where calls begin, little crossing within the layers.

import type { MapEdge, MapNode } from '../api';

export interface Placed extends MapNode {
  layer: number;
  /** The place within the layer, from 0. */
  order: number;
}

/** Edges that close a circle are not followed, so that every service gets a layer. */
function forward(names: string[], edges: MapEdge[]): Map<string, string[]> {
  const next = new Map<string, string[]>(names.map((name) => [name, []]));
  for (const { from, to } of edges) if (from !== to && next.has(to)) next.get(from)?.push(to);
  const called = new Set(edges.map((edge) => edge.to));
  const state = new Map<string, 'open' | 'done'>();
  const visit = (name: string) => {
    state.set(name, 'open');
    const kept = (next.get(name) ?? []).filter((to) => state.get(to) !== 'open');
    next.set(name, kept);
    for (const to of kept) if (!state.has(to)) visit(to);
    state.set(name, 'done');
  };
  const roots = names.filter((name) => !called.has(name));
  for (const name of [...roots, ...names]) if (!state.has(name)) visit(name);
  return next;
}

function layersOf(names: string[], next: Map<string, string[]>): Map<string, number> {
  const layer = new Map<string, number>(names.map((name) => [name, 0]));
  // As many rounds as the longest way can be.
  for (let round = 0; round < names.length; round += 1) {
    let moved = false;
    for (const name of names) {
      for (const to of next.get(name) ?? []) {
        const wanted = (layer.get(name) ?? 0) + 1;
        if ((layer.get(to) ?? 0) < wanted) {
          layer.set(to, wanted);
          moved = true;
        }
      }
    }
    if (!moved) break;
  }
  return layer;
}

export function place(nodes: MapNode[], edges: MapEdge[]): { placed: Placed[]; layers: number; widest: number } {
  const names = nodes.map((node) => node.service).sort();
  const next = forward(names, edges);
  const layer = layersOf(names, next);
  const layers: string[][] = [];
  for (const name of names) (layers[layer.get(name) ?? 0] ??= []).push(name);
  const order = new Map<string, number>();
  for (const list of layers) list.forEach((name, index) => order.set(name, index));
  // Twice over, each service goes to the middle of those that call it.
  for (let round = 0; round < 2; round += 1) {
    for (const list of layers.slice(1)) {
      const middle = (name: string) => {
        const callers = edges.filter((edge) => edge.to === name && edge.from !== name);
        if (callers.length === 0) return order.get(name) ?? 0;
        return callers.reduce((sum, edge) => sum + (order.get(edge.from) ?? 0), 0) / callers.length;
      };
      const middles = new Map(list.map((name) => [name, middle(name)]));
      list.sort((a, b) => (middles.get(a) ?? 0) - (middles.get(b) ?? 0) || (a < b ? -1 : 1));
      list.forEach((name, index) => order.set(name, index));
    }
  }
  const placed = nodes.map((node) => ({ ...node, layer: layer.get(node.service) ?? 0, order: order.get(node.service) ?? 0 }));
  return { placed, layers: layers.length, widest: Math.max(1, ...layers.map((list) => list.length)) };
}
