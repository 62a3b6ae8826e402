// Something that a reader does and that the server may refuse: it is on its way, done, or refused with words.

import { useEffect, useRef, useState } from 'preact/hooks';

export interface Action {
  busy: boolean;
  error: Error | null;
  /** When it was done last, in milliseconds since the epoch. */
  doneMs: number | null;
  start: () => void;
}

/** `run` is not begun again while it runs. */
export function useAction(run: () => Promise<unknown>): Action {
  const [state, setState] = useState<Omit<Action, 'start'>>({ busy: false, error: null, doneMs: null });
  const isThere = useRef(true);
  useEffect(() => () => void (isThere.current = false), []);
  const start = () => {
    if (state.busy) return;
    setState({ busy: true, error: null, doneMs: null });
    run().then(
      () => isThere.current && setState({ busy: false, error: null, doneMs: Date.now() }),
      (error: Error) => isThere.current && setState({ busy: false, error, doneMs: null }),
    );
  };
  return { ...state, start };
}
