// Map: which service calls which, how often, how well and how fast.

import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { type MapEdge, type MapNode, type ServiceMap, address } from '../api';
import { count, duration, percent, short } from '../format';
import { hue } from '../palette';
import { Service } from '../parts/bits';
import { type Layout, type Place, edgeKey, layout } from '../parts/layout';
import { Page } from '../parts/shell';
import { Await, NothingYet } from '../parts/states';
import { useQuery } from '../query';
import { to } from '../router';
import { useRange } from '../time';

const NODE = { width: 170, height: 50 };
const GAP = { x: 108, y: 26 };
const PAD = 16;
/** Room that a label keeps from others, and about how wide a letter is. */
const LABEL = { width: 96, height: 30, letter: 5.8 };
/** Fewer failing calls than this leave a line grey; the number beside it is red all the same. */
const FAILING_MIN = 0.01;

interface Point {
  x: number;
  y: number;
}

/** Layers go from left to right, each in the middle of the height. Points are the left middle of what is placed. */
function pointsOf({ places, layers }: Layout): Map<string, Point> {
  const widest = Math.max(...layers.map((list) => list.length));
  const middle = PAD + (widest * (NODE.height + GAP.y) - GAP.y) / 2;
  const point = ({ layer, order }: Place) => ({ x: PAD + layer * (NODE.width + GAP.x), y: middle + order * (NODE.height + GAP.y) });
  return new Map([...places].map(([name, place]) => [name, point(place)]));
}

function curve(from: Point, to: Point): string {
  const bend = (to.x - from.x) / 2;
  return `C${from.x + bend},${from.y} ${to.x - bend},${to.y} ${to.x},${to.y}`;
}

/** A line, and the places where its numbers could stand, the best first. */
interface Line {
  d: string;
  labels: Point[];
}

/** A point of the curve between two points, as `curve` bends it. */
function along(from: Point, to: Point, t: number): Point {
  const [a, b, c, d] = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t ** 3];
  return { x: a * from.x + (b + c) * ((from.x + to.x) / 2) + d * to.x, y: (a + b) * from.y + (c + d) * to.y };
}

/** A line from caller to called. */
function forth(way: Point[]): Line {
  const [first, second] = way as [Point, Point];
  const start = { x: first.x + NODE.width, y: first.y };
  let d = `M${start.x},${start.y}`;
  let at = start;
  way.slice(1).forEach((point, index) => {
    d += curve(at, point);
    at = point;
    // A free place is passed straight.
    if (index < way.length - 2) {
      at = { x: point.x + NODE.width, y: point.y };
      d += `L${at.x},${at.y}`;
    }
  });
  const labels = [0.5, 0.66, 0.34, 0.78].map((t) => along(start, second, t));
  if (way.length > 2) labels.unshift({ x: second.x + NODE.width / 2, y: second.y });
  return { d, labels };
}

/** A call back, or to the service itself, goes around below. */
function back(from: Point, to: Point): Line {
  const below = Math.max(from.y, to.y) + NODE.height / 2 + GAP.y * 0.8;
  const right = from.x + NODE.width;
  return { d: `M${right},${from.y} C${right + 60},${below} ${to.x - 60},${below} ${to.x},${to.y}`, labels: [{ x: (right + to.x) / 2, y: below - 8 }] };
}

function lineOf(edge: MapEdge, { ways }: Layout, points: Map<string, Point>): Line | null {
  const way = ways.get(edgeKey(edge));
  if (way) return forth(way.map((name) => points.get(name) as Point));
  const [from, until] = [points.get(edge.from), points.get(edge.to)];
  return from && until ? back(from, until) : null;
}

/** The first place that no other label has. */
function free(labels: Point[], taken: Point[]): Point {
  const clear = (one: Point) => taken.every((other) => Math.abs(one.x - other.x) > LABEL.width || Math.abs(one.y - other.y) > LABEL.height);
  const found = labels.find(clear) ?? (labels[0] as Point);
  taken.push(found);
  return found;
}

function Label({ edge, at }: { edge: MapEdge; at: Point }): JSX.Element {
  const calls = `${short(edge.calls)} calls`;
  const failed = edge.errors > 0 ? ` ${percent(edge.errors, edge.calls)}` : '';
  const took = `p95 ${duration(edge.p95_ns)}`;
  const width = Math.max(calls.length + failed.length, took.length) * LABEL.letter;
  return (
    <g class="edge-label">
      <rect x={at.x - width / 2} y={at.y - LABEL.height / 2} width={width} height={LABEL.height} rx="4" />
      <text x={at.x} y={at.y - 2}>
        {calls}
        <tspan class="bad">{failed}</tspan>
      </text>
      <text x={at.x} y={at.y + 11} class="quiet">
        {took}
      </text>
    </g>
  );
}

function Node({ node, at }: { node: MapNode; at: Point }): JSX.Element {
  const top = at.y - NODE.height / 2;
  const room = node.errors > 0 ? 14 : 19;
  return (
    <a href={to('/traces', { service: node.service })} data-row class={`node hue-${hue(node.service)}`}>
      <rect x={at.x} y={top} width={NODE.width} height={NODE.height} rx="7" />
      <rect class="stripe" x={at.x} y={top + 9} width="3" height={NODE.height - 18} rx="1.5" />
      <text x={at.x + 13} y={top + 21} class="name">
        {node.service.length > room ? `${node.service.slice(0, room - 1)}…` : node.service}
      </text>
      {node.errors > 0 && (
        <text x={at.x + NODE.width - 10} y={top + 21} class="bad end">
          {percent(node.errors, node.spans)}
        </text>
      )}
      <text x={at.x + 13} y={top + 38} class="quiet">
        {short(node.spans)} spans, p95 {duration(node.p95_ns)}
      </text>
    </a>
  );
}

function Picture({ map }: { map: ServiceMap }): JSX.Element {
  const laid = useMemo(() => layout(map.nodes, map.edges), [map]);
  const points = pointsOf(laid);
  const most = Math.max(1, ...map.edges.map((edge) => edge.calls));
  const taken: Point[] = [];
  const lines = map.edges.flatMap((edge) => {
    const line = lineOf(edge, laid, points);
    return line ? [{ edge, d: line.d, label: free(line.labels, taken) }] : [];
  });
  const width = PAD * 2 + laid.layers.length * (NODE.width + GAP.x) - GAP.x;
  const height = PAD * 2 + Math.max(...laid.layers.map((list) => list.length)) * (NODE.height + GAP.y) + (lines.length > laid.ways.size ? GAP.y : -GAP.y);
  return (
    <div class="scroll-x" tabIndex={0} role="group" aria-label="Services and their calls; the table below says the same">
      <svg class="map" width={width} height={height} viewBox={`0 0 ${width} ${height}`}>
        <defs>
          <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">
            <path d="M0,0 L8,4 L0,8 z" />
          </marker>
        </defs>
        {lines.map(({ edge, d }) => (
          <path key={edgeKey(edge)} class={edge.errors >= edge.calls * FAILING_MIN ? 'edge failing' : 'edge'} d={d} stroke-width={1 + 3 * (Math.log10(1 + edge.calls) / Math.log10(1 + most))} marker-end="url(#arrow)" />
        ))}
        {lines.map(({ edge, label }) => (
          <Label key={edgeKey(edge)} edge={edge} at={label} />
        ))}
        {map.nodes.map((node) => (
          <Node key={node.service} node={node} at={points.get(node.service) as Point} />
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
      <div class="scroll-x" tabIndex={0} role="group" aria-label="Calls between services">
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
