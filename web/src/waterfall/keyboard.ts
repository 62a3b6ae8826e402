// The keys of a waterfall.

import { type Binding, useKeys } from '../keys';
import { type Model, isError } from './model';
import { type Rows, collapseAt } from './rows';
import type { Viewport } from './viewport';

interface Props {
  model: Model;
  rows: Rows;
  viewport: Viewport;
  selected: number;
  onSelect: (index: number) => void;
  matches: number[] | null;
  collapsed: ReadonlySet<number>;
  onCollapsed: (collapsed: ReadonlySet<number>) => void;
  onFocusDetail: () => void;
  pageRows: () => number;
}

export function useWaterfallKeys(props: Props): void {
  useKeys('Trace', [...moving(props), ...folding(props), ...zooming(props)]);
}

/** The next span of a list after the selected one, in the order of the rows; around the end. */
function cycle(list: number[], selected: number, step: number): number | undefined {
  if (list.length === 0) return undefined;
  const at = list.indexOf(selected);
  if (at < 0) return step > 0 ? list[0] : list.at(-1);
  return list[(at + step + list.length) % list.length];
}

function moving({ model, rows, selected, onSelect, matches, onFocusDetail, pageRows }: Props): Binding[] {
  const move = (step: number) => {
    // Rows that show logs are passed over.
    let row = selected < 0 ? (step > 0 ? -1 : rows.length) : (rows.rowOf[selected] as number);
    let found = -1;
    for (let left = Math.abs(step); left > 0; ) {
      row += Math.sign(step);
      if (row < 0 || row >= rows.length) break;
      if ((rows.log[row] as number) >= 0) continue;
      found = rows.span[row] as number;
      left -= 1;
    }
    if (found >= 0) onSelect(found);
  };
  const go = (index: number | undefined) => index !== undefined && onSelect(index);
  const errors = () => [...model.order].filter((index) => isError(model.spans[index] as (typeof model.spans)[number]));
  return [
    { keys: ['j', 'ArrowDown'], words: 'Next span', run: () => move(1) },
    { keys: ['k', 'ArrowUp'], words: 'Previous span', run: () => move(-1) },
    { keys: ['PageDown'], words: 'A screen down', run: () => move(pageRows()) },
    { keys: ['PageUp'], words: 'A screen up', run: () => move(-pageRows()) },
    { keys: ['Home'], words: 'First span', run: () => go(model.order[0]) },
    { keys: ['n'], words: 'Next match', run: () => go(cycle(matches ?? [], selected, 1)) },
    { keys: ['N'], words: 'Previous match', run: () => go(cycle(matches ?? [], selected, -1)) },
    { keys: ['e'], words: 'Next error', run: () => go(cycle(errors(), selected, 1)) },
    { keys: ['Enter'], words: 'To the details', run: onFocusDetail },
  ];
}

function folding({ model, selected, onSelect, collapsed, onCollapsed }: Props): Binding[] {
  const fold = () => {
    if (selected < 0) return;
    if ((model.below[selected] as number) > 0 && !collapsed.has(selected)) onCollapsed(new Set(collapsed).add(selected));
    else if ((model.parent[selected] as number) >= 0) onSelect(model.parent[selected] as number);
  };
  const unfold = () => {
    const next = new Set(collapsed);
    if (next.delete(selected)) onCollapsed(next);
  };
  return [
    { keys: ['h', 'ArrowLeft'], words: 'Close, or go to the parent', run: fold },
    { keys: ['l', 'ArrowRight'], words: 'Open', run: unfold },
    { keys: ['['], words: 'Close all below the top', run: () => onCollapsed(collapseAt(model, 1)) },
    { keys: [']'], words: 'Open all', run: () => onCollapsed(new Set()) },
  ];
}

function zooming({ viewport, selected }: Props): Binding[] {
  return [
    { keys: ['w', '+'], words: 'Zoom in', run: () => viewport.zoom(0.6) },
    { keys: ['s', '-'], words: 'Zoom out', run: () => viewport.zoom(1 / 0.6) },
    { keys: ['a'], words: 'Earlier', run: () => viewport.pan(-0.25) },
    { keys: ['d'], words: 'Later', run: () => viewport.pan(0.25) },
    { keys: ['f'], words: 'Zoom to the span', run: () => viewport.fit(selected) },
    { keys: ['0'], words: 'The whole trace', run: () => viewport.reset() },
  ];
}
