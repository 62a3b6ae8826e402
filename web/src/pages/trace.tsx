// One trace: why it took as long as it did, and everything that happened in it.

import type { JSX } from 'preact';
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { type Trace, address } from '../api';
import { BUNDLE } from '../bundle';
import { count, duration, moment, plural } from '../format';
import { useKeys } from '../keys';
import { SearchField, Service } from '../parts/bits';
import { Page } from '../parts/shell';
import { Await, CopyButton, Empty } from '../parts/states';
import { WhyCard } from '../parts/why';
import { profileOf } from '../profile/link';
import { useQuery } from '../query';
import { place, setParams, to, usePlace } from '../router';
import { Detail } from '../waterfall/detail';
import { Flame } from '../waterfall/flame-view';
import { type Model, build, isError, rootOf } from '../waterfall/model';
import { find } from '../waterfall/rows';
import { Waterfall } from '../waterfall/view';
import { Viewport } from '../waterfall/viewport';

/** Larger traces are not fetched anew by themselves. */
const LIVE_CHARS_MAX = 1_500_000;
/** So many logs or fewer are shown between the spans without asking. */
const LOGS_SHOWN_MAX = 40;
const ADDRESS_AFTER_MS = 350;

/** The visible stretch of time lives in the address, written when it has come to rest. */
function useViewport(model: Model): Viewport {
  const viewport = useRef<Viewport | null>(null);
  if (!viewport.current) {
    viewport.current = new Viewport(model);
    const [from, until] = (place().params.get('view') ?? '').split('-').map(Number);
    if (from !== undefined && until !== undefined && until > from) viewport.current.show(from, until);
  } else {
    viewport.current.replace(model);
  }
  const made = viewport.current;
  useEffect(() => {
    let timer = 0;
    const stop = made.watch(() => {
      clearTimeout(timer);
      timer = window.setTimeout(() => setParams({ view: made.isWhole() ? null : `${Math.round(made.from)}-${Math.round(made.until)}` }), ADDRESS_AFTER_MS);
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, []);
  return made;
}

function Heading({ model }: { model: Model }): JSX.Element {
  const root = model.spans[rootOf(model)];
  const errors = model.spans.reduce((sum, span) => sum + (isError(span) ? 1 : 0), 0);
  const { trace } = model;
  return (
    <div class="trace-facts">
      <span>
        <b>{duration(trace.duration_ns)}</b>
      </span>
      <span>{plural(model.spans.length, 'span')}</span>
      <span class={errors > 0 ? 'error-text' : 'muted'}>{plural(errors, 'error')}</span>
      <span>
        <a class="link" href={to('/logs', { trace_id: trace.trace_id })}>
          {plural(trace.logs.length, 'log')}
        </a>
      </span>
      <span>
        <a class="link" href={profileOf(trace)}>
          flame graph
        </a>
      </span>
      <span class="muted">{moment(trace.start_ms)}</span>
      {root && <span class="muted optional mono">{trace.trace_id}</span>}
      <CopyButton text={trace.trace_id} words="Copy trace ID" />
      {!BUNDLE && (
        <a class="link" href={to('/compare', { b_trace: trace.trace_id })} title="With the faster half of the requests like it">
          Compare with typical ones
        </a>
      )}
    </div>
  );
}

function ServiceLegend({ model }: { model: Model }): JSX.Element {
  return (
    <span class="legend">
      {model.services.map(([name, spans]) => (
        <span key={name} title={plural(spans, 'span')}>
          <Service name={name} />
        </span>
      ))}
    </span>
  );
}

interface ToolsProps {
  flame: boolean;
  withLogs: boolean;
  logs: number;
  onOpenAll: () => void;
  onWhole: () => void;
}

function Tools({ flame, withLogs, logs, onOpenAll, onWhole }: ToolsProps): JSX.Element {
  return (
    <span class="row wrap spacer">
      {!flame && logs > 0 && (
        <button type="button" class="button small" aria-pressed={withLogs} onClick={() => setParams({ logs: withLogs ? '0' : '1' })}>
          Logs
        </button>
      )}
      {!flame && (
        <>
          <button type="button" class="button small" onClick={onOpenAll}>
            Open all
          </button>
          <button type="button" class="button small" title="Ctrl + wheel zooms, dragging pans, dragging in the ruler chooses" onClick={onWhole}>
            Whole trace
          </button>
        </>
      )}
      <span class="segmented" role="group" aria-label="Show as">
        <button type="button" class="button small" aria-pressed={!flame} onClick={() => setParams({ show: null })}>
          Waterfall
        </button>
        <button type="button" class="button small" aria-pressed={flame} onClick={() => setParams({ show: 'flame' })}>
          Flame
        </button>
      </span>
    </span>
  );
}

function Timeline({ model }: { model: Model }): JSX.Element {
  const { params } = usePlace();
  const viewport = useViewport(model);
  const [collapsed, setCollapsed] = useState<ReadonlySet<number>>(new Set());
  const haystack = useMemo(() => new Map<number, string>(), [model]);
  const words = params.get('find') ?? '';
  const matches = useMemo(() => (words === '' ? null : find(model, words, haystack)), [model, words]);
  const selected = model.indexOf.get(params.get('span') ?? '') ?? -1;
  const logs = model.trace.logs.length;
  const withLogs = params.get('logs') === null ? logs <= LOGS_SHOWN_MAX : params.get('logs') === '1';
  const flame = params.get('show') === 'flame';
  const detail = useRef<HTMLElement>(null);
  const onSelect = useCallback((index: number) => setParams({ span: model.spans[index]?.span_id ?? null }), [model]);
  const close = () => setParams({ span: null });
  useKeys('Details', selected < 0 ? [] : [{ keys: ['Escape'], words: 'Close the details', run: close }]);
  useKeys('Timeline', [{ keys: ['v'], words: 'Waterfall or flame graph', run: () => setParams({ show: flame ? null : 'flame' }) }]);
  const shared = { model, selected, onSelect };
  return (
    <section class="card timeline" aria-label="Timeline">
      <header>
        {!flame && <SearchField value={words} label="Search in this trace" placeholder="Name, service, attribute" onChange={(next) => setParams({ find: next })} />}
        {!flame && matches && (
          <span class="muted">
            {count(matches.length)} found, <kbd>n</kbd> next
          </span>
        )}
        <ServiceLegend model={model} />
        <Tools flame={flame} withLogs={withLogs} logs={logs} onOpenAll={() => setCollapsed(new Set())} onWhole={() => viewport.reset()} />
      </header>
      <div class={`timeline-body${selected < 0 ? '' : ' with-detail'}`}>
        {flame ? (
          <Flame {...shared} />
        ) : (
          <Waterfall {...shared} viewport={viewport} matches={matches} withLogs={withLogs} collapsed={collapsed} onCollapsed={setCollapsed} onFocusDetail={() => detail.current?.focus()} />
        )}
        {selected >= 0 && <Detail box={detail} model={model} index={selected} onClose={close} onZoom={() => viewport.fit(selected)} />}
      </div>
    </section>
  );
}

/** The span whose account is asked for instead of the whole trace's. */
function partOf(model: Model): { span_id: string; name: string } | null {
  const span = model.spans[model.indexOf.get(place().params.get('why') ?? '') ?? -1];
  return span ? { span_id: span.span_id, name: span.name } : null;
}

function TraceView({ trace }: { trace: Trace }): JSX.Element {
  usePlace();
  const model = useMemo(() => build(trace), [trace]);
  if (model.spans.length === 0) {
    return (
      <Empty title="This trace has no spans">
        <p class="muted">They may not have arrived yet, or they are older than the store keeps them.</p>
      </Empty>
    );
  }
  return (
    <>
      <Heading model={model} />
      {trace.more === true && <p class="problem">This trace is too large to be shown whole; some of its spans are left out.</p>}
      <WhyCard traceId={trace.trace_id} part={partOf(model)} />
      <Timeline key={trace.trace_id} model={model} />
    </>
  );
}

export function TracePage({ traceId }: { traceId: string }): JSX.Element {
  const answer = useQuery<Trace>(address(`traces/${encodeURIComponent(traceId)}`), { liveCharsMax: LIVE_CHARS_MAX });
  const root = answer.data ? answer.data.spans.find((span) => !span.parent_span_id) : undefined;
  const name = root?.name ?? `Trace ${traceId.slice(0, 8)}`;
  return (
    <Page
      ranged={false}
      tab={name}
      title={
        <>
          <a class="muted" href={to('/traces')}>
            Traces
          </a>{' '}
          <span class="muted">/</span> {name}
        </>
      }
    >
      <Await answer={answer}>{(trace) => <TraceView trace={trace} />}</Await>
    </Page>
  );
}
