// PromQL on the page of metrics: asked by keyboard, kept in the address, followed live, and wrong at a place.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Fixture } from './fixture.mjs';
import { SKIP, assertAccessible, assertNoFaults, launch, open, visit } from './harness.mjs';

describe('PromQL', { skip: SKIP }, () => {
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

  const field = (page) => page.getByLabel('Query in PromQL');
  const card = (page) => page.getByRole('region', { name: 'PromQL' });

  test('examples are made of the metrics that are there, and are a click away', async () => {
    const { page, faults } = await open(browser);
    await visit(page, `${fixture.url}/metrics`);
    const examples = card(page).getByRole('listitem');
    await examples.first().waitFor();
    assert.deepEqual(await examples.locator('code').allTextContents(), [
      'sum by (job) (rate(vllm_requests_total[5m]))',
      'histogram_quantile(0.95, sum by (le, job) (rate(gen_ai_client_token_usage_bucket[5m])))',
      'http_server_active_requests',
    ]);
    await examples.first().getByRole('button').click();
    await page.waitForURL((url) => url.searchParams.get('query') === 'sum by (job) (rate(vllm_requests_total[5m]))');
    await card(page).locator('.chart canvas').waitFor();
    assertNoFaults(faults, 'examples');
    await page.close();
  });

  test('a query by keyboard: lines with what tells them apart, and back again', async () => {
    const { page, faults } = await open(browser);
    await visit(page, `${fixture.url}/metrics`);
    await page.keyboard.press('q');
    await page.keyboard.type('rate(tokens_total[5m])');
    await page.keyboard.press('Enter');
    await page.waitForURL((url) => url.searchParams.get('query') === 'rate(tokens_total[5m])');
    const legend = card(page).locator('.legend-toggle');
    await legend.first().waitFor();
    assert.deepEqual(await legend.allTextContents(), ['model=tiny', 'model=small', 'model=large'], 'the job is the same for all');
    await legend.first().click();
    assert.equal(await legend.first().getAttribute('aria-pressed'), 'false');
    await page.goBack();
    await card(page).getByText('Start from one of these').waitFor();
    assert.equal(await field(page).inputValue(), '');
    assertNoFaults(faults, 'the query');
    await page.close();
  });

  test('the step fits the width and the time', async () => {
    const { page } = await open(browser);
    const steps = [];
    page.on('request', (request) => {
      const url = new URL(request.url());
      if (url.pathname.endsWith('/query_range')) steps.push([url.searchParams.get('start'), Number(url.searchParams.get('step'))]);
    });
    await visit(page, `${fixture.url}/metrics?query=up`);
    await visit(page, `${fixture.url}/metrics?query=up&range=24h`);
    await page.setViewportSize({ width: 390, height: 844 });
    await visit(page, `${fixture.url}/metrics?query=up&range=24h`);
    const distinct = [...new Set(steps.map(String))];
    assert.deepEqual(distinct, ['-1h,15', '-24h,600', '-24h,1800'].filter((one) => distinct.includes(one)));
    assert.equal(distinct.length, 3, String(distinct));
    await page.close();
  });

  test('values now, from the address, and again when something came', async () => {
    const { page, faults } = await open(browser);
    await visit(page, `${fixture.url}/metrics?query=up&view=values`);
    assert.equal(await field(page).inputValue(), 'up');
    const last = card(page).locator('tbody tr').first().locator('td').last();
    assert.equal(await last.textContent(), '40.5');
    await page.waitForFunction(() => document.querySelector('.pulse.on'));
    fixture.receive();
    await page.waitForFunction(() => document.querySelector('.metrics-query tbody td:last-child')?.textContent === '41.5');
    assertNoFaults(faults, 'values');
    await page.close();
  });

  test('what is wrong is shown where it is, and the cursor goes there', async () => {
    const { page } = await open(browser);
    await page.goto(`${fixture.url}/metrics?query=${encodeURIComponent('sum(\n  rate(tokens[5m])')}`);
    const problem = card(page).getByRole('alert');
    await problem.getByText('Line 2, column 19').waitFor();
    assert.match(await problem.textContent(), /where \) was expected; close the parenthesis\s*rate\(tokens\[5m\]\)/);
    await assertAccessible(page, 'a wrong query');
    await problem.getByRole('button', { name: 'Go there' }).click();
    await page.waitForFunction(() => document.activeElement?.selectionStart === 23);
    await page.keyboard.type(')');
    await page.keyboard.press('Enter');
    await card(page).locator('.chart canvas').waitFor();
    assert.equal(await card(page).getByRole('alert').count(), 0);
    await page.close();
  });
});
