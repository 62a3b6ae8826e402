// What stands around every page: where one can go, the range of time, whether the server is there.

import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { FiringCount } from '../alerts/firing-count';
import { BUNDLE } from '../bundle';
import { clock } from '../format';
import { useConnection } from '../live';
import { to, usePlace } from '../router';
import { type Choice, choice, choose, useTheme } from '../theme';
import { RANGES, setRange, toggleLive, useRange } from '../time';
import { Icon, type IconName } from './icons';

interface PageLink {
  path: string;
  words: string;
  icon: IconName;
  keys: string;
}

const PAGES: PageLink[] = [
  { path: '/', words: 'Overview', icon: 'overview', keys: 'g o' },
  { path: '/alerts', words: 'Alerts', icon: 'alerts', keys: 'g a' },
  { path: '/traces', words: 'Traces', icon: 'traces', keys: 'g t' },
  { path: '/why', words: 'Why', icon: 'why', keys: 'g y' },
  { path: '/compare', words: 'Compare', icon: 'compare', keys: 'g c' },
  { path: '/logs', words: 'Logs', icon: 'logs', keys: 'g l' },
  { path: '/metrics', words: 'Metrics', icon: 'metrics', keys: 'g m' },
  { path: '/workers', words: 'Workers', icon: 'workers', keys: 'g w' },
  { path: '/engines', words: 'Engines', icon: 'engines', keys: 'g e' },
  { path: '/flame', words: 'Profiles', icon: 'flame', keys: 'g f' },
  { path: '/map', words: 'Map', icon: 'map', keys: 'g p' },
  { path: '/sql', words: 'SQL', icon: 'sql', keys: 'g s' },
  { path: '/doctor', words: 'Doctor', icon: 'doctor', keys: 'g d' },
];

const DASHBOARDS: PageLink = { path: '/dashboards', words: 'Dashboards', icon: 'dashboards', keys: 'g b' };

/** The pages one can go to; dashboards only where there are any. */
export function pagesWith(dashboards: boolean): PageLink[] {
  return dashboards ? PAGES.toSpliced(1, 0, DASHBOARDS) : PAGES;
}

function isCurrent(path: string, page: string): boolean {
  return page === '/' ? path === '/' : path === page || path.startsWith(`${page}/`);
}

const CONNECTION_WORDS = { connecting: 'Connecting', live: 'Connected', away: 'Server away', none: 'From a file' } as const;
/** Where the document says that it is: in a page that is a file the icon is in its address. */
const ICON = document.querySelector<HTMLLinkElement>('link[rel="icon"]')?.href ?? '';
const NEXT_THEME: Record<Choice, Choice> = { system: 'dark', dark: 'light', light: 'system' };

function ThemeButton(): JSX.Element {
  useTheme();
  const now = choice();
  const words = `Theme: ${now}`;
  return (
    <button type="button" class="button plain small" title={`${words}. Change to ${NEXT_THEME[now]}`} onClick={() => choose(NEXT_THEME[now])}>
      <Icon name="theme" />
      <span class="hidden-text">{words}</span>
    </button>
  );
}

export function Side({ pages, onHelp }: { pages: PageLink[]; onHelp: () => void }): JSX.Element {
  const { path } = usePlace();
  const { connection } = useConnection();
  const list = useRef<HTMLUListElement>(null);
  // On narrow screens the pages are a strip that scrolls sideways.
  useEffect(() => list.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' }), [path]);
  return (
    <nav class="side" aria-label="Pages">
      <a class="brand" href={to('/')}>
        <img src={ICON} alt="" />
        <span>Radiosonde</span>
      </a>
      <ul ref={list}>
        {pages.map((page) => (
          <li key={page.path}>
            <a href={to(page.path)} {...(isCurrent(path, page.path) ? { 'aria-current': 'page' as const } : {})}>
              <Icon name={page.icon} />
              {page.words}
              {page.path === '/alerts' && <FiringCount />}
              <span class="keys" aria-hidden="true">
                {page.keys}
              </span>
            </a>
          </li>
        ))}
      </ul>
      <div class="side-foot">
        <span class="row" role="status">
          <i class={`pulse${connection === 'live' ? ' on' : connection === 'away' ? ' away' : ''}`} />
          {CONNECTION_WORDS[connection]}
        </span>
        <span class="row">
          <ThemeButton />
          <button type="button" class="button plain small" onClick={onHelp} title="Keyboard help">
            <kbd>?</kbd>
            <span class="hidden-text">Keyboard help</span>
          </button>
        </span>
      </div>
    </nav>
  );
}

function RangePicker(): JSX.Element {
  const range = useRange();
  if (BUNDLE) {
    return (
      <span class="muted" title="The time of which this bundle has the answers">
        {clock(range.start, false)} – {clock(range.end, false)}
      </span>
    );
  }
  return (
    <span class="picker">
      <select class="field" aria-label="Range of time" value={range.live ? range.key : 'fixed'} onChange={(event) => setRange(event.currentTarget.value)}>
        {!range.live && (
          <option value="fixed" disabled>
            {clock(range.start, false)} – {clock(range.end, false)}
          </option>
        )}
        {RANGES.map((preset) => (
          <option key={preset.key} value={preset.key}>
            {preset.words}
          </option>
        ))}
      </select>
      <button type="button" class="button" aria-pressed={range.live} onClick={toggleLive} title={range.live ? 'Hold the view where it is' : 'Follow what comes'}>
        <i class={`pulse${range.live ? ' on' : ''}`} />
        Live
      </button>
    </span>
  );
}

/** Says that the server is away, and for a moment that it is back. */
export function ConnectionBanner(): JSX.Element | null {
  const { connection, awaySince } = useConnection();
  const wasAway = useRef(false);
  const [back, setBack] = useState(false);
  useEffect(() => {
    if (connection === 'away') wasAway.current = true;
    if (connection !== 'live' || !wasAway.current) return undefined;
    wasAway.current = false;
    setBack(true);
    const timer = setTimeout(() => setBack(false), 3000);
    return () => clearTimeout(timer);
  }, [connection]);
  if (connection === 'away' && awaySince !== null) {
    return (
      <div class="banner" role="alert">
        <strong>The server does not answer.</strong> What you see is from {clock(awaySince, false)}. Trying again.
      </div>
    );
  }
  if (!back) return null;
  return (
    <div class="banner back" role="status">
      The server is back; everything is up to date.
    </div>
  );
}

interface PageProps {
  title: ComponentChildren;
  /** For the tab, when the heading is more than text. */
  tab?: string;
  actions?: ComponentChildren;
  /** Pages that are not about a range of time have no picker. */
  ranged?: boolean;
  children: ComponentChildren;
}

export function Page({ title, tab, actions, ranged = true, children }: PageProps): JSX.Element {
  const name = tab ?? (typeof title === 'string' ? title : '');
  useEffect(() => {
    document.title = name === '' ? 'Radiosonde' : `${name} · Radiosonde`;
  }, [name]);
  return (
    <>
      <header class="page-head">
        <h1 class="clip">{title}</h1>
        {actions}
        {ranged && <RangePicker />}
      </header>
      {children}
    </>
  );
}
