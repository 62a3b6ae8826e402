// Libraries by what is charged to them, functions by what they took themselves.

import type { ComponentChildren, JSX } from 'preact';
import type { Flame, FlameFunction, FlameLibrary } from '../api';
import { percent } from '../format';
import { Service, Share } from '../parts/bits';
import { setParams } from '../router';
import { amount } from './words';

const ROWS_MAX = 12;

function Table({ title, note, heads, children }: { title: string; note: string; heads: string[]; children: ComponentChildren }): JSX.Element {
  return (
    <section class="card table-card" aria-label={title}>
      <header>
        <h2>{title}</h2>
        <span class="muted">{note}</span>
      </header>
      <div class="scroll-x" tabIndex={0} role="group" aria-label={title}>
        <table>
          <thead>
            <tr>
              {heads.map((head, index) => (
                <th key={head} class={index === 0 ? '' : 'number'}>
                  {head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>{children}</tbody>
        </table>
      </div>
    </section>
  );
}

/** The share of one side, and of two how much more that is than it was. */
function Part({ value, before, answer }: { value: number; before: number | undefined; answer: Flame }): JSX.Element {
  const more = answer.b_total ? (value / Math.max(1, answer.total) - (before ?? 0) / answer.b_total) * 100 : null;
  return (
    <>
      <Share part={value} whole={answer.total} /> <span class="profile-share">{percent(value, answer.total)}</span>
      {more !== null && (
        <span class={`profile-change ${more > 0 ? 'grew' : 'shrank'}`}>
          {more > 0 ? '+' : '−'}
          {Math.abs(more).toFixed(1)}
        </span>
      )}
    </>
  );
}

function LibraryRow({ row, answer }: { row: FlameLibrary; answer: Flame }): JSX.Element {
  return (
    <tr>
      <td class="fill">
        <button type="button" class="link-button" data-row title="Highlight it in the graph" onClick={() => setParams({ find: row.library })}>
          <Service name={row.library} />
        </button>
      </td>
      <td class="number">
        <Part value={row.charged} before={row.b_charged} answer={answer} />
      </td>
      <td class="number">{amount(row.charged, answer.unit)}</td>
      <td class="number muted">{amount(row.own, answer.unit)}</td>
    </tr>
  );
}

function FunctionRow({ row, answer }: { row: FlameFunction; answer: Flame }): JSX.Element {
  return (
    <tr>
      <td class="fill">
        <button type="button" class="link-button mono clip" data-row title={`${row.function}, ${row.library}${row.file && `, ${row.file}`}`} onClick={() => setParams({ find: row.function })}>
          {row.function}
        </button>
      </td>
      <td class="number">
        <Part value={row.own} before={row.b_own} answer={answer} />
      </td>
      <td class="number">{amount(row.own, answer.unit)}</td>
      <td class="number muted">{amount(row.total, answer.unit)}</td>
    </tr>
  );
}

export function Rankings({ answer }: { answer: Flame }): JSX.Element {
  return (
    <div class="grid halves">
      <Table title="Libraries" note="with what the kernel, libc or an interpreter did for them" heads={['Library', 'Charged', 'In all', 'Own']}>
        {answer.libraries.slice(0, ROWS_MAX).map((row) => (
          <LibraryRow key={row.library} row={row} answer={answer} />
        ))}
      </Table>
      <Table title="Functions" note="wherever they were called from" heads={['Function', 'Own', 'In all', 'With callees']}>
        {answer.functions.slice(0, ROWS_MAX).map((row) => (
          <FunctionRow key={`${row.function} ${row.file} ${row.library}`} row={row} answer={answer} />
        ))}
      </Table>
    </div>
  );
}
