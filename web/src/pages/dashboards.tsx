// Dashboards that people wrote as files: all of them, and one.

import type { JSX } from 'preact';
import type { Mistake } from '../api';
import { plural } from '../format';
import { PanelCard } from '../parts/panels';
import { Page } from '../parts/shell';
import { Await, Command, Empty, Words } from '../parts/states';
import { useDashboard, useDashboards } from '../parts/use-dashboards';
import { to } from '../router';

/** What is wrong with files, where, and what to do about it. */
function Mistakes({ mistakes }: { mistakes: Mistake[] }): JSX.Element {
  return (
    <div class="problem" role="alert">
      <strong>{mistakes.length === 1 ? 'This file is not right yet' : `${mistakes.length} things in this file are not right yet`}</strong>
      <ul class="mistakes">
        {mistakes.map(({ file, line, key, message, mend }) => (
          <li key={`${line} ${key} ${message}`}>
            <b>
              {file}
              {line !== null && ` line ${line}`}
            </b>
            {key !== '' && (
              <>
                {' '}
                <code>{key}</code>
              </>
            )}
            : <Words text={message} />
            <div class="muted">
              <Words text={mend} />
            </div>
          </li>
        ))}
      </ul>
      <p class="muted">It is shown here as soon as the file is saved and right.</p>
    </div>
  );
}

export function DashboardsPage(): JSX.Element {
  const answer = useDashboards();
  return (
    <Page title="Dashboards" ranged={false}>
      <Await answer={answer}>
        {({ folder, dashboards, left_out, mistake }) => (
          <>
            {mistake !== null && <Mistakes mistakes={[mistake]} />}
            {dashboards.length === 0 && mistake === null && (
              <Empty title="No dashboards yet">
                <p class="muted">A dashboard is a file, {folder === null ? 'in a folder that the server is given:' : `NAME.toml, in ${folder}. It is shown as soon as it is there.`}</p>
                {folder === null && <Command text="sonde serve --dashboards ./dashboards" />}
              </Empty>
            )}
            {dashboards.length > 0 && (
              <section class="card" aria-label="Dashboards">
                <ul class="board-list">
                  {dashboards.map((board) => (
                    <li key={board.name}>
                      <a data-row href={to(`/dashboards/${board.name}`)}>
                        <b>{board.title}</b>
                        <span class="muted clip">{board.description}</span>
                        {board.mistakes.length > 0 ? <span class="badge error">{plural(board.mistakes.length, 'mistake')}</span> : <span class="muted">{plural(board.panels, 'panel')}</span>}
                      </a>
                    </li>
                  ))}
                </ul>
              </section>
            )}
            {left_out > 0 && <p class="muted">{plural(left_out, 'file')} more are left out.</p>}
          </>
        )}
      </Await>
    </Page>
  );
}

export function DashboardPage({ name }: { name: string }): JSX.Element {
  const answer = useDashboard(name);
  const board = answer.data;
  const actions = (
    <a class="button plain" href={to('/dashboards')}>
      All dashboards
    </a>
  );
  return (
    <Page title={board?.title ?? name} actions={actions}>
      <Await answer={answer}>
        {({ description, panels, mistakes }) =>
          mistakes.length > 0 ? (
            <Mistakes mistakes={mistakes} />
          ) : (
            <>
              {description !== '' && <p class="muted board-description">{description}</p>}
              <div class="board">
                {panels.map((panel, index) => (
                  <PanelCard key={`${index} ${panel.kind} ${panel.promql ?? panel.sql ?? ''}`} panel={panel} />
                ))}
              </div>
            </>
          )
        }
      </Await>
    </Page>
  );
}
