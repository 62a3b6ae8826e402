// When alerts would have fired, and when who would have been told: a line for each alert and each receiver.

import type { JSX } from 'preact';
import type { Alert, Labels, Rehearsal } from '../api';
import { clock, duration, moment, plural } from '../format';
import { keyOf, ms, nameOf, others, valueWords } from './words';

const LINES_SHOWN = 40;
const TICKS = 5;

/** A time for which an alert fired. */
export interface Episode {
  alert: Alert;
  fromMs: number;
  /** Null while it fires. */
  untilMs: number | null;
}

/** By the order in which they began. */
export function episodesOf(changes: Rehearsal['changes']): Episode[] {
  const episodes: Episode[] = [];
  const open = new Map<string, Episode>();
  for (const { time_unix_ns, alert } of changes) {
    const key = keyOf(alert.labels);
    const found = open.get(key);
    if (alert.phase === 'firing' && !found) {
      const episode = { alert, fromMs: ms(time_unix_ns), untilMs: null };
      open.set(key, episode);
      episodes.push(episode);
    } else if (alert.phase === 'resolved' && found) {
      found.untilMs = ms(time_unix_ns);
      open.delete(key);
    }
  }
  return episodes;
}

export interface Span {
  startMs: number;
  endMs: number;
}

function part(at: number, { startMs, endMs }: Span): number {
  return Math.min(100, Math.max(0, (100 * (at - startMs)) / (endMs - startMs)));
}

function said(labels: Labels): string {
  return others(labels).map(([name, value]) => `${name}=${value}`).join(' ') || nameOf(labels);
}

function lasted(episode: Episode, endMs: number): number {
  return ((episode.untilMs ?? endMs) - episode.fromMs) * 1e6;
}

function AlertLine({ episodes, span }: { episodes: Episode[]; span: Span }): JSX.Element | null {
  const [first] = episodes;
  if (!first) return null;
  const words = said(first.alert.labels);
  const total = episodes.reduce((sum, episode) => sum + lasted(episode, span.endMs), 0);
  return (
    <li>
      <span class="clip mono" title={words}>
        {words}
      </span>
      <span class="track" aria-hidden="true">
        {episodes.map((episode) => {
          const left = part(episode.fromMs, span);
          return <i key={episode.fromMs} class={episode.alert.severity} style={{ left: `${left}%`, width: `${part(episode.untilMs ?? span.endMs, span) - left}%` }} title={`${clock(episode.fromMs, false)}, for ${duration(lasted(episode, span.endMs))}`} />;
        })}
      </span>
      <span class="muted number">
        {plural(episodes.length, 'time')}, {duration(total)}
      </span>
    </li>
  );
}

function ReceiverLine({ receiver, messages, span }: { receiver: string; messages: Rehearsal['messages']; span: Span }): JSX.Element {
  return (
    <li>
      <span class="clip" title={receiver}>
        told: {receiver}
      </span>
      <span class="track" aria-hidden="true">
        {messages.map((message) => (
          <b key={`${message.time_unix_ns} ${message.group_key}`} style={{ left: `${part(ms(message.time_unix_ns), span)}%` }} title={clock(ms(message.time_unix_ns), false)} />
        ))}
      </span>
      <span class="muted number">{plural(messages.length, 'message')}</span>
    </li>
  );
}

function grouped<T>(all: T[], key: (one: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const one of all) {
    const found = groups.get(key(one));
    if (found) found.push(one);
    else groups.set(key(one), [one]);
  }
  return groups;
}

function Axis({ span }: { span: Span }): JSX.Element {
  const step = (span.endMs - span.startMs) / TICKS;
  return (
    <li class="axis muted" aria-hidden="true">
      <span />
      <span class="track">
        {Array.from({ length: TICKS }, (_, index) => (
          <small key={index} style={{ left: `${(100 * index) / TICKS}%` }}>
            {clock(span.startMs + index * step, false)}
          </small>
        ))}
      </span>
      <span />
    </li>
  );
}

interface TimelineProps {
  episodes: Episode[];
  messages: Rehearsal['messages'];
  span: Span;
  unit: string | undefined;
}

export function Timeline({ episodes, messages, span, unit }: TimelineProps): JSX.Element {
  const alerts = [...grouped(episodes, (episode) => keyOf(episode.alert.labels))];
  const receivers = [...grouped(messages, (message) => message.receiver)];
  return (
    <section class="card table-card" aria-label="Timeline">
      <header>
        <h2>When it would have fired</h2>
        <span class="muted spacer">
          {moment(span.startMs)} to {moment(span.endMs)}
        </span>
      </header>
      <ol class="alert-timeline body below-head">
        {alerts.slice(0, LINES_SHOWN).map(([key, own]) => (
          <AlertLine key={key} episodes={own} span={span} />
        ))}
        {receivers.map(([receiver, own]) => (
          <ReceiverLine key={receiver} receiver={receiver} messages={own} span={span} />
        ))}
        <Axis span={span} />
      </ol>
      {alerts.length > LINES_SHOWN && <p class="nothing">The first {LINES_SHOWN} of {alerts.length} alerts; all of them are in the text.</p>}
      <details class="as-text">
        <summary>As text</summary>
        <ul>
          {episodes.map((episode) => (
            <li key={`${episode.fromMs} ${keyOf(episode.alert.labels)}`}>
              <span class="mono">{said(episode.alert.labels)}</span> fired at {clock(episode.fromMs, false)} ({valueWords(episode.alert.value, unit)}) and {episode.untilMs === null ? 'still does at the end' : `was resolved after ${duration(lasted(episode, span.endMs))}`}.
            </li>
          ))}
        </ul>
      </details>
    </section>
  );
}
