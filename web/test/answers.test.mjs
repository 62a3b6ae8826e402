// Answers over many requests: why, and what is different between two sides; how one gets there and from there to traces.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Fixture } from './fixture.mjs';
import { spanId, traceId } from './fixture-data.mjs';
import { SKIP, assertNoFaults, launch, open, visit } from './harness.mjs';

describe('answers', { skip: SKIP }, () => {
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

  test('an operation of the overview leads to why, drawn to scale, and its evidence to a trace', async () => {
    const { page, faults } = await open(browser);
    await visit(page, `${fixture.url}/`);
    await page.getByRole('link', { name: 'Why decode' }).first().click();
    await page.waitForURL(/\/why\?.*operation=decode/);
    const account = page.getByRole('region', { name: 'Where their time went' });
    await account.locator('.why-bar i').first().waitFor();
    const parts = await account.locator('.why-bar i').evaluateAll((parts) => parts.map((part) => part.getBoundingClientRect().width));
    // 5.574 s, 4.500 s, and 300 ms that nothing accounts for.
    const whole = parts.reduce((sum, width) => sum + width, 0);
    for (const [index, ns] of [5574, 4500, 300].entries()) assert.ok(Math.abs(parts[index] / whole - ns / 10374) < 0.01, `${parts}`);
    const slow = page.getByRole('region', { name: 'The slow ones' });
    await slow.getByText('cuda:1').first().waitFor();
    await slow.locator('.verdict').getByRole('link', { name: 'queue' }).first().click();
    await page.waitForURL(/\/traces\/[0-9a-f]{32}\?.*span=/);
    assertNoFaults(faults, 'why');
    await page.close();
  });

  test('two traces that are ticked are compared', async () => {
    const { page, faults } = await open(browser);
    await visit(page, `${fixture.url}/traces`);
    const boxes = page.getByRole('checkbox');
    await boxes.nth(0).check();
    await page.getByText('Tick another one').waitFor();
    await boxes.nth(1).check();
    await page.getByRole('link', { name: 'Compare the two' }).click();
    await page.waitForURL(new RegExp(`/compare\\?a_trace=${traceId(0)}&b_trace=${traceId(1)}`));
    assert.equal(await page.getByLabel('Trace of the second side').inputValue(), traceId(1));
    await page.getByRole('button', { name: 'Swap' }).click();
    await page.waitForURL(new RegExp(`b_trace=${traceId(0)}`));
    assertNoFaults(faults, 'ticking');
    await page.close();
  });

  test('a trace is compared with typical ones, and a span of it accounted for alone', async () => {
    const { page, faults } = await open(browser);
    await visit(page, `${fixture.url}/traces/${traceId(0)}?span=${spanId(11)}`);
    await page.getByRole('link', { name: 'Why this span' }).click();
    await page.getByRole('link', { name: 'The whole trace' }).click();
    await page.getByRole('link', { name: 'Compare with typical ones' }).click();
    await page.waitForURL(new RegExp(`/compare\\?b_trace=${traceId(0)}`));
    assertNoFaults(faults, 'a trace');
    await page.close();
  });

  test('a comparison is a link: sides, verdict, differences to scale, evidence', async () => {
    const { page, faults } = await open(browser);
    await visit(page, `${fixture.url}/compare?a_version=1.4&b_version=1.5`);
    assert.equal(await page.getByLabel('Version of the second side').inputValue(), '1.5');
    const found = page.getByRole('region', { name: 'What is different' });
    await found.locator('.verdict').getByText('high confidence').waitFor();
    const named = found.locator('tr.named');
    assert.match(await named.textContent(), /queue.*\+195/);
    const width = (row) => row.locator('.contribution i').evaluate((bar) => bar.getBoundingClientRect().width);
    assert.ok((await width(named)) > 60);
    assert.ok((await width(found.locator('tr').filter({ hasText: 'gpu.attention' }))) < 4);
    // As wide as on both sides together: 107.9 ms and 302.9 ms, of which 10 ms and 205 ms in the queue.
    const widths = await found.locator('.difference-flame a').evaluateAll((parts) => Object.fromEntries(parts.map((part) => [part.textContent, part.getBoundingClientRect().width])));
    assert.ok(Math.abs(widths.queue / widths['POST /v*/chat/completions'] - 215 / 410.8) < 0.01, JSON.stringify(widths));
    await page.getByLabel('Version of the first side').fill('1.3');
    await page.keyboard.press('Enter');
    await page.waitForURL(/a_version=1.3/);
    await found.locator('.verdict').getByRole('link', { name: 'queue' }).first().click();
    await page.waitForURL(/\/traces\/[0-9a-f]{32}\?.*span=/);
    assertNoFaults(faults, 'a comparison');
    await page.close();
  });

  test('without sides the page says what can be compared', async () => {
    const { page, faults } = await open(browser);
    await visit(page, `${fixture.url}/compare`);
    await page.getByRole('link', { name: 'The second half of this time against the first' }).click();
    await page.waitForURL(/at=/);
    await page.getByRole('region', { name: 'What is different' }).waitFor();
    assertNoFaults(faults, 'the beginning');
    await page.close();
  });

  test('no requests: the reason and what to do', async () => {
    fixture.mode = 'empty';
    const { page } = await open(browser);
    await page.goto(`${fixture.url}/why`);
    await page.getByText('ask for a longer time').waitFor();
    fixture.mode = 'full';
    await page.close();
  });
});
