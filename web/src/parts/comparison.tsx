// What is different between two sides: the verdict, durations beside each other, the tree with what each part contributes,
// the attributes that go with it.

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { Comparison, Durations, Evidence, Lift, TreeNode } from '../api';
import { duration, percent, plural } from '../format';
import { Service } from './bits';
import { DifferenceFlame } from './difference-flame';
import { Words } from './states';
import { EvidenceLinks, capital } from './why';

const NODES_SHOWN = 12;
const LIFTS_SHOWN = 8;

/** `+12 ms`: with its sign. */
export function more(ns: number): string {
  return ns > 0 ? `+${duration(ns)}` : duration(ns);
}

function Verdict({ comparison }: { comparison: Comparison }): JSX.Element {
  const { verdict } = comparison;
  if (verdict.kind === 'cannot_tell') {
    return (
      <p class="verdict">
        <span class="badge warn">Cannot tell</span> <Words text={verdict.because} />.
      </p>
    );
  }
  return (
    <p class="verdict">
      <span class="verdict-words">
        <Words text={capital(verdict.words)} />.
      </span>{' '}
      <span class="badge">{verdict.confidence} confidence</span> <EvidenceLinks evidence={verdict.evidence} traceId={null} />
    </p>
  );
}

function DurationRow({ name, side, durations }: { name: string; side: string; durations: Durations | null }): JSX.Element {
  const cells = durations ? [durations.mean_ns, durations.p50_ns, durations.p95_ns, durations.max_ns] : [null, null, null, null];
  return (
    <tr>
      <th scope="row">
        <i class={`dot ${side}`} /> {name}
      </th>
      <td class="number">{durations ? durations.requests : 0}</td>
      {cells.map((ns, index) => (
        <td key={index} class={`number${index === 3 ? ' optional' : ''}`}>
          {duration(ns)}
        </td>
      ))}
      <td class="number">{durations ? percent(durations.errors, durations.requests) : '–'}</td>
    </tr>
  );
}

function DurationTable({ comparison }: { comparison: Comparison }): JSX.Element {
  const { difference, first, second } = comparison;
  return (
    <div class="scroll-x" tabIndex={0} role="group" aria-label="Durations of both sides">
      <table class="why-table durations">
        <thead>
          <tr>
            <th>Side</th>
            <th class="number">Requests</th>
            <th class="number">Mean</th>
            <th class="number">Median</th>
            <th class="number">p95</th>
            <th class="number optional">Longest</th>
            <th class="number">Errors</th>
          </tr>
        </thead>
        <tbody>
          <DurationRow name={first.name} side="side-a" durations={first.durations} />
          <DurationRow name={second.name} side="side-b" durations={second.durations} />
          {difference && (
            <tr>
              <th scope="row">Difference</th>
              <td />
              <td class="number">{more(difference.mean_ns)}</td>
              <td class="number">{more(difference.p50_ns)}</td>
              <td class="number">{more(difference.p95_ns)}</td>
              <td class="number optional" />
              <td class="number">{difference.error_share === 0 ? '' : `${(100 * difference.error_share).toFixed(1)}\u202f%`}</td>
            </tr>
          )}
        </tbody>
      </table>
    </div>
  );
}

/** Both sides' durations, each bucket's share of its side as a bar. */
function Histogram({ comparison }: { comparison: Comparison }): JSX.Element | null {
  const { histogram, first, second } = comparison;
  const [of, than] = [first.durations?.requests ?? 0, second.durations?.requests ?? 0];
  if (of < 2 || than < 2) return null;
  const largest = Math.max(...histogram.map((bucket) => Math.max(bucket.first / of, bucket.second / than)));
  const height = (share: number) => ({ height: `${(100 * share) / largest}%` });
  return (
    <figure class="histogram">
      <div class="histogram-bars" role="img" aria-label={`Durations of ${first.name} and ${second.name}, ${histogram.length} ranges`}>
        {histogram.map((bucket) => (
          <span key={bucket.from_ns} title={`${duration(bucket.from_ns)} to ${duration(bucket.below_ns)}: ${plural(bucket.first, 'request')} of ${first.name}, ${bucket.second} of ${second.name}`}>
            <i class="side-a" style={height(bucket.first / of)} />
            <i class="side-b" style={height(bucket.second / than)} />
          </span>
        ))}
      </div>
      <figcaption class="muted">
        <span>{duration(histogram[0]?.from_ns)}</span>
        <span>how long requests took, each side as a share of its own</span>
        <span>{duration(histogram[histogram.length - 1]?.below_ns)}</span>
      </figcaption>
    </figure>
  );
}

/** The nodes that contribute most with those above them, as a tree: each with how far in it is drawn. */
export function shownNodes(nodes: TreeNode[], most: number): { node: TreeNode; level: number }[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const shown = new Set<number>();
  for (const contributor of nodes.slice(0, most)) {
    for (let at: TreeNode | undefined = contributor; at && !shown.has(at.id); at = at.parent === null ? undefined : byId.get(at.parent)) shown.add(at.id);
  }
  const below = new Map<number | null, TreeNode[]>();
  for (const node of nodes) {
    if (!shown.has(node.id)) continue;
    const siblings = below.get(node.parent) ?? [];
    siblings.push(node);
    below.set(node.parent, siblings);
  }
  const rows: { node: TreeNode; level: number }[] = [];
  const waiting = [...(below.get(null) ?? [])].reverse().map((node) => ({ node, level: 0 }));
  for (let row = waiting.pop(); row; row = waiting.pop()) {
    const { node, level } = row;
    rows.push(row);
    for (const child of [...(below.get(node.id) ?? [])].reverse()) waiting.push({ node: child, level: level + 1 });
  }
  return rows;
}

