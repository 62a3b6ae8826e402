// What stands where an answer would: that it is on its way, that there is nothing yet, or what went wrong.

import type { ComponentChildren, JSX } from 'preact';
import { useState } from 'preact/hooks';
import { ApiError, Away, type Status, address } from '../api';
import { BUNDLE, NotInBundle } from '../bundle';
import { type Answer, useQuery } from '../query';
import { to } from '../router';
import { Icon } from './icons';

export function CopyButton({ text, words = 'Copy' }: { text: string; words?: string }): JSX.Element {
  const [said, setSaid] = useState<string | null>(null);
  const copy = () => {
    const say = (result: string) => {
      setSaid(result);
      setTimeout(() => setSaid(null), 1500);
    };
    // A page on plain HTTP that is not loopback has no clipboard.
    if (!navigator.clipboard) return say('Not allowed here');
    return void navigator.clipboard.writeText(text).then(() => say('Copied'), () => say('Not allowed'));
  };
  return (
    <button type="button" class="button plain small" onClick={copy} title={words}>
      {said ?? <Icon name="copy" />}
      <span class="hidden-text">{words}</span>
    </button>
  );
}

export function Command({ text }: { text: string }): JSX.Element {
  return (
    <div class="command">
      <code>{text}</code>
      <CopyButton text={text} words="Copy command" />
    </div>
  );
}

/** The server's sentences put names between backticks. */
export function Words({ text }: { text: string }): JSX.Element {
  return <>{text.split('`').map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part))}</>;
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="empty prose">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** Nothing there yet: how to send something, with the addresses of this very server. */
export function NothingYet({ title }: { title: string }): JSX.Element {
  return BUNDLE ? <Empty title={title} /> : <HowToSend title={title} />;
}

function HowToSend({ title }: { title: string }): JSX.Element {
  const { data } = useQuery<Status>(address('status'));
  const http = data?.listening.otlp_http ?? 'http://127.0.0.1:4318';
  return (
    <Empty title={title}>
      <p class="muted">Start a program with its telemetry sent here. Whatever speaks OTLP will do:</p>
      <Command text={`OTEL_EXPORTER_OTLP_ENDPOINT=${withScheme(http)} python app.py`} />
      <p class="muted">Or let sonde start it, with everything set:</p>
      <Command text="sonde run -- python app.py" />
      <p class="muted">
        It sends and nothing comes? <a href={to('/doctor')}>Doctor</a> shows who knocked, what was refused and why. If something came
        earlier, widen the range of time.
      </p>
    </Empty>
  );
}

export function withScheme(listening: string): string {
  return listening.includes('://') ? listening : `http://${listening}`;
}

/** What a page that is a file has not. */
export function Missing({ title, mend }: { title: string; mend: string }): JSX.Element {
  return (
    <Empty title={title}>
      <p class="muted">
        This page is a file, made by <code>sonde export</code>. <Words text={mend} />
      </p>
    </Empty>
  );
}

export function Problem({ error, again }: { error: Error; again: () => void }): JSX.Element {
  if (error instanceof NotInBundle) return <Missing title={error.message} mend={error.mend} />;
  const mend = error instanceof ApiError ? error.mend : null;
  const away = error instanceof Away;
  return (
    <div class="problem" role="alert">
      <strong>
        <Words text={error.message} />
      </strong>
      {mend !== null && (
        <p>
          <Words text={mend} />
        </p>
      )}
      {away && (
        <p>
          It is asked again by itself as soon as it is back. Is <code>sonde serve</code> running?
        </p>
      )}
      <button type="button" class="button small" onClick={again}>
        Try again
      </button>
    </div>
  );
}

interface AwaitProps<T> {
  answer: Answer<T>;
  /** What is shown of an error, where that is more than its words. */
  problem?: (error: Error) => JSX.Element;
  children: (data: T) => ComponentChildren;
}

/** Shows an answer once there is one; until then what there is instead of it. */
export function Await<T>({ answer, problem, children }: AwaitProps<T>): JSX.Element {
  const { data, error, again, loading } = answer;
  return (
    <>
      {loading && error === null && <div class="progress" role="progressbar" aria-label="Loading" />}
      {error !== null && (problem?.(error) ?? <Problem error={error} again={again} />)}
      {data !== null ? children(data) : error === null && <div class="skeleton" aria-hidden="true" />}
    </>
  );
}

export function More({ shown, what, onMore }: { shown: number; what: string; onMore?: (() => void) | undefined }): JSX.Element {
  return (
    <div class="more">
      <span>{BUNDLE ? `This bundle has ${shown} ${what}; there were more.` : `The first ${shown} ${what}; there are more.`}</span>
      {onMore && (
        <button type="button" class="button small" onClick={onMore}>
          Show more
        </button>
      )}
    </div>
  );
}
