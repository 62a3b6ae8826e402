// The account of a trace: the verdict in words, and where the time went, drawn to scale without a remainder.

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { type Account, type Evidence, type Segment, type Why, address } from '../api';
import { duration, percent, plural } from '../format';
import { useQuery } from '../query';
import { to, usePlace, withParams } from '../router';
import { Await, Words } from './states';

/** As `sonde why` calls them, with the hue of each kind of time. */
const CATEGORIES: Record<string, [title: string, variable: string]> = {
  queue: ['queue', '--hue-1'],
  lock: ['lock wait', '--hue-6'],
  startup: ['start-up', '--hue-8'],
  serialization: ['serialization', '--hue-5'],
  deserialization: ['deserialization', '--hue-5'],
  python: ['Python', '--hue-9'],
  on_cpu: ['on-CPU', '--hue-0'],
  off_cpu: ['off-CPU', '--hue-7'],
  io: ['I/O', '--hue-4'],
  gpu_busy: ['GPU busy', '--hue-2'],
  gpu_wait: ['GPU wait', '--hue-3'],
  transfer: ['transfer', '--hue-8'],
  phase: ['phase', '--hue-7'],
};
const SHOWN = 6;

function titleOf(category: string): string {
  return CATEGORIES[category]?.[0] ?? category;
}

function variableOf(category: string): string {
  return CATEGORIES[category]?.[1] ?? '--hue-7';
}

/** A span that shows what is said; selects it when it is in the trace that the page shows, if it shows one. */
function EvidenceLink({ evidence, words, traceId }: { evidence: Evidence | undefined; words: string; traceId: string | null }): JSX.Element {
  usePlace();
  if (!evidence) return <span>{words}</span>;
  const { trace_id, span_id, name } = evidence;
  const href = trace_id === traceId ? withParams({ span: span_id }) : to(`/traces/${trace_id}`, { span: span_id });
  return (
    <a class="link" title={`${name}, ${duration(evidence.duration_ns)}: show the span`} href={href}>
      {words}
    </a>
  );
}

export function EvidenceLinks({ evidence, traceId }: { evidence: Evidence[]; traceId: string | null }): JSX.Element {
  return (
    <>
      {evidence.map((one) => (
        <span key={`${one.trace_id} ${one.span_id} ${one.name}`} class="evidence">
          <EvidenceLink evidence={one} words={one.name} traceId={traceId} /> <span class="muted">{duration(one.duration_ns)}</span>
        </span>
      ))}
    </>
  );
}

function Verdict({ account, traceId }: { account: Account; traceId: string | null }): JSX.Element {
  const { verdict } = account;
  if (verdict.kind === 'cannot_tell') {
    return (
      <p class="verdict">
        <span class="badge warn">Cannot tell</span> <Words text={verdict.because} />.
      </p>
    );
  }
  return (
    <p class="verdict">
      <span class="verdict-words"><Words text={capital(verdict.words)} />.</span> <span class="badge">{verdict.confidence} confidence</span>{' '}
      <EvidenceLinks evidence={verdict.evidence} traceId={traceId} />
    </p>
  );
}

