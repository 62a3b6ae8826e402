// Addresses hold everything: range of time, filters, selection. What one pastes is what one saw.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Fixture } from './fixture.mjs';
import { spanId, traceId } from './fixture-data.mjs';
import { SKIP, assertNoFaults, launch, open, visit } from './harness.mjs';

describe('links', { skip: SKIP }, () => {
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

  test('filters, order and range come back from the address', async () => {
    const { page, faults } = await open(browser);
    await visit(page, `${fixture.url}/traces?q=duration+%3E+100ms&service=engine&order=slowest&range=15m`);
    assert.equal(await page.getByLabel('Filter of traces').inputValue(), 'duration > 100ms');
    assert.equal(await page.getByLabel('Service').inputValue(), 'engine');
    assert.equal(await page.getByLabel('Order').inputValue(), 'slowest');
    assert.equal(await page.getByLabel('Range of time').inputValue(), '15m');
    await visit(page, `${fixture.url}/logs?q=CUDA&severity=17`);
    assert.equal(await page.getByLabel('Least severity').inputValue(), '17');
    assert.equal(await page.locator('.log.error').count(), await page.locator('.log').count());
    assertNoFaults(faults, 'links');
    await page.close();
  });

  test('what is chosen goes into the address, and back goes back', async () => {
    const { page } = await open(browser);
    await visit(page, `${fixture.url}/traces`);
    await page.getByLabel('Service').selectOption('engine');
    await page.waitForURL(/service=engine/);
    await page.getByLabel('Range of time').selectOption('15m');
    await page.waitForURL(/range=15m/);
    await page.locator('nav').getByText('Logs').click();
    await page.waitForURL(/\/logs\?range=15m$/);
    await page.goBack();
    await page.waitForURL(/\/traces\?.*service=engine/);
    assert.equal(await page.getByLabel('Service').inputValue(), 'engine');
    await page.close();
  });

  test('the selected span, the search and the zoom come back from the address', async () => {
    const { page } = await open(browser);
    const url = `${fixture.url}/traces/${traceId(1)}?span=${spanId(11)}&find=gpu&view=100000000-600000000`;
    await visit(page, url);
    await page.getByRole('complementary', { name: 'Selected span' }).getByText('queue.depth').waitFor();
    assert.equal(await page.getByLabel('Search in this trace').inputValue(), 'gpu');
    await page.getByText('found,').waitFor();
    await page.keyboard.press('w');
    await page.waitForURL((now) => /^\d+-\d+$/.test(now.searchParams.get('view') ?? '') && now.searchParams.get('view') !== '100000000-600000000');
    await page.keyboard.press('0');
    await page.waitForURL((now) => !now.searchParams.has('view'));
    await page.close();
  });

  test('evidence of the account selects its span', async () => {
    const { page } = await open(browser);
    await visit(page, `${fixture.url}/traces/${traceId(1)}`);
    await page.locator('.verdict').getByRole('link', { name: 'queue' }).click();
    await page.waitForURL(new RegExp(`span=${spanId(11)}`));
    await page.getByRole('complementary', { name: 'Selected span' }).waitFor();
    await page.close();
  });

  test('links survive a restart of the server', async () => {
    const { page } = await open(browser);
    const url = `${fixture.url}/traces/${traceId(1)}?span=${spanId(11)}`;
    await fixture.stop();
    await fixture.back();
    await visit(page, url);
    await page.getByRole('complementary', { name: 'Selected span' }).waitFor();
    await page.close();
  });

  test('holding the view fixes the range in the address', async () => {
    const { page } = await open(browser);
    await visit(page, `${fixture.url}/?range=5m`);
    await page.getByRole('button', { name: 'Live' }).click();
    await page.waitForURL(/from=\d+&to=\d+/);
    await page.getByRole('button', { name: 'Live' }).click();
    await page.waitForURL(/\?range=5m$/);
    await page.close();
  });

  test('a statement in the address is run', async () => {
    const { page } = await open(browser);
    await visit(page, `${fixture.url}/sql?statement=SELECT+2`);
    await page.getByText('40 rows').waitFor();
    assert.equal(await page.getByLabel('SQL statement').inputValue(), 'SELECT 2');
    await page.close();
  });
});
