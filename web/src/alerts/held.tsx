// What receivers were not told of, and why.

import type { JSX } from 'preact';
import type { Held } from '../api';
import { Words } from '../parts/states';
import { LabelList } from './list';
import { badge, becauseWords, keyOf, nameOf } from './words';

const SHOWN = 200;

interface HeldProps {
  held: Held[];
  /** As of when, in milliseconds since the epoch. */
  now: number;
  title: string;
  nothing: string;
}

export function HeldTable({ held, now, title, nothing }: HeldProps): JSX.Element {
  return (
    <section class="card table-card" aria-label={title}>
      <header>
        <h2>{title}</h2>
        {held.length > SHOWN && (
          <span class="muted spacer">
            The first {SHOWN} of {held.length}
          </span>
        )}
      </header>
      {held.length === 0 ? (
        <p class="nothing">{nothing}</p>
      ) : (
        <div class="scroll-x" tabIndex={0} role="group" aria-label={title}>
          <table class="wrapping">
            <thead>
              <tr>
                <th>From</th>
                <th>Alert</th>
                <th>Because</th>
              </tr>
            </thead>
            <tbody>
              {held.slice(0, SHOWN).map(({ receiver, group_key, alert, because }) => (
                <tr key={`${receiver} ${group_key} ${keyOf(alert.labels)}`}>
                  <td class="clip" title={`${receiver}, the group ${group_key}`}>
                    {receiver}
                  </td>
                  <td class="breaking">
                    <span class={alert.phase === 'resolved' ? 'badge' : badge(alert.severity)}>{alert.phase}</span> {nameOf(alert.labels)} <LabelList labels={alert.labels} />
                  </td>
                  <td>
                    <Words text={becauseWords(because, now)} />
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
