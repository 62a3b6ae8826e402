// The panels of a dashboard: lines, numbers, tables and words, each with its own question and its own error.

import type { JSX } from 'preact';
import { askSql, type Panel, type SqlAnswer } from '../api';
import { measured } from '../format';
import { type Element, type PromAnswer, atEnd, names, numberOf } from '../promql';
import { useQuery } from '../query';
import { type Range, useRange } from '../time';
import { PromLines, PromTable, QueryProblem } from './promql';
import { ResultTable } from './result-table';
import { Await, Empty, Words } from './states';

/** Values of a number that is several. */
const VALUES_MAX = 8;

/** The page's time as SQL says it; one that follows is relative, so that the statement stays the same. */
function within(statement: string, range: Range): string {
  const at = (ns: string) => `arrow_cast(${ns}, 'Timestamp(Nanosecond, Some("UTC"))')`;
  const [from, to] = range.live ? [`(now() - interval '${Math.round((range.end - range.start) / 1000)} seconds')`, 'now()'] : [at(range.from), at(range.to ?? '0')];
  return statement.replaceAll('$from', from).replaceAll('$to', to);
}

function SqlPanel({ statement }: { statement: string }): JSX.Element {
  const range = useRange();
  const answer = useQuery<SqlAnswer>(within(statement, range), { live: range.live, how: askSql });
  return <Await answer={answer}>{(table) => (table.rows.length === 0 ? <Empty title="No rows in this range of time" /> : <ResultTable answer={table} />)}</Await>;
}

function Several({ elements, unit }: { elements: Element[]; unit: string }): JSX.Element {
  const called = names(elements.map(({ metric }) => metric));
  return (
    <>
      <dl class="pairs">
        {elements.slice(0, VALUES_MAX).map(({ value }, index) => (
          <div key={called[index]}>
            <dt class="clip">{called[index]}</dt>
            <dd>{measured(numberOf(value?.[1] ?? ''), unit)}</dd>
          </div>
        ))}
      </dl>
      {elements.length > VALUES_MAX && <p class="muted">and {elements.length - VALUES_MAX} more; add them up, or make it a table.</p>}
    </>
  );
}

function NumberPanel({ query, unit }: { query: string; unit: string }): JSX.Element {
  const range = useRange();
  const answer = useQuery<PromAnswer>(atEnd(query, range), { live: range.live });
  const shown = ({ data }: PromAnswer) => {
    if (data.resultType === 'scalar') return <p class="stat">{measured(numberOf(data.result[1]), unit)}</p>;
    if (data.resultType !== 'vector') return <p class="muted">This is no number: take one of it, as in last_over_time(…).</p>;
    if (data.result.length > 1) return <Several elements={data.result} unit={unit} />;
    const value = data.result[0]?.value?.[1];
    const number = value === undefined ? null : numberOf(value);
    return (
      <p class="stat" title={number === null ? 'Nothing was measured' : undefined}>
        {measured(number, unit)}
      </p>
    );
  };
  return (
    <Await answer={answer} problem={(error) => <QueryProblem query={query} error={error} again={answer.again} />}>
      {(data) => (answer.error === null ? shown(data) : null)}
    </Await>
  );
}

function Content({ panel }: { panel: Panel }): JSX.Element {
  const query = panel.promql ?? '';
  switch (panel.kind) {
    case 'lines':
      return (
        <div class="body">
          <PromLines query={query} unit={panel.unit ?? ''} height={220} />
        </div>
      );
    case 'number':
      return (
        <div class="body">
          <NumberPanel query={query} unit={panel.unit ?? ''} />
        </div>
      );
    case 'table':
      return panel.sql === null ? <PromTable query={query} /> : <SqlPanel statement={panel.sql} />;
    case 'text':
      return (
        <div class="body prose">
          {(panel.text ?? '').trim().split(/\n\s*\n/).map((part, index) => (
            <p key={index}>
              <Words text={part} />
            </p>
          ))}
        </div>
      );
  }
}

export function PanelCard({ panel }: { panel: Panel }): JSX.Element {
  return (
    <section class={`card panel ${panel.kind}`} aria-label={panel.title || 'Text'} style={{ gridColumn: `span ${panel.width}` }}>
      {panel.title !== '' && (
        <header>
          <h2>{panel.title}</h2>
        </header>
      )}
      <Content panel={panel} />
    </section>
  );
}
