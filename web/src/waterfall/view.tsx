// The waterfall: a list that scrolls natively under a canvas that draws only what is visible.

import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { duration } from '../format';
import { useCanvas } from '../parts/canvas';
import { useTheme } from '../theme';
import { ROW_PX, type Sight, drawRows, indent } from './draw';
import { useWaterfallKeys } from './keyboard';
import { type Model, isError } from './model';
import { type Surface, bodyDown, headDown, onWheel } from './pointer';
import { type Rows, logAt, reveal, rows as rowsOf } from './rows';
import { RULER_PX, SMALL_PX, drawHead, drawSmall } from './ruler';
import type { Viewport } from './viewport';

interface Props {
  model: Model;
  viewport: Viewport;
  selected: number;
  onSelect: (index: number) => void;
  matches: number[] | null;
  withLogs: boolean;
  collapsed: ReadonlySet<number>;
  onCollapsed: (collapsed: ReadonlySet<number>) => void;
  onFocusDetail: () => void;
}

const NAMES_MIN = 90;

function toggled(collapsed: ReadonlySet<number>, index: number): ReadonlySet<number> {
  const next = new Set(collapsed);
  if (!next.delete(index)) next.add(index);
  return next;
}

/** What is drawn, where, and the way to ask for it to be drawn. */
interface Stage extends Surface {
  head: { current: HTMLCanvasElement | null };
  body: { current: HTMLCanvasElement | null };
  scroller: { current: HTMLDivElement | null };
  /** The stretch that is being chosen in the strip, in pixels. */
  drag: { current: [number, number] | null };
  /** The row under the pointer. */
  hovered: { current: number };
  rows: Rows;
  setShare: (share: number) => void;
  requestHead: () => void;
  requestBody: () => void;
}

function useStage({ model, viewport, selected, matches, withLogs, collapsed }: Props): Stage {
  const head = useRef<HTMLCanvasElement>(null);
  const body = useRef<HTMLCanvasElement>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const drag = useRef<[number, number] | null>(null);
  const hovered = useRef(-1);
  const small = useRef<{ canvas: HTMLCanvasElement; width: number; theme: number; model: Model } | null>(null);
  const [share, setShare] = useState(0.36);
  const theme = useTheme();
  const rows = useMemo(() => rowsOf(model, collapsed, withLogs), [model, collapsed, withLogs]);
  const matched = useMemo(() => (matches ? new Set(matches) : null), [matches]);
  const width = () => body.current?.clientWidth ?? 1;
  const names = () => Math.max(NAMES_MIN, Math.round(width() * share));
  const sight = (): Sight => ({
    model,
    rows,
    collapsed,
    top: scroller.current?.scrollTop ?? 0,
    names: names(),
    from: viewport.from,
    until: viewport.until,
    selected,
    hovered: hovered.current,
    matches: matched,
    font: '12px system-ui, sans-serif',
  });
  const requestBody = useCanvas(body, (context, w, h) => drawRows(context, sight(), w, h));
  const requestHead = useCanvas(head, (context, w) => {
    const inner = Math.max(1, w - names());
    const now = small.current;
    if (!now || now.width !== inner || now.theme !== theme || now.model !== model) {
      small.current = { canvas: drawSmall(model, inner), width: inner, theme, model };
    }
    if (small.current) drawHead(context, sight(), small.current.canvas, w, drag.current);
  });
  return { head, body, scroller, drag, hovered, rows, viewport, names, width, setShare, requestHead, requestBody };
}

function rowAt({ body, scroller, rows }: Stage, event: MouseEvent): number {
  const box = body.current?.getBoundingClientRect();
  const row = box ? Math.floor((event.clientY - box.top + (scroller.current?.scrollTop ?? 0)) / ROW_PX) : -1;
  return row < rows.length ? row : -1;
}

/** The triangle before a name opens and closes; anything else of a row selects. */
function click(stage: Stage, { model, collapsed, onCollapsed, onSelect }: Props, event: PointerEvent): void {
  const row = rowAt(stage, event);
  const index = row < 0 ? -1 : (stage.rows.span[row] as number);
  if (index < 0) return;
  const x = event.clientX - (stage.body.current?.getBoundingClientRect().left ?? 0);
  const onToggle = !logAt(model, stage.rows, row) && (model.below[index] as number) > 0 && Math.abs(x - indent(model, index) - 5) < 10;
  if (onToggle) onCollapsed(toggled(collapsed, index));
  else onSelect(index);
}

function hover(stage: Stage, row: number, event?: PointerEvent): void {
  const { body, hovered, names, requestBody } = stage;
  if (event && body.current) body.current.style.cursor = Math.abs(event.offsetX - names()) <= 4 ? 'col-resize' : event.offsetX > names() ? 'grab' : 'default';
  if (row === hovered.current) return;
  hovered.current = row;
  requestBody();
}

function Head({ stage, model }: { stage: Stage; model: Model }): JSX.Element {
  const { viewport, names, width, drag, requestHead } = stage;
  const ns = (x: number, whole: boolean) => {
    const part = (x - names()) / Math.max(1, width() - names());
    return whole ? model.start + part * (model.end - model.start) : viewport.from + part * (viewport.until - viewport.from);
  };
  const onDrag = (range: [number, number] | null) => {
    drag.current = range;
    requestHead();
  };
  return (
    <canvas
      ref={stage.head}
      class="waterfall-head"
      style={{ height: `${SMALL_PX + RULER_PX}px` }}
      role="img"
      aria-label="The whole trace in small. Drag to zoom to a stretch of time"
      onPointerDown={(event) => headDown(stage, event.currentTarget, event, SMALL_PX, { drag: onDrag, ns })}
      onDblClick={() => viewport.reset()}
    />
  );
}

