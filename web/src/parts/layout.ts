// Places services on a map: a layer for each step away from where calls begin, little crossing within the layers.
// A call that passes over layers has a place of its own in each of them, so that its line does not run through others.

import type { MapEdge, MapNode } from '../api';

export interface Place {
  layer: number;
  /** The place within the layer, from 0. */
  order: number;
}

export interface Layout {
  places: Map<string, Place>;
  /** By `edgeKey`: the services and free places that its line passes, from caller to called. */
  ways: Map<string, string[]>;
  layers: string[][];
}

export function edgeKey({ from, to }: MapEdge): string {
  return `${from}\n${to}`;
}

/** Edges that close a circle are not followed, so that every service gets a layer. */
function forward(names: string[], edges: MapEdge[]): Map<string, string[]> {
  const next = new Map<string, string[]>(names.map((name) => [name, []]));
  for (const { from, to } of edges) if (from !== to && next.has(to)) next.get(from)?.push(to);
  const called = new Set(edges.map((edge) => edge.to));
  const state = new Map<string, 'open' | 'done'>();
  const visit = (name: string) => {
    state.set(name, 'open');
    const kept = (next.get(name) ?? []).filter((to) => {
      if (!state.has(to)) visit(to);
      return state.get(to) !== 'open';
    });
    next.set(name, kept);
    state.set(name, 'done');
  };
  const roots = names.filter((name) => !called.has(name));
  for (const name of [...roots, ...names]) if (!state.has(name)) visit(name);
  return next;
}

/** The longest way to each service; what nobody calls is moved next to what it calls. */
function layersOf(names: string[], next: Map<string, string[]>): Map<string, number> {
  const layer = new Map<string, number>(names.map((name) => [name, 0]));
  // As many rounds as the longest way can be.
  for (let round = 0; round < names.length; round += 1) {
    for (const name of names) {
      for (const to of next.get(name) ?? []) layer.set(to, Math.max(layer.get(to) ?? 0, (layer.get(name) ?? 0) + 1));
    }
  }
  return layer;
}

/** Four times over, each place goes to the middle of those behind it, then of those before it. */
function untangle(layers: string[][], ways: Iterable<string[]>): Map<string, number> {
  const order = new Map<string, number>();
  const number = (list: string[]) => list.forEach((name, index) => order.set(name, index - (list.length - 1) / 2));
  for (const list of layers) number(list);
  const before = new Map<string, string[]>();
  const behind = new Map<string, string[]>();
  const add = (map: Map<string, string[]>, key: string, value: string) => map.set(key, [...(map.get(key) ?? []), value]);
  for (const way of ways) {
    for (let step = 1; step < way.length; step += 1) {
      add(before, way[step] as string, way[step - 1] as string);
      add(behind, way[step - 1] as string, way[step] as string);
    }
  }
  const sort = (list: string[], near: Map<string, string[]>) => {
    const middle = (name: string) => {
      const others = near.get(name) ?? [];
      if (others.length === 0) return order.get(name) ?? 0;
      return others.reduce((sum, other) => sum + (order.get(other) ?? 0), 0) / others.length;
    };
    const middles = new Map(list.map((name) => [name, middle(name)]));
    list.sort((a, b) => (middles.get(a) ?? 0) - (middles.get(b) ?? 0));
    number(list);
  };
  for (let round = 0; round < 4; round += 1) {
    for (const list of layers.slice(0, -1).reverse()) sort(list, behind);
    for (const list of layers.slice(1)) sort(list, before);
  }
  return order;
}

export function layout(nodes: MapNode[], edges: MapEdge[]): Layout {
  const names = nodes.map((node) => node.service).sort();
  const next = forward(names, edges);
  const layer = layersOf(names, next);
  const layers: string[][] = Array.from({ length: Math.max(0, ...layer.values()) + 1 }, () => []);
  for (const name of names) layers[layer.get(name) ?? 0]?.push(name);
  const ways = new Map<string, string[]>();
  for (const edge of edges) {
    const [from, to] = [layer.get(edge.from), layer.get(edge.to)];
    if (from === undefined || to === undefined || to <= from) continue;
    const way = [edge.from];
    for (let between = from + 1; between < to; between += 1) {
      const free = `${edgeKey(edge)}\n${between}`;
      layers[between]?.push(free);
      layer.set(free, between);
      way.push(free);
    }
    ways.set(edgeKey(edge), [...way, edge.to]);
  }
  const order = untangle(layers, ways.values());
  const places = new Map([...layer].map(([name, at]) => [name, { layer: at, order: order.get(name) ?? 0 }]));
  return { places, ways, layers };
}
