// Logs: the newest first, followed live; each opens to show what is attached to it and the trace it belongs to.

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { type LogRow, type Logs, address } from '../api';
import { BUNDLE } from '../bundle';
import { plural } from '../format';
import { AttributeTable, Choice, SearchField, Service, Time, said } from '../parts/bits';
import { Page } from '../parts/shell';
import { Await, Empty, More, NothingYet } from '../parts/states';
import { useQuery } from '../query';
import { setParams, to, usePlace } from '../router';
import { useRange } from '../time';
import { ServiceChoice } from './traces';

const LIMIT = 200;
const LIMIT_MAX = 2000;

const SEVERITIES = [
  { value: '', words: 'Every severity' },
  { value: '5', words: 'DEBUG and above' },
  { value: '9', words: 'INFO and above' },
  { value: '13', words: 'WARN and above' },
  { value: '17', words: 'ERROR and above' },
];

/** How a severity looks: OpenTelemetry's numbers go by fours. */
export function severityClass(severity: number): string {
  if (severity >= 17) return 'error';
  return severity >= 13 ? 'warn' : '';
}

/** Logs that agree in all of this are told apart by how many came before. */
function keysOf(logs: LogRow[]): string[] {
  const seen = new Map<string, number>();
  // From the oldest on, so that one keeps its key when newer ones arrive.
  return logs
    .toReversed()
    .map((log) => {
      const key = `${log.time_unix_ns} ${log.span_id ?? ''} ${log.service}`;
      const before = seen.get(key) ?? 0;
      seen.set(key, before + 1);
      return `${key} ${before}`;
    })
    .toReversed();
}

function Detail({ log }: { log: LogRow }): JSX.Element {
  return (
    <div class="log-detail">
      {log.body !== '' && <pre class="mono">{log.body}</pre>}
      <dl class="pairs">
        {log.event_name && (
          <>
            <dt>Event</dt>
            <dd class="mono">{log.event_name}</dd>
          </>
        )}
        <dt>Scope</dt>
        <dd class="mono">{log.scope || '–'}</dd>
        {log.trace_id && (
          <>
            <dt>Trace</dt>
            <dd>
              <a class="link mono" href={to(`/traces/${log.trace_id}`, { span: log.span_id })}>
                {log.trace_id}
              </a>
            </dd>
          </>
        )}
      </dl>
      <AttributeTable attributes={log.attributes} find={false} />
    </div>
  );
}

function Row({ log }: { log: LogRow }): JSX.Element {
  const [open, setOpen] = useState(false);
  return (
    <li class={`log ${severityClass(log.severity)}`}>
      <button type="button" class="log-line" data-row aria-expanded={open} onClick={() => setOpen(!open)}>
        <span class="log-time">
          <Time ms={log.time_ms} />
        </span>
        <span class={`badge ${severityClass(log.severity)}`}>{log.severity_text}</span>
        <span class="log-service">
          <Service name={log.service} />
        </span>
        <span class="clip grow">
          {log.event_name && <span class="badge accent">{log.event_name}</span>} {said(log)}
        </span>
      </button>
      {log.trace_id && (
        <a class="link log-trace" href={to(`/traces/${log.trace_id}`, { span: log.span_id })}>
          Trace
        </a>
      )}
      {open && <Detail log={log} />}
    </li>
  );
}

function List({ logs }: { logs: LogRow[] }): JSX.Element {
  const keys = keysOf(logs);
  return (
    <ol class="log-list" aria-label={plural(logs.length, 'log')}>
      {logs.map((log, index) => (
        <Row key={keys[index]} log={log} />
      ))}
    </ol>
  );
}

export function LogsPage(): JSX.Element {
  const { params } = usePlace();
  const range = useRange();
  const filters = {
    q: params.get('q') ?? '',
    service: params.get('service') ?? '',
    severity: params.get('severity') ?? '',
    trace_id: params.get('trace_id') ?? '',
  };
  const limit = params.get('limit') === null ? LIMIT : LIMIT_MAX;
  const filtered = Object.values(filters).some((value) => value !== '');
  const answer = useQuery<Logs>(address('logs', { ...filters, from: range.from, to: range.to, limit }), { live: range.live });
  return (
    <Page title="Logs">
      <div class="filters">
        <SearchField value={filters.q} label="Text in the log" placeholder="Text in the body" onChange={(q) => setParams({ q })} />
        <Choice label="Least severity" value={filters.severity} options={SEVERITIES} onChange={(severity) => setParams({ severity }, false)} />
        <ServiceChoice range={range} value={filters.service} />
        {filters.trace_id !== '' && (
          <button type="button" class="button" onClick={() => setParams({ trace_id: null }, false)} title="Show logs of every trace">
            Trace <span class="mono">{filters.trace_id.slice(0, 8)}</span> ✕
          </button>
        )}
      </div>
      <Await answer={answer}>
        {({ logs, more }) => {
          if (logs.length === 0 && !filtered) return <NothingYet title="No logs in this range of time" />;
          if (logs.length === 0) {
            return (
              <Empty title="No log matches">
                <p class="muted">Take a filter away{BUNDLE ? '' : ' or widen the range of time'}.</p>
              </Empty>
            );
          }
          return (
            <section class="card" aria-label="Logs">
              <List logs={logs} />
              {more === true && <More shown={logs.length} what="logs" onMore={limit < LIMIT_MAX ? () => setParams({ limit: LIMIT_MAX }) : undefined} />}
            </section>
          );
        }}
      </Await>
    </Page>
  );
}
