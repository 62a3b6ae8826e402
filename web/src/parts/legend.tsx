// The lines of a chart by name, with their values; one that is clicked is hidden or shown.

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { Step } from '../api';
import { HUES } from '../palette';

export interface Line {
  label: string;
  variable: string;
  dash: boolean;
  values: Map<number, Step>;
}

/** Neighbours differ in hue; lines beyond the last hue are dashed. */
export function lineStyle(index: number): { variable: string; dash: boolean } {
  return { variable: `--hue-${(index * 3) % HUES}`, dash: index >= HUES };
}

/** The lines that are hidden, and what hides one or shows it again. */
export function useHidden(): [ReadonlySet<string>, (label: string) => void] {
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const toggle = (label: string) => {
    const next = new Set(hidden);
    if (!next.delete(label)) next.add(label);
    setHidden(next);
  };
  return [hidden, toggle];
}

interface LegendProps {
  lines: Line[];
  hidden: ReadonlySet<string>;
  format: (value: number | null) => string;
  onToggle: (label: string) => void;
}

function LegendRow({ line, off, format, onToggle }: { line: Line; off: boolean; format: LegendProps['format']; onToggle: () => void }): JSX.Element {
  const values = [...line.values.values()].filter((value) => value !== null);
  const extreme = (pick: (...all: number[]) => number) => (values.length === 0 ? null : values.reduce((a, b) => pick(a, b)));
  return (
    <tr class={off ? 'off' : ''}>
      <td class="fill">
        <button type="button" class="legend-toggle" aria-pressed={!off} onClick={onToggle}>
          <i class="dot" style={{ background: `var(${line.variable})` }} />
          <span class="clip">{line.label}</span>
        </button>
      </td>
      <td class="number">{format(values.at(-1) ?? null)}</td>
      <td class="number optional">{format(extreme(Math.min))}</td>
      <td class="number">{format(extreme(Math.max))}</td>
    </tr>
  );
}

export function Legend({ lines, hidden, format, onToggle }: LegendProps): JSX.Element {
  return (
    <div class="legend-table">
      <table>
        <thead>
          <tr>
            <th>Series</th>
            <th class="number">Latest</th>
            <th class="number optional">Least</th>
            <th class="number">Most</th>
          </tr>
        </thead>
        <tbody>
          {lines.map((line) => (
            <LegendRow key={line.label} line={line} off={hidden.has(line.label)} format={format} onToggle={() => onToggle(line.label)} />
          ))}
        </tbody>
      </table>
    </div>
  );
}
