// A flame graph on a canvas: pointer, keys, search, and the same said in words for whoever does not see it.

import type { JSX } from 'preact';
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Flame } from '../api';
import { percent } from '../format';
import { useKeys } from '../keys';
import { SearchField } from '../parts/bits';
import { useCanvas } from '../parts/canvas';
import { setParams, usePlace } from '../router';
import { useTheme } from '../theme';
import { ROW_PX, drawGraph } from './draw';
import { type Graph, build, find, frameOf, isWithin, nodeAt, shares, step } from './model';
import { amount } from './words';

const FONT_PX = 11.5;

function describe(graph: Graph, node: number): { name: string; facts: string } {
  const { answer } = graph;
  const frame = frameOf(graph, node);
  const [a, b] = shares(graph, node);
  const own = answer.nodes.own[node] ?? 0;
  const total = answer.nodes.total[node] ?? 0;
  const parts = [`${amount(total, answer.unit)} (${percent(total, answer.total)})`, `own ${amount(own, answer.unit)}`];
  if (graph.pair) {
    parts.push(`before ${amount(answer.nodes.b_total?.[node] ?? 0, answer.unit)} (${percent(answer.nodes.b_total?.[node] ?? 0, answer.b_total ?? 0)})`);
    if (Math.abs(a - b) >= 0.0005) parts.push(`${a > b ? '+' : '−'}${(Math.abs(a - b) * 100).toFixed(1)} points`);
  }
  if (frame.library !== '') parts.push(frame.library);
  if (frame.file !== '') parts.push(frame.file);
  return { name: frame.function, facts: parts.join(', ') };
}

interface ToolsProps {
  words: string;
  found: { list: number[]; share: number } | null;
  zoomed: boolean;
  onNext: () => void;
  onWhole: () => void;
}

function Tools({ words, found, zoomed, onNext, onWhole }: ToolsProps): JSX.Element {
  return (
    <header>
      <SearchField value={words} label="Highlight functions" placeholder="Function, library, file" onChange={(next) => setParams({ find: next })} />
      {found && (
        <span class="muted">
          {found.list.length === 0 ? 'None found' : `${found.list.length} found, ${percent(found.share, 1)} of all`}
          {found.list.length > 0 && (
            <button type="button" class="button plain small" onClick={onNext}>
              Next <kbd>n</kbd>
            </button>
          )}
        </span>
      )}
      <span class="row wrap spacer">
        {zoomed && (
          <button type="button" class="button small" onClick={onWhole}>
            Whole graph <kbd>0</kbd>
          </button>
        )}
      </span>
    </header>
  );
}

/** What is chosen, what is looked for, and the way between them. */
function useChoice(graph: Graph) {
  const { params } = usePlace();
  const [focus, setFocus] = useState(0);
  const [selected, setSelected] = useState(0);
  const words = params.get('find') ?? '';
  const found = useMemo(() => (words === '' ? null : find(graph, words)), [graph, words]);
  // Another answer is another tree.
  useEffect(() => {
    setFocus(0);
    setSelected(0);
  }, [graph]);
  const size = graph.depth.length;
  const zoom = useCallback((node: number) => {
    setFocus(node);
    setSelected(node);
  }, []);
  const select = (node: number) => {
    setSelected(node);
    if (!isWithin(graph, node, focus)) setFocus(node);
  };
  const next = (by: number) => {
    if (!found || found.list.length === 0) return;
    const at = found.list.indexOf(selected);
    const from = at < 0 ? (by > 0 ? -1 : 0) : at;
    select(found.list[(from + by + found.list.length) % found.list.length] as number);
  };
  return { focus: focus < size ? focus : 0, selected: selected < size ? selected : 0, words, found, zoom, select, next };
}

export function FlameGraph({ answer }: { answer: Flame }): JSX.Element {
  const graph = useMemo(() => build(answer), [answer]);
  const { focus, selected, words, found, zoom, select, next } = useChoice(graph);
  const [hovered, setHovered] = useState(-1);
  const scroll = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  useTheme();
  const request = useCanvas(canvas, (context, width, height) => {
    const font = `${FONT_PX}px ${getComputedStyle(document.body).fontFamily}`;
    drawGraph(context, { graph, focus, selected, hovered, matches: found?.matches ?? null, top: scroll.current?.scrollTop ?? 0, font }, width, height);
  });
  const at = (event: { clientX: number; clientY: number }): number => {
    const box = canvas.current?.getBoundingClientRect();
    if (!box || box.width === 0) return -1;
    return nodeAt(graph, focus, (event.clientX - box.left) / box.width, Math.floor((event.clientY - box.top + (scroll.current?.scrollTop ?? 0)) / ROW_PX));
  };
  const reveal = (node: number) => {
    const box = scroll.current;
    const y = (graph.depth[node] as number) * ROW_PX;
    if (box && (y < box.scrollTop || y + ROW_PX > box.scrollTop + box.clientHeight)) box.scrollTop = y - box.clientHeight / 2;
  };
  const move = (event: KeyboardEvent) => select(step(graph, selected, event.key));
  useEffect(() => reveal(selected), [graph, selected]);
  useKeys('Flame graph', [
    { keys: ['ArrowDown'], words: 'Its largest callee', run: move },
    { keys: ['ArrowUp'], words: 'Its caller', run: move },
    { keys: ['ArrowLeft', 'ArrowRight'], words: 'The callee beside it', run: move },
    { keys: ['Enter', 'f'], words: 'Zoom to it', run: () => zoom(selected) },
    { keys: ['Escape', '0'], words: 'Whole graph', run: () => zoom(0) },
    { keys: ['n'], words: 'Next that is highlighted', run: () => next(1) },
    { keys: ['N'], words: 'The one before', run: () => next(-1) },
  ]);
  const shown = describe(graph, hovered >= 0 ? hovered : selected);
  return (
    <section class="card profile" aria-label="Flame graph">
      <Tools words={words} found={found} zoomed={focus > 0} onNext={() => next(1)} onWhole={() => zoom(0)} />
      <div ref={scroll} class="profile-scroll" tabIndex={0} role="group" aria-label="Flame graph, callers above what they called; arrow keys go through it" aria-describedby="profile-selected" onScroll={request}>
        <div class="profile-space" style={{ height: `${graph.rows * ROW_PX}px` }}>
          <canvas
            ref={canvas}
            style={{ height: `min(var(--profile-max), ${graph.rows * ROW_PX}px)` }}
            onMouseMove={(event) => setHovered(at(event))}
            onMouseLeave={() => setHovered(-1)}
            onClick={(event) => {
              const node = at(event);
              if (node >= 0) zoom(node === focus ? (graph.answer.nodes.parent[node] as number) : node);
            }}
          />
        </div>
      </div>
      <p class="profile-words" id="profile-selected" aria-live="polite">
        <b class="mono">{shown.name}</b> <span class="muted">{shown.facts}</span>
      </p>
      {answer.left_out > 0 && <p class="profile-words muted">{answer.left_out.toLocaleString('en-GB')} smaller calls are left out; they leave gaps.</p>}
    </section>
  );
}
