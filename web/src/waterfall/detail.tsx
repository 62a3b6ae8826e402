// Everything about the selected span.

import type { JSX, RefObject } from 'preact';
import { useState } from 'preact/hooks';
import type { TraceLog } from '../api';
import { BUNDLE } from '../bundle';
import { clock, duration, moment, percent, plural } from '../format';
import { AttributeTable, Service, said } from '../parts/bits';
import { CopyButton } from '../parts/states';
import { profileOf } from '../profile/link';
import { to, withParams } from '../router';
import { type Model, isError } from './model';

interface Props {
  box: RefObject<HTMLElement | null>;
  model: Model;
  index: number;
  onClose: () => void;
  onZoom: () => void;
}

function Facts({ model, index }: { model: Model; index: number }): JSX.Element | null {
  const span = model.spans[index];
  if (!span) return null;
  const { trace } = model;
  const self = model.self[index] as number;
  const parent = model.spans[model.parent[index] as number];
  return (
    <dl class="pairs">
      <dt>Duration</dt>
      <dd>
        <b>{duration(span.duration_ns)}</b> <span class="muted">{percent(span.duration_ns, trace.duration_ns)} of the trace</span>
      </dd>
      <dt>Self time</dt>
      <dd>
        {duration(self)} <span class="muted">{percent(self, span.duration_ns)} of the span</span>
      </dd>
      <dt>Start</dt>
      <dd>
        +{duration(span.offset_ns)} <span class="muted" title={moment(trace.start_ms + span.offset_ns / 1e6)}>
          {clock(trace.start_ms + span.offset_ns / 1e6)}
        </span>
      </dd>
      <dt>Service</dt>
      <dd>
        <Service name={span.service} />
      </dd>
      <dt>Kind</dt>
      <dd>{span.kind}</dd>
      <dt>Scope</dt>
      <dd class="mono">{span.scope || '–'}</dd>
      {span.parent_span_id && (
        <>
          <dt>Parent</dt>
          <dd>
            {parent ? (
              <a class="link" href={withParams({ span: parent.span_id })}>
                {parent.name}
              </a>
            ) : (
              <span class="warn-text">
                <span class="mono">{span.parent_span_id}</span> was not received
              </span>
            )}
          </dd>
        </>
      )}
      {!BUNDLE && (
        <>
          <dt>More</dt>
          <dd>
            <a class="link" href={withParams({ why: span.span_id })} title="Where the time of this span went">
              Why this span
            </a>{' '}
            <a class="link" href={to('/compare', { b_trace: trace.trace_id, b_span: span.span_id })} title="With the faster half of the spans like it">
              Compare
            </a>
          </dd>
        </>
      )}
      <dt>Span ID</dt>
      <dd class="mono">
        {span.span_id} <CopyButton text={span.span_id} words="Copy span ID" />
      </dd>
    </dl>
  );
}

const LOGS_SHOWN = 50;

function LogItem({ log }: { log: TraceLog }): JSX.Element {
  const [open, setOpen] = useState(false);
  const level = log.severity >= 17 ? 'error' : log.severity >= 13 ? 'warn' : '';
  return (
    <li>
      <button type="button" class="detail-log" aria-expanded={open} onClick={() => setOpen(!open)}>
        <span class="muted">+{duration(log.offset_ns)}</span> <span class={`badge ${level}`}>{log.event_name || log.severity_text}</span> <span class="log-body">{said(log)}</span>
      </button>
      {open && <AttributeTable attributes={log.attributes} find={false} />}
    </li>
  );
}

function Logs({ logs }: { logs: TraceLog[] }): JSX.Element {
  return (
    <section>
      <h3>{plural(logs.length, 'log')} and events</h3>
      <ul>
        {logs.slice(0, LOGS_SHOWN).map((log, index) => (
          <LogItem key={index} log={log} />
        ))}
      </ul>
      {logs.length > LOGS_SHOWN && <p class="muted">The first {LOGS_SHOWN} of them.</p>}
    </section>
  );
}

export function Detail({ box, model, index, onClose, onZoom }: Props): JSX.Element | null {
  const span = model.spans[index];
  if (!span) return null;
  const logs = model.logs.get(index) ?? [];
  return (
    <aside ref={box} class="detail" tabIndex={-1} aria-label="Selected span">
      <header>
        <h2 class="grow">{span.name}</h2>
        <button type="button" class="button plain small" onClick={onZoom} title="Zoom to the span">
          Zoom <kbd>f</kbd>
        </button>
        <a class="button plain small" href={profileOf(model.trace, span.span_id)} title="Flame graph of the samples taken in this span">
          Samples
        </a>
        <button type="button" class="button plain small" onClick={onClose} title="Close the details">
          <span aria-hidden="true">✕</span>
          <span class="hidden-text">Close the details</span>
        </button>
      </header>
      {isError(span) && (
        <p class="detail-error">
          <span class="badge error">Error</span> {span.status_message || 'without a message'}
        </p>
      )}
      <Facts model={model} index={index} />
      <section>
        <h3>Attributes</h3>
        <AttributeTable attributes={span.attributes} />
      </section>
      {logs.length > 0 && <Logs logs={logs} />}
      {span.links.length > 0 && (
        <section>
          <h3>{plural(span.links.length, 'link')}</h3>
          <ul>
            {span.links.map((link) => (
              <li key={`${link.trace_id} ${link.span_id}`}>
                <a class="link mono" href={to(`/traces/${link.trace_id}`, { span: link.span_id })}>
                  {link.trace_id.slice(0, 12)}… / {link.span_id}
                </a>
              </li>
            ))}
          </ul>
        </section>
      )}
      <details>
        <summary>Resource</summary>
        <AttributeTable attributes={model.trace.resources[span.resource] ?? {}} find={false} />
      </details>
    </aside>
  );
}
