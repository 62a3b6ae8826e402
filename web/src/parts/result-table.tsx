// Rows of a SQL answer: numbers to the right, identifiers of traces as links.

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { Attribute, SqlAnswer } from '../api';
import { to } from '../router';
import { text } from './bits';
import { More } from './states';

const PAGE = 200;
const TRACE_ID = /^[0-9a-f]{32}$/;

function isNumeric(type: string): boolean {
  return type === 'integer' || type === 'number';
}

/** All digits, in groups: what was asked for is not rounded. */
function digits(value: number): string {
  if (Number.isInteger(value)) return value.toLocaleString('en-GB').replaceAll(',', '\u202f');
  return value.toLocaleString('en-GB', { maximumSignificantDigits: 7, useGrouping: false });
}

function Cell({ value, column, numeric }: { value: Attribute; column: string; numeric: boolean }): JSX.Element {
  if (value === null) return <td class={`muted${numeric ? ' number' : ''}`}>null</td>;
  if (typeof value === 'number') return <td class="number">{digits(value)}</td>;
  const words = text(value);
  if (column.endsWith('trace_id') && TRACE_ID.test(words)) {
    return (
      <td>
        <a class="link mono" data-row href={to(`/traces/${words}`)}>
          {words}
        </a>
      </td>
    );
  }
  return (
    <td class={numeric ? 'number' : 'cell'} title={words.length > 60 ? words : undefined}>
      {words}
    </td>
  );
}

export function ResultTable({ answer }: { answer: SqlAnswer }): JSX.Element {
  const [shown, setShown] = useState(PAGE);
  const numeric = answer.columns.map((column) => isNumeric(column.type));
  return (
    <>
      <div class="scroll-x" tabIndex={0} role="group" aria-label="Rows">
        <table>
          <thead>
            <tr>
              {answer.columns.map((column, index) => (
                <th key={index} class={numeric[index] ? 'number' : ''} title={column.type}>
                  {column.name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {answer.rows.slice(0, shown).map((row, index) => (
              <tr key={index}>
                {row.map((value, at) => (
                  <Cell key={at} value={value} column={answer.columns[at]?.name ?? ''} numeric={numeric[at] ?? false} />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {answer.rows.length > shown && <More shown={shown} what="rows" onMore={() => setShown(shown + 5 * PAGE)} />}
    </>
  );
}