export function capital(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** All segments and the rest as one bar, to scale. */
function Bar({ account }: { account: Account }): JSX.Element {
  const whole = Math.max(1, account.interval.duration_ns);
  const part = (ns: number) => ({ flexGrow: String(ns / whole), flexBasis: '0' });
  return (
    <div class="why-bar" role="img" aria-label={account.segments.map((one) => `${titleOf(one.category)} ${one.label} ${percent(one.duration_ns, whole)}`).join(', ')}>
      {account.segments.map((one) => (
        <i key={`${one.category} ${one.label}`} style={{ ...part(one.duration_ns), background: `var(${variableOf(one.category)})` }} title={`${titleOf(one.category)} ${one.label}: ${duration(one.duration_ns)}`} />
      ))}
      {account.residual_ns > 0 && <i class="residual" style={part(account.residual_ns)} title={`Unattributed: ${duration(account.residual_ns)}`} />}
    </div>
  );
}

function SegmentRow({ segment, whole, traceId }: { segment: Segment; whole: number; traceId: string | null }): JSX.Element {
  const estimated = segment.provenance === 'estimated';
  return (
    <tr>
      <td>
        <i class="dot" style={{ background: `var(${variableOf(segment.category)})` }} /> {titleOf(segment.category)}
      </td>
      <td class="fill">
        <EvidenceLink evidence={segment.evidence[0]} words={segment.label} traceId={traceId} />
      </td>
      <td class="number muted optional">{plural(segment.spans, 'span')}</td>
      <td class="number" title={estimated ? 'An estimate: CPU time that spans share is spread evenly over them' : 'Measured'}>
        {estimated && '~'}
        {duration(segment.duration_ns)}
      </td>
      <td class="number">{percent(segment.duration_ns, whole)}</td>
    </tr>
  );
}

function Segments({ account, traceId }: { account: Account; traceId: string | null }): JSX.Element {
  const [all, setAll] = useState(false);
  const whole = account.interval.duration_ns;
  const shown = all ? account.segments : account.segments.slice(0, SHOWN);
  const hidden = account.segments.slice(shown.length);
  return (
    <table class="why-table">
      <tbody>
        {shown.map((segment) => (
          <SegmentRow key={`${segment.category} ${segment.label}`} segment={segment} whole={whole} traceId={traceId} />
        ))}
        {hidden.length > 0 && (
          <tr>
            <td />
            <td class="fill">
              <button type="button" class="button plain small" onClick={() => setAll(true)}>
                {plural(hidden.length, 'smaller part')}
              </button>
            </td>
            <td class="optional" />
            <td class="number">{duration(hidden.reduce((ns, one) => ns + one.duration_ns, 0))}</td>
            <td class="number">{percent(hidden.reduce((ns, one) => ns + one.duration_ns, 0), whole)}</td>
          </tr>
        )}
        <tr>
          <td>
            <i class="dot residual" /> unattributed
          </td>
          <td class="fill" />
          <td class="optional" />
          <td class="number">{duration(account.residual_ns)}</td>
          <td class="number">{percent(account.residual_ns, whole)}</td>
        </tr>
      </tbody>
    </table>
  );
}

function Beside({ account, traceId }: { account: Account; traceId: string | null }): JSX.Element {
  return (
    <div class="why-beside">
      {account.findings.map((finding) => (
        <p key={finding.words}>
          <b>Seen:</b> <Words text={finding.words} />. <EvidenceLinks evidence={finding.evidence} traceId={traceId} />
        </p>
      ))}
      {account.gaps.map((gap) => (
        <p key={`${gap.inside.span_id} ${gap.duration_ns} ${gap.after}`}>
          <b>Gap:</b> {duration(gap.duration_ns)} with nothing recorded
          {gap.after !== null && ` after ${gap.after}`}
          {gap.before !== null && `${gap.after === null ? '' : ' and'} before ${gap.before}`}, inside <EvidenceLinks evidence={[gap.inside]} traceId={traceId} />
        </p>
      ))}
      {account.ruled_out.length > 0 && (
        <p>
          <b>Ruled out:</b>{' '}
          {account.ruled_out.map((other) => `${titleOf(other.category)}${other.label === null ? '' : ` (${other.label})`} at most ${percent(other.at_most_ns, account.interval.duration_ns)}`).join(', ')}.
        </p>
      )}
      {account.not_assessed.map((unknown) => (
        <p key={unknown.what}>
          <b>Not assessed:</b> <Words text={`${unknown.what}: ${unknown.because}.`} />
        </p>
      ))}
    </div>
  );
}

/** An account: verdict, where the time went to scale, and what else there is to say. */
export function AccountBody({ account, traceId }: { account: Why; traceId: string | null }): JSX.Element {
  return (
    <div class="why-body">
      <Verdict account={account} traceId={traceId} />
      <Bar account={account} />
      <div class="why-columns">
        <Segments account={account} traceId={traceId} />
        <Beside account={account} traceId={traceId} />
      </div>
      <details>
        <summary>As text</summary>
        <pre class="mono why-text">{account.text}</pre>
      </details>
    </div>
  );
}

interface CardProps {
  traceId: string;
  /** A part of the trace: this span and what is below it. */
  part: { span_id: string; name: string } | null;
}

export function WhyCard({ traceId, part }: CardProps): JSX.Element {
  usePlace();
  const answer = useQuery<Why>(address(`traces/${encodeURIComponent(traceId)}/why`, { span: part?.span_id }), { live: false });
  return (
    <section class="card why" aria-label="Why it took as long as it did">
      {part !== null && (
        <header>
          <h2>
            Only <code>{part.name}</code> and what is below it
          </h2>
          <a class="link spacer" href={withParams({ why: null })}>
            The whole trace
          </a>
        </header>
      )}
      <Await answer={answer}>{(account) => <AccountBody account={account} traceId={traceId} />}</Await>
    </section>
  );
}
