// Flame graphs: where programs spend what profilers counted, now or against another time or service.

import type { JSX } from 'preact';
import { type Flame, type Status, address } from '../api';
import { BUNDLE } from '../bundle';
import { plural } from '../format';
import { Choice } from '../parts/bits';
import { Page } from '../parts/shell';
import { Await, Command, Empty, NothingYet, withScheme } from '../parts/states';
import { Rankings } from '../profile/rankings';
import { FlameGraph } from '../profile/view';
import { amount, typeWords } from '../profile/words';
import { useQuery } from '../query';
import { setParams, to, usePlace } from '../router';
import { type Range, useRange } from '../time';

const NODES = 50_000;
/** Larger answers are not fetched anew by themselves. */
const LIVE_CHARS_MAX = 1_000_000;
const BEFORE = 'before';
const OF_SERVICE = 'service:';

/** What is compared with: the time before, as long as this one, or another service in the same time. */
function against(choice: string, range: Range): Record<string, string> {
  if (choice === BEFORE) {
    const length = range.end - range.start;
    if (range.live) return { b_from: `-${Math.round((2 * length) / 1000)}s`, b_to: range.from };
    const ns = (ms: number) => `${Math.round(ms)}000000`;
    return { b_from: ns(range.start - length), b_to: range.from };
  }
  return choice.startsWith(OF_SERVICE) ? { b_service: choice.slice(OF_SERVICE.length) } : {};
}

const NO_PROFILES = 'No profiles in this range of time';

function NoProfiles(): JSX.Element {
  const { data } = useQuery<Status>(address('status'));
  const http = withScheme(data?.listening.otlp_http ?? 'http://127.0.0.1:4318');
  return (
    <Empty title={NO_PROFILES}>
      <p class="muted">A profiler says which functions run. A file of Go's, pprof-rs's or any other that writes pprof:</p>
      <Command text="sonde import profile.pb.gz --service my-program" />
      <p class="muted">A running Python program, without a change to it:</p>
      <Command text="py-spy record --format raw --output stacks.folded --pid PID && sonde import stacks.folded" />
      <p class="muted">
        Profilers that speak OTLP send to <code>{`${http}/v1development/profiles`}</code>. If something came earlier, widen the range of time;{' '}
        <a href={to('/doctor')}>Doctor</a> shows what was refused and why.
      </p>
    </Empty>
  );
}

function distinct(names: string[]): string[] {
  return [...new Set(names)].sort();
}

interface Filters {
  type: string;
  service: string;
  trace_id: string;
  span_id: string;
  q: string;
}

function FilterBar({ filters, compare, answer }: { filters: Filters; compare: string; answer: Flame | null }): JSX.Element {
  const rows = answer?.types ?? [];
  const services = distinct([...rows.map((row) => row.service), filters.service].filter((name) => name !== ''));
  const types = distinct([...rows.map((row) => row.type), filters.type || (answer?.type ?? '')].filter((name) => name !== ''));
  const taken = (words: string, id: string, changes: Record<string, null>) => (
    <button type="button" class="button" onClick={() => setParams(changes, false)} title="Take this filter away">
      {words} <span class="mono">{id.slice(0, 8)}</span> ✕
    </button>
  );
  return (
    <div class="filters">
      <Choice label="Service" value={filters.service} options={[{ value: '', words: 'Every service' }, ...services.map((name) => ({ value: name, words: name }))]} onChange={(service) => setParams({ service }, false)} />
      {types.length > 0 && <Choice label="What is counted" value={filters.type || (answer?.type ?? '')} options={types.map((type) => ({ value: type, words: typeWords(type) }))} onChange={(type) => setParams({ type }, false)} />}
      {!BUNDLE && (
        <Choice
          label="Compare"
          value={compare}
          options={[
            { value: '', words: 'Compare with…' },
            { value: BEFORE, words: 'the time before' },
            ...services.filter((name) => name !== filters.service).map((name) => ({ value: OF_SERVICE + name, words: `service ${name}` })),
          ]}
          onChange={(choice) => setParams({ against: choice }, false)}
        />
      )}
      {filters.trace_id !== '' && taken('Trace', filters.trace_id, { trace_id: null, span_id: null })}
      {filters.span_id !== '' && taken('Span', filters.span_id, { span_id: null })}
    </div>
  );
}

function Facts({ answer }: { answer: Flame }): JSX.Element {
  return (
    <p class="profile-facts">
      <b>{amount(answer.total, answer.unit)}</b> {typeWords(answer.type)} <span class="muted">in {plural(answer.samples, 'sample')} of {plural(answer.stacks, 'stack')}</span>
      {answer.b_total !== undefined && (
        <>
          <span class="muted">
            , against {amount(answer.b_total, answer.unit)} in {plural(answer.b_samples ?? 0, 'sample')}
          </span>
          <span class="profile-key">
            <i class="grew" /> more now <i class="shrank" /> less now
          </span>
        </>
      )}
    </p>
  );
}

export function FlamePage(): JSX.Element {
  const { params } = usePlace();
  const range = useRange();
  const filters: Filters = {
    type: params.get('type') ?? '',
    service: params.get('service') ?? '',
    trace_id: params.get('trace_id') ?? '',
    span_id: params.get('span_id') ?? '',
    q: params.get('q') ?? '',
  };
  const compare = params.get('against') ?? '';
  const answer = useQuery<Flame>(address('flame', { ...filters, ...against(compare, range), from: range.from, to: range.to, nodes: NODES }), {
    live: range.live,
    liveCharsMax: LIVE_CHARS_MAX,
  });
  const narrowed = Object.values(filters).some((value) => value !== '');
  return (
    <Page title="Flame graphs">
      <FilterBar filters={filters} compare={compare} answer={answer.data} />
      <Await answer={answer}>
        {(flame) => {
          if (flame.samples + (flame.b_samples ?? 0) === 0 && !narrowed) return BUNDLE ? <NothingYet title={NO_PROFILES} /> : <NoProfiles />;
          if (flame.samples + (flame.b_samples ?? 0) === 0) {
            return (
              <Empty title="No samples match">
                <p class="muted">Take a filter away or widen the range of time. Samples belong to a trace where the profiler links them to its spans.</p>
                {!BUNDLE && <Command text="sonde flame --from -1d" />}
              </Empty>
            );
          }
          return (
            <>
              <Facts answer={flame} />
              <FlameGraph answer={flame} />
              <Rankings answer={flame} />
            </>
          );
        }}
      </Await>
    </Page>
  );
}
