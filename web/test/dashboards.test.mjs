// Dashboards: listed only where there are any, each panel with its own answer, a change of the file shown by itself.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Fixture } from './fixture.mjs';
import { SIZES, SKIP, assertAccessible, assertFits, assertNoFaults, launch, open, visit } from './harness.mjs';

describe('dashboards', { skip: SKIP }, () => {
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

  const link = (page) => page.getByRole('navigation').getByRole('link', { name: 'Dashboards' });

  test('each panel shows its answer, and one that is wrong harms no other', async () => {
    for (const [size, theme] of [['wide', 'light'], ['narrow', 'dark']]) {
      const { page, faults } = await open(browser, { size: SIZES[size], theme });
      await visit(page, `${fixture.url}/dashboards/inference`);
      const panel = (name) => page.getByRole('region', { name, exact: true });
      await panel('Wrong').getByRole('alert').waitFor();
      assert.equal(await panel('Tokens a second').locator('.stat').textContent(), '40.5\u202ftoken/s');
      assert.match(await panel('Requests that wait').textContent(), /model=tiny.*model=large/);
      assert.equal(await panel('Nothing yet').locator('.stat').textContent(), '–');
      await panel('Latency by model, 95 % within').locator('.legend-toggle').first().waitFor();
      await panel('Slowest operations').locator('tbody tr').first().waitFor();
      await panel('About').getByText('Change it, and what you change is shown.').waitFor();
      await assertFits(page, `the dashboard (${size})`);
      await assertAccessible(page, `the dashboard (${size})`);
      // The browser itself says that the wrong query was refused.
      assertNoFaults(faults.filter((fault) => !/status of 400.*sum%28up/.test(fault)), 'the dashboard');
      await page.close();
    }
  });

  test('a change of the file is shown without loading anything', async () => {
    const { page } = await open(browser);
    await visit(page, `${fixture.url}/dashboards/inference`);
    await page.evaluate(() => (globalThis.isSame = true));
    fixture.title = 'Inference, changed';
    await page.getByRole('heading', { name: 'Inference, changed' }).waitFor();
    assert.ok(await page.evaluate(() => globalThis.isSame));
    fixture.title = 'Inference';
    await page.close();
  });

  test('a file that is wrong says where and what to do, in its own place', async () => {
    const { page, faults } = await open(browser);
    await visit(page, `${fixture.url}/dashboards`);
    await page.getByText('1 mistake').waitFor();
    await page.getByRole('link', { name: /broken/ }).click();
    const words = await page.getByRole('alert').textContent();
    assert.match(words, /broken\.toml line 6 panels\[1\]\.widht: there is no such setting.*remove it, or write one of title/);
    assertNoFaults(faults, 'a wrong file');
    await page.close();
  });

  test('the entry is there only where there are dashboards', async () => {
    const { page } = await open(browser);
    await visit(page, `${fixture.url}/logs`);
    await link(page).waitFor();
    fixture.mode = 'empty';
    await visit(page, `${fixture.url}/logs`);
    assert.equal(await link(page).count(), 0);
    fixture.mode = 'full';
    await page.close();
  });
});