export function Waterfall(props: Props): JSX.Element {
  const { model, viewport, selected, collapsed, onCollapsed } = props;
  const stage = useStage(props);
  const { rows, scroller, width } = stage;
  useWatching(stage);
  useShown({ model, rows, selected, collapsed, onCollapsed, scroller });
  useWaterfallKeys({ ...props, rows, pageRows: () => Math.max(1, Math.floor((scroller.current?.clientHeight ?? ROW_PX) / ROW_PX) - 1) });
  const actions = {
    click: (event: PointerEvent) => click(stage, props, event),
    resize: (at: number) => stage.setShare(Math.min(0.8, Math.max(0.1, at / width()))),
  };
  return (
    <div class="waterfall">
      <Head stage={stage} model={model} />
      <div
        ref={scroller}
        class="waterfall-scroll"
        style={{ height: `min(${rows.length * ROW_PX}px, var(--waterfall-max))` }}
        role="tree"
        tabIndex={0}
        aria-label="Spans of the trace"
        aria-activedescendant={selected < 0 ? undefined : 'waterfall-selected'}
        onScroll={stage.requestBody}
      >
        <SelectedItem model={model} rows={rows} selected={selected} collapsed={collapsed} />
        <div class="waterfall-space" style={{ height: `${rows.length * ROW_PX}px` }}>
          <canvas
            ref={stage.body}
            aria-hidden="true"
            onPointerDown={(event) => scroller.current && bodyDown(stage, event.currentTarget, scroller.current, event, actions)}
            onPointerMove={(event) => hover(stage, rowAt(stage, event), event)}
            onPointerLeave={() => hover(stage, -1)}
            onDblClick={(event) => viewport.fit(rows.span[rowAt(stage, event)] ?? -1)}
          />
        </div>
      </div>
    </div>
  );
}

/** The canvas says nothing to those who do not see it; this does, for the selected span. */
function SelectedItem({ model, rows, selected, collapsed }: { model: Model; rows: Rows; selected: number; collapsed: ReadonlySet<number> }): JSX.Element | null {
  const span = model.spans[selected];
  if (!span) return null;
  const expandable = (model.below[selected] as number) > 0;
  const words = `${span.name}, ${span.service}, ${duration(span.duration_ns)}${isError(span) ? ', error' : ''}`;
  return (
    <div
      id="waterfall-selected"
      class="hidden-text"
      role="treeitem"
      aria-selected="true"
      aria-level={(model.depth[selected] as number) + 1}
      aria-posinset={(rows.rowOf[selected] as number) + 1}
      aria-setsize={rows.length}
      aria-expanded={expandable ? !collapsed.has(selected) : undefined}
    >
      {words}
    </div>
  );
}

/** Draws when the viewport changes, and takes the wheel, which Preact's listeners could not prevent from scrolling. */
function useWatching(stage: Stage): void {
  const latest = useRef(stage);
  latest.current = stage;
  useEffect(() => {
    const { viewport, scroller, head } = latest.current;
    const stopWatching = viewport.watch(() => {
      latest.current.requestBody();
      latest.current.requestHead();
    });
    const elements = [scroller.current, head.current].filter((element) => element !== null);
    const wheel = (event: WheelEvent) => onWheel(latest.current, event.currentTarget as HTMLElement, event);
    for (const element of elements) element.addEventListener('wheel', wheel as EventListener, { passive: false });
    return () => {
      stopWatching();
      for (const element of elements) element.removeEventListener('wheel', wheel as EventListener);
    };
  }, [stage.viewport]);
}

interface Shown {
  model: Model;
  rows: Rows;
  selected: number;
  collapsed: ReadonlySet<number>;
  onCollapsed: (collapsed: ReadonlySet<number>) => void;
  scroller: { current: HTMLDivElement | null };
}

/** The list may itself be outside of the window: the account above it links to spans. */
function intoWindow(y: number): void {
  if (y < ROW_PX * 3) scrollBy({ top: y - ROW_PX * 4 });
  else if (y > innerHeight - ROW_PX) scrollBy({ top: y - innerHeight * 0.45 });
}

/** Brings a newly selected span into view, opening what hides it. */
function useShown({ model, rows, selected, collapsed, onCollapsed, scroller }: Shown): void {
  const shown = useRef(-1);
  useLayoutEffect(() => {
    if (selected < 0 || shown.current === selected) return;
    const row = rows.rowOf[selected] ?? -1;
    if (row < 0) {
      onCollapsed(reveal(model, collapsed, selected));
      return;
    }
    const first = shown.current < 0;
    shown.current = selected;
    const element = scroller.current;
    if (!element) return;
    const y = row * ROW_PX;
    const height = element.clientHeight;
    const far = y < element.scrollTop - height || y > element.scrollTop + 2 * height;
    if (far) element.scrollTop = y - height / 2;
    else if (y < element.scrollTop) element.scrollTop = y;
    else if (y + ROW_PX > element.scrollTop + height) element.scrollTop = y + ROW_PX - height;
    if (!first) intoWindow(element.getBoundingClientRect().top + y - element.scrollTop);
  }, [selected, rows]);
}
