// Flame graphs of profiles: pointer, keys, search, differences, and 50,000 calls.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Fixture } from './fixture.mjs';
import { traceId } from './fixture-data.mjs';
import { SKIP, assertNoFaults, launch, open, visit } from './harness.mjs';

describe('flame graphs', { skip: SKIP }, () => {
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

  const words = (page) => page.locator('#profile-selected').textContent();

  test('a click zooms, the keys go through it, and it is said in words', async () => {
    const { page, faults } = await open(browser);
    await visit(page, `${fixture.url}/flame`);
    assert.match(await words(page), /^all /);
    const canvas = page.locator('.profile canvas');
    const box = await canvas.boundingBox();
    // The second row is what was called first.
    await canvas.click({ position: { x: box.width * 0.2, y: 30 } });
    assert.match(await words(page), /^main .*\(program\), \/srv\/app\.py/);
    await page.mouse.move(5, 5);
    await page.keyboard.press('ArrowDown');
    assert.match(await words(page), /^serve /);
    await page.keyboard.press('Enter');
    await page.keyboard.press('ArrowUp');
    assert.match(await words(page), /^main /);
    await page.getByRole('button', { name: 'Whole graph' }).click();
    assert.match(await words(page), /^all /);
    assert.equal(await page.getByRole('button', { name: 'Whole graph' }).count(), 0);
    assertNoFaults(faults, 'the flame graph');
    await page.close();
  });

  test('what is looked for is counted, highlighted and gone to', async () => {
    const { page } = await open(browser);
    await visit(page, `${fixture.url}/flame`);
    const picture = () => page.locator('.profile canvas').screenshot();
    const whole = await picture();
    await page.getByLabel('Highlight functions').fill('torch');
    await page.getByText(/\d+ found, .*% of all/).waitFor();
    assert.notDeepEqual(await picture(), whole);
    await page.locator('h1').click();
    await page.keyboard.press('n');
    assert.match(await words(page), /torch/);
    await page.waitForURL(/find=torch/);
    await page.getByLabel('Highlight functions').fill('no such function');
    await page.getByText('None found').waitFor();
    await page.close();
  });

  test('rankings say who is the bottleneck, and lead into the graph', async () => {
    const { page } = await open(browser);
    await visit(page, `${fixture.url}/flame`);
    const libraries = page.getByRole('region', { name: 'Libraries' });
    const first = libraries.locator('tbody tr').first();
    const name = (await first.locator('.service').textContent()).trim();
    await first.getByRole('button').click();
    await page.waitForURL((url) => url.searchParams.get('find') === name);
    await page.close();
  });

  test('a difference is said with its sign', async () => {
    const { page, faults } = await open(browser);
    await visit(page, `${fixture.url}/flame`);
    await page.getByLabel('Compare').selectOption('before');
    await page.getByText('more now').waitFor();
    await page.waitForURL(/against=before/);
    const json = page.getByRole('region', { name: 'Libraries' }).locator('tr', { hasText: 'json' });
    assert.match(await json.textContent(), /−\d/);
    assertNoFaults(faults, 'the difference');
    await page.close();
  });

  test('a trace leads to the samples that were taken in it', async () => {
    const { page } = await open(browser);
    await visit(page, `${fixture.url}/traces/${traceId(0)}`);
    await page.locator('.trace-facts').getByRole('link', { name: 'flame graph' }).click();
    await page.waitForURL((url) => url.pathname === '/flame' && url.searchParams.get('trace_id') === traceId(0));
    await page.getByTitle('Take this filter away').click();
    await page.waitForURL((url) => !url.searchParams.has('trace_id'));
    await page.close();
  });

  test('filters that leave nothing say so', async () => {
    const { page } = await open(browser);
    await visit(page, `${fixture.url}/flame?service=nobody`);
    await page.getByText('No samples match').waitFor();
    await page.close();
  });

  test('50,000 calls are drawn without an element for each', async () => {
    const { page, faults } = await open(browser);
    await visit(page, `${fixture.url}/flame?service=large`);
    await page.getByText('1,234 smaller calls are left out').waitFor();
    const elements = await page.evaluate(() => document.querySelectorAll('*').length);
    assert.ok(elements < 700, `${elements} elements`);
    const canvas = page.locator('.profile canvas');
    const box = await canvas.boundingBox();
    const took = [];
    for (let step = 0; step < 30; step += 1) {
      took.push(await page.evaluate(async ([x, y]) => {
        const start = performance.now();
        document.querySelector('.profile canvas').dispatchEvent(new MouseEvent('mousemove', { clientX: x, clientY: y, bubbles: true }));
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
        return performance.now() - start;
      }, [box.x + (box.width * step) / 30, box.y + 100 + step]));
    }
    took.sort((a, b) => a - b);
    process.stdout.write(`a frame of 50,000 calls, waiting for it included: median ${took[15].toFixed(1)} ms, most ${took[29].toFixed(1)} ms\n`);
    await page.locator('.profile-scroll').evaluate((box) => (box.scrollTop = 400));
    await page.getByLabel('Highlight functions').fill('call_9');
    await page.getByText(/\d+ found/).waitFor();
    assertNoFaults(faults, 'the large flame graph');
    await page.close();
  });
});
