// What arrives is shown by itself, and nothing is lost by it: scroll, focus, what is open. The server may go and come.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Fixture } from './fixture.mjs';
import { SKIP, assertNoFaults, launch, open, visit } from './harness.mjs';

describe('live', { skip: SKIP }, () => {
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

  /** How long after it was received something is on screen, in milliseconds. */
  async function delay(page) {
    await page.waitForFunction(() => document.querySelector('.pulse.on'));
    const start = performance.now();
    fixture.receive();
    await page.getByText(`arrival ${fixture.arrived}`, { exact: false }).first().waitFor();
    return performance.now() - start;
  }

  test('logs and traces appear', async () => {
    const { page, faults } = await open(browser);
    for (const path of ['/logs', '/traces']) {
      await visit(page, fixture.url + path);
      for (let round = 0; round < 3; round += 1) {
        const ms = await delay(page);
        process.stdout.write(`${path}: shown ${Math.round(ms)} ms after it was received (goal: 1000)\n`);
      }
    }
    assertNoFaults(faults, 'live views');
    await page.close();
  });

  test('estimates are said to be estimates', async () => {
    const { page, faults } = await open(browser);
    const said = page.getByText('Estimates: a sample of the traces is kept');
    await visit(page, `${fixture.url}/`);
    await page.getByRole('region', { name: 'Requests', exact: true }).waitFor();
    assert.equal(await said.count(), 0);
    fixture.mode = 'sampled';
    await visit(page, `${fixture.url}/`);
    await said.waitFor();
    fixture.mode = 'full';
    assertNoFaults(faults, 'an overview of a sample');
    await page.close();
  });

  test('an open log stays open, focused and in its place', async () => {
    const { page } = await open(browser);
    await visit(page, `${fixture.url}/logs`);
    const line = page.locator('.log-line').nth(30);
    await line.click();
    await page.locator('.log-detail').waitFor();
    const before = await line.evaluate((element) => ({ text: element.textContent, y: element.getBoundingClientRect().top }));
    await delay(page);
    const focused = await page.evaluate(() => ({ text: document.activeElement.textContent, y: document.activeElement.getBoundingClientRect().top }));
    assert.equal(focused.text, before.text);
    assert.ok(Math.abs(focused.y - before.y) < 2, `it moved from ${before.y} to ${focused.y}`);
    assert.equal(await page.locator('.log-detail').count(), 1);
    await page.close();
  });

  test('a held view stands still', async () => {
    const { page } = await open(browser);
    await visit(page, `${fixture.url}/logs`);
    await page.getByRole('button', { name: 'Live' }).click();
    await page.waitForURL(/from=/);
    await page.waitForTimeout(600);
    const before = await page.locator('.log').first().textContent();
    fixture.receive();
    await page.waitForTimeout(1500);
    assert.equal(await page.locator('.log').first().textContent(), before);
    await page.close();
  });

  test('a server that goes away is said to be away, and its return is noticed', async () => {
    const { page } = await open(browser);
    await visit(page, `${fixture.url}/logs`);
    await page.waitForFunction(() => document.querySelector('.pulse.on'));
    await fixture.stop();
    await page.getByText('The server does not answer.').waitFor();
    assert.ok((await page.locator('.log').count()) > 0, 'what was there stays readable');
    await fixture.back();
    await page.getByText('The server is back').waitFor();
    await delay(page);
    await page.close();
  });
});
