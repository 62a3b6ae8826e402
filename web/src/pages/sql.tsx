// SQL over the store: an editor, the answer, and the statements one wants again.

import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { type SqlAnswer, sql } from '../api';
import { plural } from '../format';
import { Page } from '../parts/shell';
import { ResultTable } from '../parts/result-table';
import { CopyButton, Empty, Problem } from '../parts/states';
import { place, setParams } from '../router';

const KEY = 'radiosonde.statements';

const EXAMPLES: { name: string; statement: string }[] = [
  { name: 'Slowest operations', statement: 'SELECT service, name, count(*) AS calls,\n       approx_percentile_cont(duration, 0.95) / 1e6 AS p95_ms\nFROM spans\nGROUP BY service, name\nORDER BY p95_ms DESC\nLIMIT 20' },
  { name: 'Errors of the last hour', statement: "SELECT start_time, service, name, status_message, trace_id\nFROM spans\nWHERE status = 'error' AND start_time > now() - interval '1 hour'\nORDER BY start_time DESC\nLIMIT 100" },
  { name: 'Time on the GPU by operation', statement: "SELECT attributes['gpu.op'] AS op, count(*) AS spans, sum(duration) / 1e6 AS total_ms\nFROM spans\nWHERE attributes['gpu.op'] IS NOT NULL\nGROUP BY 1\nORDER BY total_ms DESC" },
  { name: 'Tokens by model', statement: "SELECT attributes['gen_ai.request.model'] AS model,\n       sum(CAST(attributes['gen_ai.usage.input_tokens'] AS BIGINT)) AS input,\n       sum(CAST(attributes['gen_ai.usage.output_tokens'] AS BIGINT)) AS output\nFROM spans\nGROUP BY 1" },
  { name: 'Loudest log lines', statement: 'SELECT service, severity, body, count(*) AS times\nFROM logs\nGROUP BY service, severity, body\nORDER BY times DESC\nLIMIT 50' },
];

interface Saved {
  name: string;
  statement: string;
}

function readSaved(): Saved[] {
  try {
    const list = JSON.parse(localStorage.getItem(KEY) ?? '[]') as Saved[];
    return Array.isArray(list) ? list.filter((one) => typeof one.name === 'string' && typeof one.statement === 'string') : [];
  } catch {
    return [];
  }
}

function useSaved(): [Saved[], (next: Saved[]) => void] {
  const [saved, setSaved] = useState(readSaved);
  const store = (next: Saved[]) => {
    localStorage.setItem(KEY, JSON.stringify(next));
    setSaved(next);
  };
  return [saved, store];
}

type Result = { state: 'none' } | { state: 'running' } | { state: 'failed'; error: Error } | { state: 'done'; answer: SqlAnswer };

interface ListProps {
  title: string;
  items: Saved[];
  onChoose: (statement: string) => void;
  onRemove?: (name: string) => void;
}

function StatementList({ title, items, onChoose, onRemove }: ListProps): JSX.Element {
  return (
    <section>
      <h3>{title}</h3>
      <ul>
        {items.map((item) => (
          <li key={item.name} class="row">
            <button type="button" class="button plain small grow statement" data-row onClick={() => onChoose(item.statement)} title={item.statement}>
              <span class="clip">{item.name}</span>
            </button>
            {onRemove && (
              <button type="button" class="button plain small" onClick={() => onRemove(item.name)} title={`Remove ${item.name}`}>
                ✕<span class="hidden-text">Remove {item.name}</span>
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Answer({ result, again }: { result: Result; again: () => void }): JSX.Element | null {
  switch (result.state) {
    case 'none':
      return (
        <Empty title="Ask the store anything">
          <p class="muted">
            The tables are <code>spans</code>, <code>logs</code> and <code>points</code>; <code>attributes['key']</code> is an attribute, and durations are nanoseconds. Start from an example.
          </p>
        </Empty>
      );
    case 'running':
      return <div class="progress" role="progressbar" aria-label="Running" />;
    case 'failed':
      return <Problem error={result.error} again={again} />;
    case 'done': {
      const { answer } = result;
      return (
        <section class="card table-card" aria-label="Result">
          <header>
            <h2>{plural(answer.rows.length, 'row')}</h2>
            <span class="muted">
              {answer.more === true && 'the first; there are more. '}in {answer.elapsed_ms.toFixed(1)} ms
            </span>
            <span class="spacer">
              <CopyButton words="Copy as CSV" text={csv(answer)} />
            </span>
          </header>
          <ResultTable answer={answer} />
        </section>
      );
    }
  }
}

function csv({ columns, rows }: SqlAnswer): string {
  const cell = (value: unknown) => {
    const words = value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value);
    return /[",\n]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
  };
  return [columns.map((column) => cell(column.name)), ...rows.map((row) => row.map(cell))].map((row) => row.join(',')).join('\n');
}

/** The statement that runs is the one in the address; a newer one takes its place. */
function useRunner(): [Result, (statement: string) => void] {
  const [result, setResult] = useState<Result>({ state: 'none' });
  const abort = useRef<AbortController | null>(null);
  const run = (statement: string) => {
    if (statement.trim() === '') return;
    abort.current?.abort();
    const mine = new AbortController();
    abort.current = mine;
    setResult({ state: 'running' });
    setParams({ statement });
    sql(statement, mine.signal).then(
      (answer) => setResult({ state: 'done', answer }),
      (error: Error) => {
        if (!mine.signal.aborted) setResult({ state: 'failed', error });
      },
    );
  };
  useEffect(() => () => abort.current?.abort(), []);
  return [result, run];
}

export function SqlPage(): JSX.Element {
  const [statement, setStatement] = useState(place().params.get('statement') ?? EXAMPLES[0]?.statement ?? '');
  const [result, run] = useRunner();
  const [saved, store] = useSaved();
  const [name, setName] = useState('');
  useEffect(() => {
    if (place().params.has('statement')) run(statement);
  }, []);
  const choose = (next: string) => {
    setStatement(next);
    run(next);
  };
  const save = () => {
    const called = name.trim() || statement.trim().split('\n')[0] || 'Statement';
    store([...saved.filter((one) => one.name !== called), { name: called, statement }]);
    setName('');
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    run(statement);
  };
  return (
    <Page title="SQL" ranged={false}>
      <div class="sql">
        <div class="sql-main">
          <section class="card sql-editor" aria-label="Statement">
            <textarea class="mono" data-search aria-label="SQL statement" spellcheck={false} rows={Math.min(18, Math.max(6, statement.split('\n').length + 1))} value={statement} onInput={(event) => setStatement(event.currentTarget.value)} onKeyDown={onKeyDown} />
            <div class="sql-bar">
              <button type="button" class="button primary" onClick={() => run(statement)}>
                Run
              </button>
              <span class="muted optional">
                <kbd>Ctrl</kbd> <kbd>Enter</kbd>
              </span>
              <span class="row spacer">
                <input class="field" aria-label="Name to save under" placeholder="Name" value={name} onInput={(event) => setName(event.currentTarget.value)} onKeyDown={(event) => event.key === 'Enter' && save()} />
                <button type="button" class="button" onClick={save}>
                  Save
                </button>
              </span>
            </div>
          </section>
          <Answer result={result} again={() => run(statement)} />
        </div>
        <aside class="card sql-side" aria-label="Statements">
          {saved.length > 0 && <StatementList title="Saved in this browser" items={saved} onChoose={choose} onRemove={(gone) => store(saved.filter((one) => one.name !== gone))} />}
          <StatementList title="Examples" items={EXAMPLES} onChoose={choose} />
        </aside>
      </div>
    </Page>
  );
}
