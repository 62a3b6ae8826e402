// Engines: where a model's time and memory go, as the process itself accounts for it.

import type { JSX } from 'preact';
import { type Attributes, type Engine, type Engines, type LatencyRow, type MemoryRow, address } from '../api';
import { bytes, count, duration, percent } from '../format';
import { hue } from '../palette';
import { Service, Share, text } from '../parts/bits';
import { Page } from '../parts/shell';
import { Await, Empty } from '../parts/states';
import { useQuery } from '../query';
import { useRange } from '../time';

/** What tells processes of one service apart. */
const TELLING = ['service.instance.id', 'host.name', 'process.pid', 'service.version'];

function facts(resource: Attributes): string {
  return TELLING.filter((key) => resource?.[key] !== undefined)
    .map((key) => `${key} ${text(resource?.[key] ?? null)}`)
    .join(', ');
}

function Label({ depth, words, derived }: { depth: number; words: string; derived: boolean }): JSX.Element {
  return (
    <span class={`tree-label${derived ? ' muted' : ''}`} style={{ paddingLeft: `${depth * 14}px` }}>
      {words}
    </span>
  );
}

function Latency({ rows }: { rows: LatencyRow[] }): JSX.Element {
  return (
    <section class="card table-card" aria-label="Time">
      <header>
        <h2>Time of a step, by phase</h2>
      </header>
      {rows.length === 0 ? (
        <p class="nothing">No phase was reported in this range of time.</p>
      ) : (
        <div class="scroll-x" tabIndex={0} role="group" aria-label="Time of a step, by phase">
          <table>
            <thead>
              <tr>
                <th>Phase</th>
                <th class="number">Share</th>
                <th class="number">Mean</th>
                <th class="number optional">p50</th>
                <th class="number">p99</th>
                <th class="number optional">Latest</th>
                <th class="number optional">Calls</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={`${row.path} ${row.kind}`}>
                  <td class="fill">
                    <Label depth={row.depth} words={row.label} derived={row.kind !== 'phase'} />
                  </td>
                  <td class="number">
                    {percent(row.share, 1)}
                    <Share part={row.share} whole={1} />
                  </td>
                  <td class="number">{duration(row.avg_ns)}</td>
                  <td class="number optional">{duration(row.p50_ns)}</td>
                  <td class="number">{duration(row.p99_ns)}</td>
                  <td class="number optional">{duration(row.last_ns)}</td>
                  <td class="number optional">{count(row.calls)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Memory({ rows }: { rows: MemoryRow[] }): JSX.Element {
  return (
    <section class="card table-card" aria-label="Memory">
      <header>
        <h2>Memory, by owner</h2>
      </header>
      {rows.length === 0 ? (
        <p class="nothing">No memory was reported in this range of time.</p>
      ) : (
        <div class="scroll-x" tabIndex={0} role="group" aria-label="Memory, by owner">
          <table>
            <thead>
              <tr>
                <th>Owner</th>
                <th class="number">Size</th>
                <th class="number">Share</th>
                <th class="optional">How it is known</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.path} title={row.detail ?? undefined}>
                  <td class="fill">
                    <Label depth={row.depth} words={row.label} derived={row.provenance !== 'measured'} />
                  </td>
                  <td class="number">{bytes(row.bytes)}</td>
                  <td class="number">{row.share === null ? '' : percent(row.share, 1)}</td>
                  <td class="optional muted">{row.provenance === 'measured' ? '' : `${row.provenance}${row.detail ? `: ${row.detail}` : ''}`}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function OneEngine({ engine }: { engine: Engine }): JSX.Element {
  return (
    <section class={`hue-${hue(engine.service)}`} aria-label={engine.service}>
      <p class="row wrap engine-head">
        <Service name={engine.service} /> <span class="muted">{facts(engine.resource)}</span>
      </p>
      <div class="grid engine">
        <Latency rows={engine.latency} />
        <Memory rows={engine.memory} />
      </div>
    </section>
  );
}

export function EnginesPage(): JSX.Element {
  const range = useRange();
  const answer = useQuery<Engines>(address('engines', { from: range.from, to: range.to }), { live: range.live });
  return (
    <Page title="Engines">
      <Await answer={answer}>
        {({ engines }) =>
          engines.length === 0 ? (
            <Empty title="No engine reported in this range of time">
              <p class="muted">
                A program that records with <code>radiosonde</code> tells here where each step's time and the process's memory go. Its latency and memory events come with its logs; see the examples of the library.
              </p>
            </Empty>
          ) : (
            engines.map((engine) => <OneEngine key={JSON.stringify(engine.resource)} engine={engine} />)
          )
        }
      </Await>
    </Page>
  );
}
