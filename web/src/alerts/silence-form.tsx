// The form that silences an alert from its row: which labels count, for how long, why, and who says so.

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { type Labels, type NewSilence, address, post } from '../api';
import { clock } from '../format';
import { useKeys } from '../keys';
import { Choice } from '../parts/bits';
import { Problem } from '../parts/states';
import { setParams } from '../router';
import { recall, remember } from '../storage';
import { useAction } from './use-action';
import { matcher } from './words';

const KEY = 'radiosonde.silences.by';
/** The server takes no more. */
const MATCHERS_MAX = 16;

const LENGTHS = [
  { seconds: 1800, words: '30 min' },
  { seconds: 3600, words: '1 h' },
  { seconds: 2 * 3600, words: '2 h' },
  { seconds: 8 * 3600, words: '8 h' },
  { seconds: 24 * 3600, words: '1 day' },
  { seconds: 3 * 24 * 3600, words: '3 days' },
  { seconds: 7 * 24 * 3600, words: '1 week' },
];

interface FormProps {
  labels: Labels;
  onDone: () => void;
}

export function SilenceForm({ labels, onDone }: FormProps): JSX.Element {
  const [chosen, setChosen] = useState(() => Object.keys(labels).slice(0, MATCHERS_MAX));
  const [seconds, setSeconds] = useState(3600);
  const [comment, setComment] = useState('');
  const [who, setWho] = useState(recall(KEY) ?? '');
  const close = () => setParams({ silence: null });
  useKeys('Silence', [{ keys: ['Escape'], words: 'Close without silencing', run: close }], 2);
  const action = useAction(async () => {
    const silence: NewSilence = {
      matchers: Object.entries(labels).filter(([name]) => chosen.includes(name)).map(([name, value]) => matcher(name, value)),
      seconds,
      comment: comment.trim(),
      created_by: who.trim(),
    };
    await post(address('silences'), silence);
    remember(KEY, who.trim());
    close();
    onDone();
  });
  const toggle = (name: string) => setChosen(chosen.includes(name) ? chosen.filter((one) => one !== name) : [...chosen, name]);
  return (
    <form
      class="silence-form"
      aria-label="Silence alerts"
      onSubmit={(event) => {
        event.preventDefault();
        action.start();
      }}
    >
      <fieldset>
        <legend>Silence every alert with</legend>
        {Object.entries(labels).map(([name, value]) => (
          <label key={name} class="label mono">
            <input type="checkbox" checked={chosen.includes(name)} onChange={() => toggle(name)} /> {name}={value}
          </label>
        ))}
      </fieldset>
      <div class="row wrap">
        <Choice label="For how long" value={String(seconds)} options={LENGTHS.map((length) => ({ value: String(length.seconds), words: `For ${length.words}` }))} onChange={(next) => setSeconds(Number(next))} />
        <input class="field grow" aria-label="Why" placeholder="Why: what is being done about it" required maxLength={500} value={comment} onInput={(event) => setComment(event.currentTarget.value)} />
        <input class="field" aria-label="Who" placeholder="Your name" required maxLength={100} value={who} onInput={(event) => setWho(event.currentTarget.value)} />
        <button type="submit" class="button primary" disabled={action.busy}>
          Silence until {clock(Date.now() + seconds * 1000, false)}
        </button>
        <button type="button" class="button" onClick={close}>
          Cancel
        </button>
      </div>
      <p class="muted">Nobody is told that these fire until then. That they are resolved is told to whoever was told that they fire.</p>
      {action.error !== null && <Problem error={action.error} again={action.start} />}
    </form>
  );
}
