// Small things that many pages show: services, times, search fields, attributes.

import type { JSX, TargetedEvent, TargetedKeyboardEvent } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Attribute, Attributes } from '../api';
import { clock, moment } from '../format';
import { hue } from '../palette';
import { to } from '../router';
import { Icon } from './icons';
import { CopyButton } from './states';

export function Service({ name }: { name: string }): JSX.Element {
  return (
    <span class={`service hue-${hue(name)}`}>
      <i class="dot" />
      <span class="clip" title={name}>
        {name}
      </span>
    </span>
  );
}

export function Time({ ms }: { ms: number }): JSX.Element {
  return (
    <time dateTime={new Date(ms).toISOString()} title={moment(ms)}>
      {clock(ms)}
    </time>
  );
}

export function Share({ part, whole }: { part: number; whole: number }): JSX.Element {
  return (
    <span class="share" aria-hidden="true">
      <i style={{ width: `${whole === 0 ? 0 : Math.min(100, (100 * part) / whole)}%` }} />
    </span>
  );
}

interface SearchProps {
  value: string;
  label: string;
  placeholder: string;
  onChange: (value: string) => void;
  code?: boolean;
  /** One of several fields of a form: neither the magnifier nor the key, which goes to the first. */
  plain?: boolean;
  /** Waits for Enter instead of searching while one types: for filters that are not valid half-written. */
  onEnter?: boolean;
}

export function SearchField({ value, label, placeholder, onChange, code = false, plain = false, onEnter = false }: SearchProps): JSX.Element {
  const [text, setText] = useState(value);
  const timer = useRef(0);
  useEffect(() => setText(value), [value]);
  const onInput = (event: TargetedEvent<HTMLInputElement>) => {
    const next = event.currentTarget.value;
    setText(next);
    clearTimeout(timer.current);
    if (!onEnter || next === '') timer.current = window.setTimeout(() => onChange(next), onEnter ? 0 : 250);
  };
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLInputElement>) => {
    if (event.key !== 'Enter') return;
    clearTimeout(timer.current);
    onChange(text);
  };
  return (
    <div class={`search${code ? ' code' : ''}${plain ? ' plain' : ''}`}>
      <input class="field" type="search" spellcheck={false} autocomplete="off" data-search aria-label={label} placeholder={placeholder} value={text} onInput={onInput} onKeyDown={onKeyDown} />
      {!plain && (
        <>
          <Icon name="search" />
          <kbd aria-hidden="true">/</kbd>
        </>
      )}
    </div>
  );
}

interface ChoiceProps {
  value: string;
  label: string;
  options: { value: string; words: string }[];
  onChange: (value: string) => void;
}

export function Choice({ value, label, options, onChange }: ChoiceProps): JSX.Element {
  return (
    <select class="field" aria-label={label} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
      {options.map((option) => (
        <option key={option.value} value={option.value}>
          {option.words}
        </option>
      ))}
    </select>
  );
}

export function entries(attributes: Attributes): [string, Attribute][] {
  return Object.entries(attributes ?? {});
}

export function text(value: Attribute): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** As the filter of traces wants it: words in quotes, numbers and truth as they are. */
function literal(value: Attribute): string | null {
  if (typeof value === 'string') return `"${value.replace(/[\\"]/g, '\\$&')}"`;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : null;
}

function AttributeRow({ name, value, find }: { name: string; value: Attribute; find: boolean }): JSX.Element {
  const wanted = literal(value);
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>
        <span class="actions">
          {find && wanted !== null && (
            <a class="button plain small" href={to('/traces', { q: `${name} = ${wanted}` })} title="Find traces with this value">
              <Icon name="filter" />
              <span class="hidden-text">Find traces with this value</span>
            </a>
          )}
          <CopyButton text={text(value)} words="Copy value" />
        </span>
        <span class="mono">{text(value)}</span>
      </td>
    </tr>
  );
}

/** What an event says in a line: events have no body, their attributes are what they tell. */
export function said({ body, attributes }: { body: string; attributes: Attributes }): string {
  if (body !== '') return body;
  return entries(attributes)
    .map(([key, value]) => `${key}=${text(value)}`)
    .join(' ');
}

export function AttributeTable({ attributes, find = true }: { attributes: Attributes; find?: boolean }): JSX.Element {
  const rows = entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1));
  if (rows.length === 0) return <p class="muted">None.</p>;
  return (
    <table class="attributes">
      <tbody>
        {rows.map(([name, value]) => (
          <AttributeRow key={name} name={name} value={value} find={find} />
        ))}
      </tbody>
    </table>
  );
}