/** What a node contributes, to scale: to the right where the second side takes longer. */
function Contribution({ ns, largest }: { ns: number; largest: number }): JSX.Element {
  const width = largest === 0 ? 0 : (50 * Math.abs(ns)) / largest;
  return (
    <span class="contribution" aria-hidden="true">
      {ns !== 0 && <i class={ns > 0 ? 'side-b' : 'side-a'} style={{ width: `${width}%`, left: `${ns > 0 ? 50 : 50 - width}%` }} />}
    </span>
  );
}

function calls(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(2);
}

function NodeRow({ node, level, largest, named }: { node: TreeNode; level: number; largest: number; named: boolean }): JSX.Element {
  const evidence = [...node.second.evidence.slice(0, 1), ...node.first.evidence.slice(0, 1)];
  const mark = { both: '', added: 'second side only', removed: 'first side only' }[node.presence];
  return (
    <tr class={named ? 'named' : ''}>
      <td class="fill" style={{ paddingLeft: `${Math.min(level, 12) * 14}px` }}>
        {evidence[0] ? <EvidenceLinks evidence={[{ ...(evidence[0] as Evidence), name: node.label }]} traceId={null} /> : node.label} {mark !== '' && <span class="badge">{mark}</span>}
      </td>
      <td class="optional">
        <Service name={node.service} />
      </td>
      <td class="number optional">
        {calls(node.first.calls_per_request)} → {calls(node.second.calls_per_request)}
      </td>
      <td class="number optional">
        {duration(node.first.self_ns)} → {duration(node.second.self_ns)}
      </td>
      <td class="number">{more(node.self_difference_ns)}</td>
      <td class="contribution-cell">
        <Contribution ns={node.self_difference_ns} largest={largest} />
      </td>
    </tr>
  );
}

function Tree({ comparison }: { comparison: Comparison }): JSX.Element | null {
  const [all, setAll] = useState(false);
  const { tree, verdict } = comparison;
  if (tree.nodes.length === 0) return null;
  const shown = shownNodes(tree.nodes, all ? tree.nodes.length : NODES_SHOWN);
  const largest = Math.max(...tree.nodes.map((node) => Math.abs(node.self_difference_ns)));
  const hidden = tree.nodes.length - shown.length;
  return (
    <div class="scroll-x" tabIndex={0} role="group" aria-label="Parts of both sides">
      <table class="why-table tree">
        <thead>
          <tr>
            <th>Part, with its longest span</th>
            <th class="optional">Service</th>
            <th class="number optional">Calls a request</th>
            <th class="number optional">Self time a request</th>
            <th class="number">Difference</th>
            <th>
              <span class="hidden-text">Difference to scale</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {shown.map(({ node, level }) => (
            <NodeRow key={node.id} node={node} level={level} largest={largest} named={verdict.kind === 'contributor' && verdict.node === node.id} />
          ))}
        </tbody>
      </table>
      {(hidden > 0 || all) && tree.nodes.length > NODES_SHOWN && (
        <button type="button" class="button plain small" onClick={() => setAll(!all)}>
          {all ? 'Show fewer' : `Show ${hidden} more`}
        </button>
      )}
    </div>
  );
}

function LiftRow({ lift }: { lift: Lift }): JSX.Element {
  return (
    <p>
      <b>{lift.origin === 'log' ? 'Warned' : 'Attribute'}:</b> <Words text={lift.words} />
      {lift.names_a_side && <span class="muted">; by that the sides were chosen, as likely as not</span>}. <EvidenceLinks evidence={lift.evidence.slice(0, 1)} traceId={null} />
    </p>
  );
}

function Beside({ comparison }: { comparison: Comparison }): JSX.Element {
  const { lifts, findings, not_assessed } = comparison;
  return (
    <div class="why-beside">
      {lifts.slice(0, LIFTS_SHOWN).map((lift) => (
        <LiftRow key={`${lift.origin} ${lift.key} ${lift.value}`} lift={lift} />
      ))}
      {lifts.length > LIFTS_SHOWN && <p>{lifts.length - LIFTS_SHOWN} more attributes tell the sides apart.</p>}
      {findings.map((finding) => (
        <p key={finding.words}>
          <b>Seen:</b> <Words text={finding.words} />. <EvidenceLinks evidence={finding.evidence} traceId={null} />
        </p>
      ))}
      {not_assessed.map((unknown) => (
        <p key={unknown.what}>
          <b>Not assessed:</b> <Words text={`${unknown.what}: ${unknown.because}.`} />
        </p>
      ))}
    </div>
  );
}

export function ComparisonBody({ comparison }: { comparison: Comparison }): JSX.Element {
  return (
    <div class="why-body">
      <Verdict comparison={comparison} />
      <div class="why-columns">
        <div class="comparison-numbers">
          <DurationTable comparison={comparison} />
          <Histogram comparison={comparison} />
        </div>
        <Beside comparison={comparison} />
      </div>
      <Tree comparison={comparison} />
      <DifferenceFlame nodes={comparison.tree.nodes} />
    </div>
  );
}
