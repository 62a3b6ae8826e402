// The tooltip of a chart: the moment under the pointer and every series' value there.

import type uPlot from 'uplot';
import { moment } from '../format';
import type { ChartSeries } from './chart';

const ROWS_MAX = 12;

export function placeTip(tip: HTMLElement, x: number, y: number): void {
  const { width, height } = tip.getBoundingClientRect();
  const left = x + 16 + width > innerWidth ? x - width - 16 : x + 16;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, Math.min(y + 12, innerHeight - height - 4))}px`;
}

function row(series: ChartSeries, value: number | null | undefined): HTMLElement {
  const line = document.createElement('div');
  line.className = 'tip-row';
  const dot = line.appendChild(document.createElement('i'));
  dot.className = 'dot';
  dot.style.background = `var(${series.variable})`;
  line.appendChild(document.createElement('span')).textContent = series.label;
  line.appendChild(document.createElement('b')).textContent = series.format(value ?? null);
  return line;
}

export function chartTip(series: () => ChartSeries[]): uPlot.Plugin {
  const tip = document.createElement('div');
  tip.className = 'tip';
  tip.hidden = true;
  const fill = (u: uPlot, index: number) => {
    const heading = document.createElement('div');
    heading.className = 'muted';
    heading.textContent = moment(u.data[0][index] ?? 0);
    const rows = series().map((one, number) => ({ one, value: u.data[number + 1]?.[index] }));
    const shown = rows.filter(({ value }) => value !== null && value !== undefined);
    if (rows.length > ROWS_MAX) shown.sort((a, b) => (b.value ?? 0) - (a.value ?? 0));
    tip.replaceChildren(heading, ...shown.slice(0, ROWS_MAX).map(({ one, value }) => row(one, value)));
  };
  return {
    hooks: {
      init: (u) => {
        document.body.append(tip);
        u.over.addEventListener('mouseleave', () => (tip.hidden = true));
      },
      setCursor: (u) => {
        const index = u.cursor.idx;
        const event = u.cursor.event;
        // Charts of the same group move their line along, but only the one under the pointer explains.
        tip.hidden = index === null || index === undefined || !event;
        if (tip.hidden || !event) return;
        fill(u, index as number);
        placeTip(tip, event.clientX, event.clientY);
      },
      destroy: () => tip.remove(),
    },
  };
}
