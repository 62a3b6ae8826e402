// What fires and what may soon: how bad, since when, what to do about it, and the form that silences it.

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { Alert, AlertRule, Alerts, Held, Labels } from '../api';
import { count, moment, plural } from '../format';
import { Choice, SearchField } from '../parts/bits';
import { Command, Empty, More, Words } from '../parts/states';
import { setParams, to, usePlace } from '../router';
import { SilenceForm } from './silence-form';
import { SEVERITIES, badge, becauseWords, inOrder, keyOf, nameOf, others, sinceMs, sinceWords, urgency, valueWords } from './words';

const SHOWN = 100;

export function LabelList({ labels }: { labels: Labels }): JSX.Element {
  return (
    <>
      {others(labels).map(([name, value]) => (
        <span key={name} class="label mono">
          {name}={value}
        </span>
      ))}
    </>
  );
}

interface EntryProps {
  alert: Alert;
  unit: string | undefined;
  held: Held[];
  isSilencing: boolean;
  onSilenced: () => void;
}

function Entry({ alert, unit, held, isSilencing, onSilenced }: EntryProps): JSX.Element {
  const { annotations, labels, phase, severity } = alert;
  const name = nameOf(labels);
  const key = keyOf(labels);
  const isSilenced = held.some((one) => one.because.kind === 'silenced');
  return (
    <li class={`alert ${phase} ${severity}`}>
      <div class="entry-head">
        <span class={badge(severity)}>{severity}</span>
        <b class="grow">
          <Words text={annotations['summary'] || name} />
        </b>
        <button type="button" class="button small" data-row aria-expanded={isSilencing} onClick={() => setParams({ silence: isSilencing ? null : key })}>
          Silence<span class="hidden-text"> {name}</span>
        </button>
      </div>
      {annotations['action'] && (
        <p>
          <span class="muted">What to do:</span> <Words text={annotations['action']} />
        </p>
      )}
      {annotations['description'] && (
        <p class="muted">
          <Words text={annotations['description']} />
        </p>
      )}
      <p class="alert-facts">
        <a class="link" href={to(`/alerts/${encodeURIComponent(name)}`, { range: '24h', from: null, to: null })} title="What this rule would have done over the last day">
          {name}
        </a>
        <span title={`Since ${moment(sinceMs(alert))}`}>{sinceWords(alert)}</span>
        <span>
          <span class="muted">value</span> {valueWords(alert.value, unit)}
        </span>
        <LabelList labels={labels} />
        {isSilenced && <span class="badge accent">silenced</span>}
      </p>
      {held.map((one) => (
        <p key={`${one.receiver} ${one.group_key}`} class="muted">
          {one.receiver} is not told: <Words text={becauseWords(one.because, Date.now())} />.
        </p>
      ))}
      {isSilencing && <SilenceForm labels={labels} onDone={onSilenced} />}
    </li>
  );
}

function Nothing({ rules }: { rules: AlertRule[] }): JSX.Element {
  if (rules.length === 0) {
    return (
      <Empty title="Nothing is watched">
        <p class="muted">There are no rules. Write some into a file; without <code>defaults = false</code> in it those that come with Radiosonde are there too:</p>
        <Command text="sonde serve --alerts alerts.toml" />
      </Empty>
    );
  }
  return (
    <Empty title="Nothing fires">
      <p class="muted">
        {plural(rules.length, 'rule')} {rules.length === 1 ? 'is' : 'are'} watched, listed below. Whether one would have told you of something that went wrong earlier is found out by rehearsing it: choose it, and a range of time. In a terminal:
      </p>
      <Command text="sonde alerts" />
    </Empty>
  );
}

function NoneFound(): JSX.Element {
  return (
    <Empty title="No alert matches">
      <p>
        <button type="button" class="button small" onClick={() => setParams({ q: null, severity: null }, false)}>
          Show all
        </button>
      </p>
    </Empty>
  );
}

/** Words of an alert that one may look for. */
function wordsOf(alert: Alert): string {
  return [alert.phase, alert.severity, ...Object.entries(alert.labels).map(([name, value]) => `${name}=${value}`), ...Object.values(alert.annotations)].join('\n').toLowerCase();
}

function heldOf(held: Held[]): Map<string, Held[]> {
  const byAlert = new Map<string, Held[]>();
  for (const one of held) {
    const key = keyOf(one.alert.labels);
    byAlert.set(key, [...(byAlert.get(key) ?? []), one]);
  }
  return byAlert;
}

export function AlertList({ data, onSilenced }: { data: Alerts; onSilenced: () => void }): JSX.Element {
  const { params } = usePlace();
  const [limit, setLimit] = useState(SHOWN);
  const q = params.get('q') ?? '';
  const least = SEVERITIES.find((severity) => severity === params.get('severity')) ?? 'info';
  const found = inOrder(data.alerts.filter((alert) => urgency(alert.severity) >= urgency(least) && wordsOf(alert).includes(q.toLowerCase())));
  const units = new Map(data.rules.map((rule) => [rule.name, rule.unit]));
  const held = heldOf(data.held);
  const firing = data.alerts.filter((alert) => alert.phase === 'firing').length;
  if (data.alerts.length === 0) return <Nothing rules={data.rules} />;
  return (
    <>
      <div class="filters">
        <SearchField value={q} label="Text in alerts" placeholder="cuda:1" onChange={(next) => setParams({ q: next })} />
        <Choice
          label="Least severity"
          value={least}
          options={SEVERITIES.map((severity, index) => ({ value: severity, words: index === 0 ? 'Every severity' : index === SEVERITIES.length - 1 ? 'Critical alone' : `${severity[0]?.toUpperCase()}${severity.slice(1)} and above` }))}
          onChange={(next) => setParams({ severity: next === 'info' ? null : next }, false)}
        />
      </div>
      {found.length === 0 ? (
        <NoneFound />
      ) : (
        <section class="card table-card alerts-card" aria-label="Alerts">
          <header>
            <h2>
              {count(firing)} firing, {count(data.alerts.length - firing)} pending
            </h2>
          </header>
          <ul>
            {found.slice(0, limit).map((alert) => {
              const key = keyOf(alert.labels);
              return <Entry key={key} alert={alert} unit={units.get(nameOf(alert.labels))} held={held.get(key) ?? []} isSilencing={params.get('silence') === key} onSilenced={onSilenced} />;
            })}
          </ul>
          {found.length > limit && <More shown={limit} what="alerts" onMore={() => setLimit(limit + SHOWN)} />}
        </section>
      )}
    </>
  );
}
