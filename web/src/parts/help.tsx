// The keyboard help: what is bound on this page right now.

import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { boundGroups } from '../keys';

const NAMES: Record<string, string> = { ArrowUp: '↑', ArrowDown: '↓', ArrowLeft: '←', ArrowRight: '→', Escape: 'Esc', ' ': 'Space' };

function Keys({ keys }: { keys: string }): JSX.Element {
  const parts = keys === ' ' ? [' '] : keys.split(' ');
  return (
    <>
      {parts.map((key) => (
        <>
          <kbd>{NAMES[key] ?? key}</kbd>{' '}
        </>
      ))}
    </>
  );
}

export function Help({ onClose }: { onClose: () => void }): JSX.Element {
  const dialog = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    dialog.current?.focus();
    return () => before?.focus();
  }, []);
  return (
    <div class="dialog-back" onClick={onClose}>
      <div ref={dialog} class="dialog" role="dialog" aria-modal="true" aria-label="Keyboard" tabIndex={-1} onClick={(event) => event.stopPropagation()}>
        <div class="row">
          <h1 class="grow">Keyboard</h1>
          <button type="button" class="button small" onClick={onClose}>
            Close <kbd>Esc</kbd>
          </button>
        </div>
        <div class="columns">
          {boundGroups().map((group) => (
            <section key={group.title}>
              <h3>{group.title}</h3>
              <dl>
                {group.bindings.map((binding) => (
                  <>
                    <dt>{binding.words}</dt>
                    <dd>
                      {binding.keys.map((keys) => (
                        <Keys key={keys} keys={keys} />
                      ))}
                    </dd>
                  </>
                ))}
              </dl>
            </section>
          ))}
        </div>
      </div>
    </div>
  );
}
