// Which page is shown for which path, and the keys that work on every page.

import type { JSX } from 'preact';
import { useEffect, useErrorBoundary, useState } from 'preact/hooks';
import { BUNDLE, NEEDS_COLLECTOR } from './bundle';
import { focusSearch, moveRow, useKeys } from './keys';
import { AlertsPage } from './pages/alerts';
import { ComparePage } from './pages/compare';
import { DashboardPage, DashboardsPage } from './pages/dashboards';
import { DoctorPage } from './pages/doctor';
import { EnginesPage } from './pages/engines';
import { FlamePage } from './pages/flame';
import { LogsPage } from './pages/logs';
import { MapPage } from './pages/map';
import { MetricsPage } from './pages/metrics';
import { OverviewPage } from './pages/overview';
import { RehearsalPage } from './pages/rehearsal';
import { SqlPage } from './pages/sql';
import { TracePage } from './pages/trace';
import { TracesPage } from './pages/traces';
import { WhyPage } from './pages/why';
import { WorkersPage } from './pages/workers';
import { Help } from './parts/help';
import { ConnectionBanner, Page, Side, pagesWith } from './parts/shell';
import { Empty, Missing, Problem } from './parts/states';
import { useDashboards } from './parts/use-dashboards';
import { followLinks, navigate, to, usePlace } from './router';
import { toggleLive } from './time';

function NotFound({ path }: { path: string }): JSX.Element {
  return (
    <Page title="No such page" ranged={false}>
      <Empty title={`Nothing is at ${path}`}>
        <p>
          <a href={to('/')}>Go to the overview</a>
        </p>
      </Empty>
    </Page>
  );
}

/** Pages that are nothing without somebody to ask, by their first part. */
const ASKING: Record<string, string> = { compare: 'Compare', sql: 'SQL', doctor: 'Doctor', dashboards: 'Dashboards', alerts: 'Alerts' };

function NeedsServer({ title }: { title: string }): JSX.Element {
  return (
    <Page title={title} ranged={false}>
      <Missing title={`${title} is not in a bundle`} mend={NEEDS_COLLECTOR} />
    </Page>
  );
}

/** A defect of one page does not take the others away. */
function Guarded({ path }: { path: string }): JSX.Element {
  const [error, reset] = useErrorBoundary();
  if (!error) return <Route path={path} />;
  return (
    <Page title="This page failed" ranged={false}>
      <Problem error={error as Error} again={reset} />
    </Page>
  );
}

function Route({ path }: { path: string }): JSX.Element {
  const [, first = '', second] = path.split('/');
  const asking = BUNDLE ? ASKING[first] : undefined;
  if (asking) return <NeedsServer title={asking} />;
  if (first === 'traces' && second) return <TracePage key={second} traceId={decodeURIComponent(second)} />;
  if (first === 'alerts' && second) return <RehearsalPage key={second} rule={decodeURIComponent(second)} />;
  if (first === 'dashboards' && second) return <DashboardPage key={second} name={decodeURIComponent(second)} />;
  switch (path.replace(/\/+$/, '')) {
    case '':
      return <OverviewPage />;
    case '/alerts':
      return <AlertsPage />;
    case '/traces':
      return <TracesPage />;
    case '/why':
      return <WhyPage />;
    case '/compare':
      return <ComparePage />;
    case '/logs':
      return <LogsPage />;
    case '/metrics':
      return <MetricsPage />;
    case '/workers':
      return <WorkersPage />;
    case '/engines':
      return <EnginesPage />;
    case '/flame':
      return <FlamePage />;
    case '/map':
      return <MapPage />;
    case '/sql':
      return <SqlPage />;
    case '/dashboards':
      return <DashboardsPage />;
    case '/doctor':
      return <DoctorPage />;
    default:
      return <NotFound path={path} />;
  }
}

export function App(): JSX.Element {
  const { path } = usePlace();
  const [help, setHelp] = useState(false);
  const boards = useDashboards().data;
  const pages = pagesWith(boards !== null && (boards.dashboards.length > 0 || boards.mistake !== null));
  useEffect(() => followLinks(document.body), []);
  useKeys(
    'Everywhere',
    [
      { keys: ['?'], words: 'This help', run: () => setHelp(!help) },
      { keys: ['/'], words: 'Search', run: focusSearch },
      { keys: ['j', 'ArrowDown'], words: 'Next row', run: () => moveRow(1) },
      { keys: ['k', 'ArrowUp'], words: 'Previous row', run: () => moveRow(-1) },
      { keys: ['p'], words: 'Hold or follow (live)', run: toggleLive },
    ],
    0,
  );
  useKeys('Go to', pages.map((page) => ({ keys: [page.keys], words: page.words, run: () => navigate(to(page.path)) })), 0);
  useKeys('Help', help ? [{ keys: ['Escape'], words: 'Close this help', run: () => setHelp(false) }] : [], 2);
  return (
    <div class="shell">
      <a class="skip button" href="#main">
        To the content
      </a>
      <Side pages={pages} onHelp={() => setHelp(true)} />
      <main id="main" tabIndex={-1}>
        <ConnectionBanner />
        <Guarded key={path} path={path} />
      </main>
      {help && <Help onClose={() => setHelp(false)} />}
    </div>
  );
}
