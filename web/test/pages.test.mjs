// Every page, wide and narrow, dark and light, full, empty and failing: readable, named, and silent on the console.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Fixture } from './fixture.mjs';
import { spanId, traceId } from './fixture-data.mjs';
import { SIZES, SKIP, assertAccessible, assertFits, assertNoFaults, launch, open, visit } from './harness.mjs';

const PAGES = {
  overview: '/',
  traces: '/traces',
  trace: `/traces/${traceId(0)}`,
  span: `/traces/${traceId(0)}?span=${spanId(11)}`,
  flame: `/traces/${traceId(0)}?show=flame`,
  part: `/traces/${traceId(0)}?why=${spanId(11)}`,
  why: '/why?service=engine&operation=decode',
  beginning: '/compare',
  compare: '/compare?a_version=1.4&b_version=1.5',
  traces_ticked: `/traces?pick=${traceId(1)}`,
  logs: '/logs',
  metrics: '/metrics',
  promql: '/metrics?query=sum+by+(model)+(rate(tokens_total%5B5m%5D))',
  promql_values: '/metrics?query=up&view=values',
  promql_nothing: '/metrics?query=no_such',
  workers: '/workers',
  engines: '/engines',
  profile: '/flame',
  difference: '/flame?against=before',
  map: '/map',
  sql: '/sql?statement=SELECT+1',
  alerts: '/alerts',
  silencing: '/alerts?silence=alertname%3D%22queue_is_long%22%2Cqueue%3D%22decode%22%2Cseverity%3D%22warning%22',
  rehearsal: '/alerts/operations_are_slow?range=24h',
  rehearsal_quiet: '/alerts/requests_fail?range=24h',
  doctor: '/doctor',
  dashboards: '/dashboards',
  broken: '/dashboards/broken',
};

describe('pages', { skip: SKIP }, () => {
  let browser;
  let fixture;
  before(async () => {
    browser = await launch();
    fixture = await Fixture.start();
  });
  after(async () => {
    await browser.close();
    await fixture.stop();
  });

  for (const [sizeName, size] of Object.entries(SIZES)) {
    for (const theme of ['light', 'dark']) {
      test(`render ${sizeName} and ${theme}`, async () => {
        const { page, faults } = await open(browser, { size, theme });
        for (const [name, path] of Object.entries(PAGES)) {
          const where = `${name} (${sizeName}, ${theme})`;
          await visit(page, fixture.url + path);
          await assertFits(page, where);
          await assertAccessible(page, where);
          assertNoFaults(faults, where);
        }
        await page.close();
      });
    }
  }

  test('an empty store says on every page what to do next', async () => {
    fixture.mode = 'empty';
    const { page, faults } = await open(browser);
    for (const path of ['/', '/traces', '/logs', '/metrics', '/flame', '/map', '/workers', '/alerts', '/dashboards']) {
      await visit(page, fixture.url + path);
      await page.waitForSelector('.empty .command');
    }
    await visit(page, `${fixture.url}/doctor`);
    await page.getByText('Nobody has sent anything').waitFor();
    assertNoFaults(faults, 'the empty store');
    await page.close();
    fixture.mode = 'full';
  });

  test('doctor says where segments are that are not in the folder', async () => {
    const { page, faults } = await open(browser);
    await visit(page, `${fixture.url}/doctor`);
    await page.getByText('http://clickhouse:8123/radiosonde').waitFor();
    assertNoFaults(faults, 'doctor');
    await page.close();
  });

  test('a refusal shows the words of the API and the mend', async () => {
    fixture.mode = 'broken';
    const { page } = await open(browser);
    for (const path of ['/', '/traces', '/logs', '/metrics', '/flame', '/map', '/workers', '/alerts', PAGES.rehearsal, '/doctor', PAGES.trace]) {
      await page.goto(fixture.url + path);
      const problem = page.locator('.problem').first();
      await problem.waitFor();
      assert.match(await problem.textContent(), /The store is being repaired\..*Wait until sonde doctor/);
    }
    fixture.mode = 'full';
    await page.locator('.problem button').first().click();
    await page.getByText('POST /v1/chat/completions').first().waitFor();
    await page.close();
  });

  test('a filter that is wrong shows what is wrong with it', async () => {
    const { page } = await open(browser);
    await page.goto(`${fixture.url}/traces?q=duration+%3E%3E`);
    await page.getByText('A comparison has a value on its right').waitFor();
    await page.close();
  });

  test('a trace that is not there, and a page that is not', async () => {
    const { page } = await open(browser);
    await page.goto(`${fixture.url}/traces/${traceId(404)}`);
    await page.locator('.problem').first().waitFor();
    await page.goto(`${fixture.url}/nowhere`);
    await page.getByText('Nothing is at /nowhere').waitFor();
    await page.close();
  });

  test('the theme is changed by hand and remembered', async () => {
    const { page } = await open(browser, { theme: 'light' });
    await visit(page, `${fixture.url}/`);
    const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
    assert.equal(await theme(), 'light');
    await page.getByRole('button', { name: 'Theme: system' }).click();
    assert.equal(await theme(), 'dark');
    await visit(page, `${fixture.url}/logs`);
    assert.equal(await theme(), 'dark');
    await page.close();
  });
});
