// Map: which service calls which, how often, how well and how fast.

import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { type MapEdge, type ServiceMap, address } from '../api';
import { count, duration, percent, short } from '../format';
import { hue } from '../palette';
import { Service } from '../parts/bits';
import { type Placed, place } from '../parts/layout';
import { Page } from '../parts/shell';
import { Await, NothingYet } from '../parts/states';
import { useQuery } from '../query';
import { to } from '../router';
import { useRange } from '../time';

const NODE = { width: 172, height: 54 };
const GAP = { x: 132, y: 30 };
const PAD = 20;

interface Point {
  x: number;
  y: number;
}

/** Layers go from left to right, each in the middle of the height. */
function positions(placed: Placed[], widest: number): Map<string, Point> {
  const sizes = new Map<number, number>();
  for (const { layer } of placed) sizes.set(layer, (sizes.get(layer) ?? 0) + 1);
  return new Map(
    placed.map(({ service, layer, order }) => {
      const free = (widest - (sizes.get(layer) ?? 1)) / 2;
      return [service, { x: PAD + layer * (NODE.width + GAP.x), y: PAD + (order + free) * (NODE.height + GAP.y) }];
    }),
  );
}

/** From the right side of one to the left side of the other; back and within a layer around the outside. */
function path(from: Point, to: Point): { d: string; middle: Point } {
  const start = { x: from.x + NODE.width, y: from.y + NODE.height / 2 };
  const end = { x: to.x, y: to.y + NODE.height / 2 };
  if (end.x > start.x) {
    const bend = Math.max(40, (end.x - start.x) / 2);
    return {
      d: `M${start.x},${start.y} C${start.x + bend},${start.y} ${end.x - bend},${end.y} ${end.x},${end.y}`,
      middle: { x: (start.x + end.x) / 2, y: (start.y + end.y) / 2 },
    };
  }
  const below = Math.max(from.y, to.y) + NODE.height + GAP.y * 0.7;
  return {
    d: `M${start.x},${start.y} C${start.x + 70},${below} ${end.x - 70},${below} ${end.x},${end.y}`,
    middle: { x: (start.x + end.x) / 2, y: (start.y + end.y) / 8 + below * 0.75 },
  };
}

function Edge({ edge, from, to: until, most }: { edge: MapEdge; from: Point; to: Point; most: number }): JSX.Element {
  const { d, middle } = path(from, until);
  const failing = edge.errors > 0;
  const width = 1 + 3.5 * (Math.log10(1 + edge.calls) / Math.log10(1 + most));
  const lines = [`${short(edge.calls)} calls`, duration(edge.p95_ns)];
  return (
    <g class={failing ? 'edge failing' : 'edge'}>
      <title>
        {edge.from} to {edge.to}: {count(edge.calls)} calls, {percent(edge.errors, edge.calls)} errors, p95 {duration(edge.p95_ns)}
      </title>
      <path d={d} stroke-width={width} marker-end="url(#arrow)" />
      <text x={middle.x} y={middle.y - 5}>
        {lines[0]}
        {failing && <tspan class="bad"> {percent(edge.errors, edge.calls)}</tspan>}
      </text>
      <text x={middle.x} y={middle.y + 9} class="quiet">
        p95 {lines[1]}
      </text>
    </g>
  );
}

function Node({ node, at }: { node: Placed; at: Point }): JSX.Element {
  const failing = node.errors > 0;
  return (
    <a href={to('/traces', { service: node.service })} data-row class={`node hue-${hue(node.service)}`} aria-label={`${node.service}: ${count(node.spans)} spans, ${percent(node.errors, node.spans)} errors, p95 ${duration(node.p95_ns)}. Show its traces`}>
      <rect x={at.x} y={at.y} width={NODE.width} height={NODE.height} rx="7" />
      <rect class="stripe" x={at.x} y={at.y + 9} width="3" height={NODE.height - 18} rx="1.5" />
      <text x={at.x + 14} y={at.y + 22} class="name">
        {node.service.length > 20 ? `${node.service.slice(0, 19)}…` : node.service}
      </text>
      <text x={at.x + 14} y={at.y + 40} class="quiet">
        {short(node.spans)} spans, p95 {duration(node.p95_ns)}
        {failing && <tspan class="bad"> {percent(node.errors, node.spans)}</tspan>}
      </text>
    </a>
  );
}

function Picture({ map }: { map: ServiceMap }): JSX.Element {
  const { placed, layers, widest } = useMemo(() => place(map.nodes, map.edges), [map]);
  const at = positions(placed, widest);
  const most = Math.max(1, ...map.edges.map((edge) => edge.calls));
  const width = PAD * 2 + layers * NODE.width + (layers - 1) * GAP.x;
  const height = PAD * 2 + widest * NODE.height + (widest - 1) * GAP.y + GAP.y;
  return (
    <div class="scroll-x">
      <svg class="map" width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="group" aria-label="Services and their calls">
        <defs>
          <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">
            <path d="M0,0 L8,4 L0,8 z" />
          </marker>
        </defs>
        {map.edges.map((edge) => {
          const [from, until] = [at.get(edge.from), at.get(edge.to)];
          return from && until ? <Edge key={`${edge.from} ${edge.to}`} edge={edge} from={from} to={until} most={most} /> : null;
        })}
        {placed.map((node) => (
          <Node key={node.service} node={node} at={at.get(node.service) as Point} />
        ))}
      </svg>
    </div>
  );
}

function Edges({ edges }: { edges: MapEdge[] }): JSX.Element {
  return (
    <section class="card table-card" aria-label="Calls">
      <header>
        <h2>Calls between services</h2>
      </header>
      <div class="scroll-x">
        <table>
          <thead>
            <tr>
              <th>From</th>
              <th>To</th>
              <th class="number">Calls</th>
              <th class="number">Errors</th>
              <th class="number">p95</th>
            </tr>
          </thead>
          <tbody>
            {[...edges]
              .sort((a, b) => b.calls - a.calls)
              .map((edge) => (
                <tr key={`${edge.from} ${edge.to}`}>
                  <td>
                    <Service name={edge.from} />
                  </td>
                  <td class="fill">
                    <Service name={edge.to} />
                  </td>
                  <td class="number">{count(edge.calls)}</td>
                  <td class={edge.errors > 0 ? 'number error-text' : 'number muted'}>{percent(edge.errors, edge.calls)}</td>
                  <td class="number">{duration(edge.p95_ns)}</td>
                </tr>
              ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

export function MapPage(): JSX.Element {
  const range = useRange();
  const answer = useQuery<ServiceMap>(address('map', { from: range.from, to: range.to }), { live: range.live });
  return (
    <Page title="Map">
      <Await answer={answer}>
        {(map) =>
          map.nodes.length === 0 ? (
            <NothingYet title="No services in this range of time" />
          ) : (
            <>
              <section class="card map-card" aria-label="Map of services">
                <Picture map={map} />
              </section>
              {map.edges.length > 0 && <Edges edges={map.edges} />}
            </>
          )
        }
      </Await>
    </Page>
  );
}
