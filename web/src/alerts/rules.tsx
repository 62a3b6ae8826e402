// Rules: how each is, what is wrong with it, and the way to its rehearsal.

import type { JSX } from 'preact';
import type { AlertRule } from '../api';
import { ago, count, moment, plural } from '../format';
import { Words } from '../parts/states';
import { to } from '../router';
import { badge, ms } from './words';

function State({ rule }: { rule: AlertRule }): JSX.Element {
  if (rule.error !== null) return <span class="badge error">cannot be evaluated</span>;
  if (rule.evaluated_unix_ns === null) return <span class="muted">not evaluated yet</span>;
  if (rule.firing + rule.pending === 0) return <span class="muted">quiet</span>;
  return (
    <>
      {rule.firing > 0 && <span class={badge(rule.severity)}>{count(rule.firing)} firing</span>} {rule.pending > 0 && <span class="badge">{count(rule.pending)} pending</span>}
    </>
  );
}

function Row({ rule }: { rule: AlertRule }): JSX.Element {
  return (
    <tr class="open">
      <td class="breaking">
        <a class="cover" data-row href={to(`/alerts/${encodeURIComponent(rule.name)}`, { range: '24h', from: null, to: null })} title="Rehearse it over the last day">
          {rule.name}
        </a>
        {rule.group !== '' && <span class="muted optional"> {rule.group}</span>}
        {rule.error !== null && (
          <p class="error-text">
            <Words text={rule.error} />
          </p>
        )}
        {rule.errors > 0 && <p class="muted">{plural(rule.errors, 'evaluation')} failed.</p>}
        {rule.left_out > 0 && <p class="warn-text">{plural(rule.left_out, 'more alert')} found no room. Let <code>by</code> put series together that one person looks after.</p>}
      </td>
      <td class="optional">{rule.kind.replace('_', ' ')}</td>
      <td>{rule.severity}</td>
      <td>
        <State rule={rule} />
      </td>
      <td class="number muted optional" title={rule.evaluated_unix_ns === null ? undefined : moment(ms(rule.evaluated_unix_ns))}>
        {rule.evaluated_unix_ns === null ? '–' : ago(ms(rule.evaluated_unix_ns))}
      </td>
    </tr>
  );
}

/** Those that something is wrong with first, then those that fire, then in the order of the file. */
function weight(rule: AlertRule): number {
  return rule.error !== null ? 3 : rule.firing > 0 ? 2 : rule.pending > 0 ? 1 : 0;
}

export function Rules({ rules }: { rules: AlertRule[] }): JSX.Element | null {
  if (rules.length === 0) return null;
  return (
    <section class="card table-card" aria-label="Rules">
      <header>
        <h2>Rules</h2>
        <span class="muted">Choose one to see what it would have done over the last day</span>
      </header>
      <div class="scroll-x" tabIndex={0} role="group" aria-label="Rules and how they are">
        <table class="wrapping">
          <thead>
            <tr>
              <th>Rule</th>
              <th class="optional">Kind</th>
              <th>Severity</th>
              <th>State</th>
              <th class="number optional">Evaluated</th>
            </tr>
          </thead>
          <tbody>
            {rules.toSorted((a, b) => weight(b) - weight(a)).map((rule) => (
              <Row key={rule.name} rule={rule} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
