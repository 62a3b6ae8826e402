// What is different between two sides of anything: two traces, two times, two versions, two filters.

import type { JSX } from 'preact';
import { type Compared, type SideRead, address } from '../api';
import { count, moment, plural } from '../format';
import { SearchField } from '../parts/bits';
import { ComparisonBody } from '../parts/comparison';
import { Page } from '../parts/shell';
import { Await, Empty } from '../parts/states';
import { useQuery } from '../query';
import { setParams, to, usePlace } from '../router';
import { type Range, useRange } from '../time';

/** What describes a side, by the names that the API has, with what the page calls them. */
const FIELDS: [name: string, words: string, placeholder: string][] = [
  ['', 'Filter', 'device = "cuda:0"'],
  ['trace', 'Trace', 'Trace ID'],
  ['service', 'Service', 'Service: any'],
  ['operation', 'Operation', 'Operation: whole requests'],
  ['version', 'Version', 'Version: any'],
];
const LETTERS = ['a', 'b'] as const;
type Letter = (typeof LETTERS)[number];

function nameOf(letter: Letter, field: string): string {
  return field === '' ? letter : `${letter}_${field}`;
}

/** Every parameter of the question that is in the address. */
const NAMES = [...LETTERS.flatMap((letter) => [...FIELDS.map(([field]) => nameOf(letter, field)), `${letter}_span`, `${letter}_from`, `${letter}_to`, `${letter}_name`]), 'q', 'service', 'operation', 'version', 'at'];

function asked(params: URLSearchParams): Record<string, string> {
  return Object.fromEntries(NAMES.flatMap((name) => (params.get(name) ? [[name, params.get(name) as string]] : [])));
}

function SideForm({ letter, params }: { letter: Letter; params: URLSearchParams }): JSX.Element {
  const trace = params.get(`${letter}_trace`) ?? '';
  const shown = trace === '' ? FIELDS : FIELDS.filter(([field]) => field === 'trace');
  return (
    <fieldset class="card side-form">
      <legend>
        <i class={`dot side-${letter}`} /> {letter === 'a' ? 'First side' : 'Second side'}
      </legend>
      <div class="filters">
        {shown.map(([field, words, placeholder]) => {
          const name = nameOf(letter, field);
          return <SearchField key={name} code={field === ''} plain={letter === 'b' || field !== ''} onEnter value={params.get(name) ?? ''} label={`${words} of the ${letter === 'a' ? 'first' : 'second'} side`} placeholder={placeholder} onChange={(next) => setParams({ [name]: next, ...(field === 'trace' ? { [`${letter}_span`]: null } : {}) }, false)} />;
        })}
      </div>
    </fieldset>
  );
}

function middle(range: Range): string {
  return new Date((range.start + range.end) / 2).toISOString();
}

/** What can be compared, each as a link that does it or says where to begin. */
function Beginning({ range }: { range: Range }): JSX.Element {
  return (
    <Empty title="Compare two sides">
      <p class="muted">Say above what each side is, or begin with one of these:</p>
      <p>
        <a href={to('/compare', { at: middle(range) })}>The second half of this time against the first</a>
      </p>
      <p>
        <a href={to('/traces')}>Two traces: tick them in the list</a>
      </p>
      <p>
        <a href={to('/why')}>The slow requests of this time against the typical ones</a>
      </p>
      <p class="muted">
        Two deploys are two versions, as <code>service.version</code> has them. The same on the command line: <code>sonde compare --help</code>.
      </p>
    </Empty>
  );
}

function time(ns: string): string {
  return moment(Number(ns.slice(0, -6)));
}

function ReadWords({ side, name }: { side: SideRead; name: string }): JSX.Element {
  const { read, selected } = side;
  const all = read.of_traces === read.traces;
  return (
    <span>
      <span class="muted">{name}:</span> {all ? plural(read.traces, 'trace') : `the newest ${count(read.traces)} of ${read.of_traces === null ? 'more' : count(read.of_traces)} traces`}
      {'from_unix_ns' in selected && (
        <span class="muted" title={`${time(selected.from_unix_ns)} to ${time(selected.to_unix_ns)}`}>
          {' '}
          since {time(selected.from_unix_ns)}
        </span>
      )}
    </span>
  );
}

function Found({ answer }: { answer: Compared }): JSX.Element {
  return (
    <>
      <div class="trace-facts">
        <ReadWords side={answer.a} name={answer.first.name} />
        <ReadWords side={answer.b} name={answer.second.name} />
      </div>
      <section class="card why" aria-label="What is different">
        <ComparisonBody comparison={answer} />
        <details class="as-text">
          <summary>As text</summary>
          <pre class="mono why-text" tabIndex={0}>
            {answer.text}
          </pre>
        </details>
      </section>
    </>
  );
}

export function ComparePage(): JSX.Element {
  const { params } = usePlace();
  const range = useRange();
  const given = asked(params);
  const isAsked = Object.keys(given).some((name) => name === 'at' || name === 'a' || name === 'b' || /^[ab]_/.test(name));
  const traces = LETTERS.filter((letter) => given[`${letter}_trace`]);
  const sides = LETTERS.filter((letter) => Object.keys(given).some((name) => name === letter || name.startsWith(`${letter}_`)));
  // One trace alone is compared with those around it, whenever that was.
  const ranged = traces.length === 0 || (traces.length === 1 && sides.length === 2);
  const url = isAsked ? address('compare', { ...given, ...(ranged ? { from: range.from, to: range.to } : {}) }) : null;
  const answer = useQuery<Compared>(url, { live: false });
  const swapped = Object.fromEntries(NAMES.filter((name) => /^[ab](_|$)/.test(name)).map((name) => [name, params.get((name.startsWith('a') ? 'b' : 'a') + name.slice(1))]));
  return (
    <Page
      title="Compare"
      ranged={ranged}
      actions={
        isAsked && (
          <>
            <button type="button" class="button" onClick={() => setParams(swapped, false)}>
              Swap
            </button>
            <button type="button" class="button" onClick={answer.again}>
              Ask again
            </button>
          </>
        )
      }
    >
      <div class="side-forms">
        {LETTERS.map((letter) => (
          <SideForm key={letter} letter={letter} params={params} />
        ))}
      </div>
      <div class="filters">
        <SearchField plain onEnter value={params.get('at') ?? ''} label="Before and after" placeholder="Before and after a time: -15m" onChange={(next) => setParams({ at: next }, false)} />
        <SearchField plain onEnter value={params.get('service') ?? ''} label="Service of both sides" placeholder="Service of both" onChange={(next) => setParams({ service: next }, false)} />
        <SearchField plain onEnter value={params.get('operation') ?? ''} label="Operation of both sides" placeholder="Operation of both" onChange={(next) => setParams({ operation: next }, false)} />
      </div>
      {isAsked ? <Await answer={answer}>{(found) => <Found answer={found} />}</Await> : <Beginning range={range} />}
    </Page>
  );
}
