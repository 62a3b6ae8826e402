// Doctor: who sent what, what was refused and why, and what to do about it.

import type { JSX } from 'preact';
import { type Doctor, type Status, address } from '../api';
import { ago, bytes, count, duration, moment } from '../format';
import { Page } from '../parts/shell';
import { Await, Command, Words, withScheme } from '../parts/states';
import { useQuery } from '../query';

/** Longer silence than this is worth a look. */
const SILENT_MS = 120_000;

function Refusals({ refusals }: { refusals: Doctor['refusals'] }): JSX.Element {
  return (
    <section class="card table-card" aria-label="Refusals">
      <header>
        <h2>Refused</h2>
      </header>
      {refusals.length === 0 ? (
        <p class="nothing">Nothing was refused.</p>
      ) : (
        <ul class="refusals">
          {refusals.map((one, index) => (
            <li key={`${one.time_ms} ${one.peer} ${index}`}>
              <p>
                <span class="badge error">{count(one.count)} ×</span> <b>
                  <Words text={one.reason} />
                </b>
              </p>
              <p>
                <Words text={one.mend} />
              </p>
              <p class="muted">
                {one.peer} over {one.protocol}, <span title={moment(one.time_ms)}>{ago(one.time_ms)}</span>
              </p>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Senders({ senders }: { senders: Doctor['senders'] }): JSX.Element {
  return (
    <section class="card table-card" aria-label="Senders">
      <header>
        <h2>Who sent what</h2>
      </header>
      {senders.length === 0 ? (
        <p class="nothing">Nobody has sent anything since the server started.</p>
      ) : (
        <div class="scroll-x" tabIndex={0} role="group" aria-label="Who sent what">
          <table>
            <thead>
              <tr>
                <th>From</th>
                <th>Protocol</th>
                <th>Signal</th>
                <th class="optional">Client</th>
                <th class="number">Accepted</th>
                <th class="number">Refused</th>
                <th class="number optional">First</th>
                <th class="number">Last</th>
              </tr>
            </thead>
            <tbody>
              {senders.map((one) => (
                <tr key={`${one.peer} ${one.protocol} ${one.signal} ${one.client}`}>
                  <td class="mono">{one.peer}</td>
                  <td>{one.protocol}</td>
                  <td>{one.signal || '–'}</td>
                  <td class="fill optional muted">{one.client || '–'}</td>
                  <td class="number">{count(one.accepted)}</td>
                  <td class={one.refused > 0 ? 'number error-text' : 'number muted'}>{count(one.refused)}</td>
                  <td class="number muted optional" title={moment(one.first_ms)}>
                    {ago(one.first_ms)}
                  </td>
                  <td class={Date.now() - one.last_ms > SILENT_MS ? 'number warn-text' : 'number'} title={moment(one.last_ms)}>
                    {ago(one.last_ms)}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Listening({ status }: { status: Status }): JSX.Element {
  const { otlp_http, otlp_grpc } = status.listening;
  return (
    <section class="card" aria-label="Send here">
      <header>
        <h2>Send here</h2>
      </header>
      <div class="body stack">
        {otlp_http && <Command text={`OTEL_EXPORTER_OTLP_ENDPOINT=${withScheme(otlp_http)} OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf`} />}
        {otlp_grpc && <Command text={`OTEL_EXPORTER_OTLP_ENDPOINT=${withScheme(otlp_grpc)} OTEL_EXPORTER_OTLP_PROTOCOL=grpc`} />}
        <Command text="sonde run -- python app.py" />
        {!otlp_http && !otlp_grpc && <p class="warn-text">No receiver listens.</p>}
      </div>
    </section>
  );
}

function Store({ status }: { status: Status }): JSX.Element {
  const { store, received } = status;
  const part = store.bytes_max === null ? null : Math.min(100, (100 * store.bytes) / store.bytes_max);
  return (
    <section class="card" aria-label="Store">
      <header>
        <h2>Store</h2>
        <span class="muted spacer">sonde {status.version}</span>
      </header>
      <div class="body stack">
        {part !== null && (
          <div class="meter" role="meter" aria-valuenow={Math.round(part)} aria-valuemin={0} aria-valuemax={100} aria-label="Room taken">
            <i style={{ width: `${part}%` }} />
          </div>
        )}
        <dl class="pairs">
          <dt>Size</dt>
          <dd>
            {bytes(store.bytes)}
            {store.bytes_max !== null && ` of ${bytes(store.bytes_max)}`}
          </dd>
          <dt>Kept for</dt>
          <dd>{store.age_max_s === null ? 'no limit of age' : duration(store.age_max_s * 1e9)}</dd>
          <dt>Segments</dt>
          <dd>
            {count(store.segments)}, and {count(store.rows_in_memory)} rows in memory
          </dd>
          <dt>Folder</dt>
          <dd class="mono">{store.folder ?? 'in memory only'}</dd>
          {store.clickhouse && (
            <>
              <dt>ClickHouse</dt>
              <dd>
                <span class="mono">{store.clickhouse.place}</span>
                {store.clickhouse.failed && <span class="error-text"> {store.clickhouse.failed}</span>}
              </dd>
            </>
          )}
          <dt>Received</dt>
          <dd>
            {count(received.spans)} spans, {count(received.logs)} logs, {count(received.points)} points,{' '}
            <span class={received.refused > 0 ? 'error-text' : ''}>{count(received.refused)} refused</span>
          </dd>
        </dl>
      </div>
    </section>
  );
}

export function DoctorPage(): JSX.Element {
  const doctor = useQuery<Doctor>(address('doctor'));
  const status = useQuery<Status>(address('status'));
  return (
    <Page title="Doctor" ranged={false}>
      <Await answer={doctor}>
        {({ senders, refusals }) => (
          <div class="grid">
            <Refusals refusals={refusals} />
            <Senders senders={senders} />
          </div>
        )}
      </Await>
      <Await answer={status}>
        {(data) => (
          <div class="grid halves">
            <Listening status={data} />
            <Store status={data} />
          </div>
        )}
      </Await>
    </Page>
  );
}
