// The flame graph: a click looks into a frame and selects its longest span.

import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { duration, percent, plural } from '../format';
import { hue } from '../palette';
import { type Box, type Frame, boxes, frames } from './flame';
import type { Model } from './model';

const ROW_PX = 22;

interface BoxProps {
  box: Box;
  frame: Frame;
  whole: number;
  chosen: boolean;
  onClick: () => void;
}

function FrameBox({ box, frame, whole, chosen, onClick }: BoxProps): JSX.Element {
  const words = `${frame.name}: ${duration(frame.total)} (${percent(frame.total, whole)}), self ${duration(frame.self)}, ${plural(frame.spans, 'span')}${frame.errors > 0 ? `, ${plural(frame.errors, 'error')}` : ''}`;
  return (
    <button
      type="button"
      class={`flame-frame hue-${hue(frame.service)}${frame.errors > 0 ? ' failed' : ''}${chosen ? ' chosen' : ''}`}
      style={{ left: `${box.left * 100}%`, width: `${box.width * 100}%`, top: `${box.row * ROW_PX}px` }}
      title={words}
      aria-label={words}
      onClick={onClick}
    >
      {frame.errors > 0 && '! '}
      {frame.name} <small>{duration(frame.total)}</small>
    </button>
  );
}

interface Props {
  model: Model;
  selected: number;
  onSelect: (index: number) => void;
}

export function Flame({ model, selected, onSelect }: Props): JSX.Element {
  const all = useMemo(() => frames(model), [model]);
  const [focus, setFocus] = useState(0);
  const at = all[focus] ? focus : 0;
  const shown = useMemo(() => boxes(all, at), [all, at]);
  const rows = shown.reduce((most, box) => Math.max(most, box.row + 1), 1);
  const whole = all[0]?.total ?? 1;
  return (
    <div class="flame">
      <p class="row wrap muted">
        <span class="grow">Self time: what no child accounts for, the same names under the same parents together. What ran in parallel counts each time.</span>
        {at > 0 && (
          <button type="button" class="button small" onClick={() => setFocus(0)}>
            Whole trace
          </button>
        )}
      </p>
      <div class="flame-scroll">
        <div class="flame-space" style={{ height: `${rows * ROW_PX}px` }}>
          {shown.map((box) => {
            const frame = all[box.frame] as Frame;
            const choose = () => {
              setFocus(box.frame);
              onSelect(frame.longest);
            };
            return <FrameBox key={box.frame} box={box} frame={frame} whole={whole} chosen={frame.longest === selected} onClick={choose} />;
          })}
        </div>
      </div>
    </div>
  );
}
