// The page as a file that is opened from a disk: no server answers, and nothing is asked of anybody. On made-up data, and on what
// `sonde export` wrote where RADIOSONDE_BUNDLE names it.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Fixture } from './fixture.mjs';
import { HOSTILE, writeBundle } from './fixture-bundle.mjs';
import { SIZES, SKIP, assertAccessible, assertFits, assertNoFaults, launch, open, visit } from './harness.mjs';

const REAL = process.env.RADIOSONDE_BUNDLE;
if (!REAL) process.stderr.write('\n=== SKIPPED: a real bundle: set RADIOSONDE_BUNDLE to what `sonde export report.html` wrote ===\n\n');

const PAGES = ['/', '/traces', '/why', '/logs', '/metrics', '/workers', '/engines', '/flame', '/map', '/compare', '/sql', '/doctor'];

/** Opens it, and collects what it asks of others. */
async function openFile(browser, options) {
  const opened = await open(browser, options);
  const asked = [];
  opened.page.on('request', (request) => {
    if (!/^(file|data):/.test(request.url())) asked.push(request.url());
  });
  return { ...opened, asked };
}

async function everyPage(browser, base) {
  for (const [size, theme] of [['wide', 'light'], ['narrow', 'dark']]) {
    const { page, faults, asked } = await openFile(browser, { size: SIZES[size], theme });
    for (const path of PAGES) {
      await page.goto('about:blank');
      await visit(page, `${base}#${path}`);
      await assertFits(page, `${path} of a bundle`);
      await assertAccessible(page, `${path} of a bundle`);
      assert.equal(await page.getByText('This page failed').count(), 0, path);
    }
    assertNoFaults(faults, 'a bundle');
    assert.deepEqual(asked, []);
    await page.close();
  }
}

describe('a bundle', { skip: SKIP }, () => {
  let browser;
  let folder;
  let base;
  let known;
  before(async () => {
    browser = await launch();
    const fixture = await Fixture.start();
    folder = await mkdtemp(join(tmpdir(), 'radiosonde-bundle-'));
    const file = join(folder, 'a report.html');
    known = await writeBundle(fixture, file);
    await fixture.stop();
    base = pathToFileURL(file).href;
  });
  after(async () => {
    await browser.close();
    await rm(folder, { recursive: true });
  });

  test('every page opens from a disk, wide and narrow', () => everyPage(browser, base));

  test('from the overview to a trace, its waterfall, account, and logs, and back', async () => {
    const { page, faults, asked } = await openFile(browser);
    await visit(page, base);
    await page.getByLabel('This bundle').getByText('sonde 0.1.0').waitFor();
    assert.equal(await page.locator('.side-foot').getByText('From a file').count(), 1);
    await page.locator('nav').getByText('Traces').click();
    await page.waitForFunction(() => location.hash === '#/traces');
    const rows = page.getByLabel('Traces', { exact: true }).locator('tbody tr');
    await rows.first().waitFor();
    assert.equal(await rows.count(), known.traces.length);
    await page.getByText('This bundle has 12 traces; there were more.').waitFor();
    await rows.first().getByRole('link').click();
    await page.waitForFunction((id) => location.hash === `#/traces/${id}`, known.traces[0].trace_id);
    await page.locator('.verdict').waitFor();
    await page.locator('.timeline canvas').first().waitFor();
    await page.locator('.verdict a').first().click();
    await page.getByRole('complementary', { name: 'Selected span' }).waitFor();
    await page.reload();
    await page.getByRole('complementary', { name: 'Selected span' }).waitFor();
    await page.locator('.trace-facts').getByText('log').first().click();
    await page.waitForFunction(() => location.hash.startsWith('#/logs?'));
    assert.equal(await page.locator('.log').count(), known.logs.filter((log) => log.trace_id === known.traces[0].trace_id).length);
    await page.goBack();
    await page.locator('.timeline canvas').first().waitFor();
    assertNoFaults(faults, 'a bundle');
    assert.deepEqual(asked, []);
    await page.close();
  });

  test('lists are sorted and filtered without a server', async () => {
    const { page } = await openFile(browser);
    await visit(page, `${base}#/traces?order=slowest`);
    const slowest = known.traces.toSorted((a, b) => b.duration_ns - a.duration_ns)[0];
    assert.equal(await page.locator('tbody a').first().getAttribute('href'), `#/traces/${slowest.trace_id}`);
    await page.getByLabel('Service').selectOption('engine');
    await page.waitForFunction(() => location.hash.includes('service=engine'));
    await visit(page, `${base}#/logs`);
    await page.getByLabel('Text in the log').fill('globalThis.BROKEN');
    await page.waitForFunction(() => document.querySelectorAll('.log').length === 1);
    assert.ok((await page.locator('.log').textContent()).includes(HOSTILE));
    assert.equal(await page.evaluate(() => globalThis.broken), undefined);
    await page.close();
  });

  test('a filter of one thing is answered, another says that it is not there', async () => {
    const { page, faults } = await openFile(browser);
    await visit(page, `${base}#/traces?q=name+%3D+%22no+such%22`);
    await page.getByText('No trace matches').waitFor();
    const search = page.getByLabel('Filter of traces');
    await search.fill(`name = "${known.span}"`);
    await search.press('Enter');
    await page.locator(`tbody a[href="#/traces/${known.traces[3].trace_id}"]`).waitFor();
    await search.fill('duration > 1s and x = 1');
    await search.press('Enter');
    await page.getByText('are not in a bundle').first().waitFor();
    await visit(page, `${base}#/why?service=nobody`);
    await page.getByText('Where the time of these requests went is not in this bundle.').waitFor();
    await visit(page, `${base}#/traces/00000000000000000000000000000001`);
    await page.getByText('This trace is not in this bundle.').waitFor();
    await page.locator('nav').getByText('SQL').click();
    await page.getByText('SQL is not in a bundle').waitFor();
    await page.locator('nav').getByText('Alerts').click();
    await page.getByText('Alerts is not in a bundle').waitFor();
    assertNoFaults(faults, 'a bundle');
    await page.close();
  });
});

describe('a real bundle', { skip: SKIP || (REAL ? false : 'set RADIOSONDE_BUNDLE') }, () => {
  let browser;
  const base = REAL ? pathToFileURL(REAL).href : '';
  before(async () => {
    browser = await launch();
  });
  after(() => browser.close());

  test('every page opens from a disk, wide and narrow', () => everyPage(browser, base));

  test('its traces are listed, and one has its spans and its account', async () => {
    const { page, faults, asked } = await openFile(browser);
    await visit(page, `${base}#/traces`);
    await page.locator('tbody a').first().click();
    await page.locator('.verdict').waitFor();
    await page.locator('.timeline canvas').first().waitFor();
    await visit(page, `${base}#/logs`);
    await page.locator('.log').first().waitFor();
    assertNoFaults(faults, 'a real bundle');
    assert.deepEqual(asked, []);
    await page.close();
  });
});
