// A question in PromQL on the page of metrics: field, examples, and the answer as lines or as values.

import type { JSX, TargetedEvent, TargetedKeyboardEvent } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { useKeys } from '../keys';
import { Choice } from '../parts/bits';
import { PromLines, PromTable } from '../parts/promql';
import { type Metadata, examples, metadata } from '../promql';
import { useQuery } from '../query';
import { setParams, usePlace } from '../router';
import { useRange } from '../time';

const VIEWS = [
  { value: 'lines', words: 'Over time' },
  { value: 'values', words: 'Values now' },
];

const ask = (query: string) => setParams({ query: query.trim() }, false);

function Examples(): JSX.Element {
  const { data } = useQuery<Metadata>(metadata(useRange()), { live: false });
  const list = data ? examples(data) : [];
  return (
    <div class="query-examples">
      <p class="muted">
        Ask about several metrics at once, in Prometheus' language. {list.length > 0 ? 'Start from one of these:' : ''}
      </p>
      <ul>
        {list.map(({ words, query }) => (
          <li key={query}>
            <button type="button" class="button plain small statement" data-row onClick={() => ask(query)}>
              <span>{words}</span> <code class="mono clip">{query}</code>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

export function MetricsQuery(): JSX.Element {
  const { params } = usePlace();
  const query = params.get('query') ?? '';
  const view = params.get('view') === 'values' ? 'values' : 'lines';
  const [text, setText] = useState(query);
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => setText(query), [query]);
  useKeys('Metrics', [{ keys: ['q'], words: 'Ask in PromQL', run: () => field.current?.focus() }]);
  const onInput = (event: TargetedEvent<HTMLTextAreaElement>) => setText(event.currentTarget.value);
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLTextAreaElement>) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    ask(text);
  };
  // What is wrong is wrong with the query that was asked, which the field may no longer have.
  const onPlace = (offset: number) => {
    setText(query);
    requestAnimationFrame(() => {
      field.current?.focus();
      field.current?.setSelectionRange(offset, offset + 1);
    });
  };
  return (
    <section class="card metrics-query" aria-label="PromQL">
      <div class="query-bar">
        <textarea ref={field} class="field mono" aria-label="Query in PromQL" placeholder="PromQL, as in rate(requests_total[5m])" spellcheck={false} autocomplete="off" rows={Math.min(8, text.split('\n').length)} value={text} onInput={onInput} onKeyDown={onKeyDown} />
        <button type="button" class="button primary" onClick={() => ask(text)} title="Enter asks, Shift and Enter begins a line">
          Ask
        </button>
        {query !== '' && <Choice label="Show" value={view} options={VIEWS} onChange={(next) => setParams({ view: next === 'lines' ? null : next })} />}
        {query !== '' && (
          <button type="button" class="button plain" onClick={() => setParams({ query: null, view: null }, false)}>
            Clear
          </button>
        )}
      </div>
      {query === '' ? (
        <Examples />
      ) : view === 'values' ? (
        <PromTable key={query} query={query} onPlace={onPlace} />
      ) : (
        <div class="body">
          <PromLines key={query} query={query} onPlace={onPlace} />
        </div>
      )}
    </section>
  );
}
