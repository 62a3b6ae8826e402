// The page on a real `sonde serve`, whose address is in RADIOSONDE_PAGE_URL: what is sent to it over OTLP is what is
// shown. Skipped, loudly, without one.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { SIZES, SKIP, assertAccessible, assertFits, assertNoFaults, launch, open, visit } from './harness.mjs';

const BASE = process.env.RADIOSONDE_PAGE_URL?.replace(/\/+$/, '');
const SKIP_REAL = SKIP || (BASE ? false : 'no server: start `sonde serve` and set RADIOSONDE_PAGE_URL');
if (!BASE) process.stderr.write('\n=== SKIPPED: the page on a real server: set RADIOSONDE_PAGE_URL ===\n\n');

const NAME = `page test ${randomBytes(3).toString('hex')}`;
const SERVICE = 'page-test';

const attribute = (key, value) => ({ key, value: typeof value === 'number' ? { intValue: String(value) } : { stringValue: value } });
const resource = { attributes: [attribute('service.name', SERVICE)] };
const scope = { name: 'page-test' };
const ns = (ms) => `${Math.round(ms)}000000`;

/** A request of 240 ms that waited in a queue for 180 of them, and whose last part failed. */
function spans(traceId, now) {
  const span = (spanId, parentSpanId, name, from, until, more = {}) => ({ traceId, spanId, parentSpanId, name, kind: parentSpanId ? 1 : 2, startTimeUnixNano: ns(now - 240 + from), endTimeUnixNano: ns(now - 240 + until), attributes: [], ...more });
  const list = [
    span('00000000000000a1', '', NAME, 0, 240),
    span('00000000000000a2', '00000000000000a1', 'queue', 5, 185),
    span('00000000000000a3', '00000000000000a1', 'gpu.softmax', 190, 230, { attributes: [attribute('gpu.op', 'softmax')], status: { code: 2, message: 'page test error' } }),
  ];
  return { resourceSpans: [{ resource, scopeSpans: [{ scope, spans: list }] }] };
}

function logs(traceId, now) {
  const record = { timeUnixNano: ns(now), observedTimeUnixNano: ns(now), severityNumber: 17, severityText: 'ERROR', body: { stringValue: `${NAME} failed` }, traceId, spanId: '00000000000000a3', attributes: [attribute('page.test', 1)] };
  return { resourceLogs: [{ resource, scopeLogs: [{ scope, logRecords: [record] }] }] };
}

/** A hundred milliseconds of processor time, most of it in torch and within the request. */
function profiles(traceId, now) {
  const stringTable = ['', 'cpu', 'nanoseconds', 'main', '/srv/app.py', 'matmul', '/venv/lib/python3.11/site-packages/torch/functional.py', 'loads', '/usr/lib/python3.11/json/__init__.py'];
  const named = (nameStrindex, filenameStrindex) => ({ nameStrindex, filenameStrindex });
  const location = (functionIndex) => ({ lines: [{ functionIndex }] });
  const sample = (stackIndex, linkIndex, ms) => ({ stackIndex, linkIndex, values: [String(ms * 1e6)], timestampsUnixNano: [ns(now - 100)] });
  const dictionary = {
    stringTable,
    functionTable: [{}, named(3, 4), named(5, 6), named(7, 8)],
    locationTable: [{}, location(1), location(2), location(3)],
    stackTable: [{}, { locationIndices: [2, 1] }, { locationIndices: [3, 1] }],
    linkTable: [{}, { traceId, spanId: '00000000000000a3' }],
  };
  const profile = { sampleType: { typeStrindex: 1, unitStrindex: 2 }, timeUnixNano: ns(now - 100), durationNano: '100000000', samples: [sample(1, 1, 75), sample(2, 0, 25)] };
  return { resourceProfiles: [{ resource, scopeProfiles: [{ scope, profiles: [profile] }] }], dictionary };
}

/** A queue that is 3 deep, and one that is 5 deep. */
function metrics(now) {
  const depth = (queue, value) => ({ timeUnixNano: ns(now), asInt: String(value), attributes: [attribute('queue', queue)] });
  const gauge = { dataPoints: [depth('decode', 3), depth('prefill', 5)] };
  return { resourceMetrics: [{ resource, scopeMetrics: [{ scope, metrics: [{ name: 'page.test.depth', unit: '{request}', gauge }] }] }] };
}

describe('a real server', { skip: SKIP_REAL }, () => {
  let browser;
  let otlp;
  const traceId = randomBytes(16).toString('hex');

  async function send(signal, body) {
    const version = signal === 'profiles' ? 'v1development' : 'v1';
    const answer = await fetch(`${otlp}/${version}/${signal}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    assert.equal(answer.status, 200, await answer.text());
  }

  before(async () => {
    browser = await launch();
    const { listening } = await fetch(`${BASE}/api/v1/status`).then((answer) => answer.json());
    otlp = listening.otlp_http.includes('://') ? listening.otlp_http : `http://${listening.otlp_http}`;
  });
  after(() => browser.close());

  test('what arrives is shown by itself', async () => {
    const { page, faults } = await open(browser);
    await visit(page, `${BASE}/traces?range=5m`);
    await page.waitForFunction(() => document.querySelector('.pulse.on'));
    const start = performance.now();
    await send('traces', spans(traceId, Date.now()));
    await page.getByText(NAME).first().waitFor();
    process.stdout.write(`a trace is shown ${Math.round(performance.now() - start)} ms after it was sent (goal: 1000)\n`);
    await visit(page, `${BASE}/logs?range=5m`);
    await send('logs', logs(traceId, Date.now()));
    await page.getByText(`${NAME} failed`).first().waitFor();
    assertNoFaults(faults, 'live views');
    await page.close();
  });

  test('the trace, its account, its error and its log', async () => {
    const { page, faults } = await open(browser);
    await visit(page, `${BASE}/traces/${traceId}?span=00000000000000a3`);
    await page.locator('.verdict').getByText('queue').first().waitFor();
    const detail = page.getByRole('complementary', { name: 'Selected span' });
    await detail.getByText('page test error').waitFor();
    await detail.getByText('gpu.op').waitFor();
    await detail.getByText(`${NAME} failed`).waitFor();
    assert.match(await page.locator('#waterfall-selected').textContent(), /^gpu\.softmax, page-test, 40.ms, error$/);
    assertNoFaults(faults, 'the trace');
    await page.close();
  });

  test('the samples of a span are a flame graph, and say which library is the bottleneck', async () => {
    await send('profiles', profiles(traceId, Date.now()));
    const { page, faults } = await open(browser);
    await visit(page, `${BASE}/flame?range=5m&service=${SERVICE}`);
    const first = page.getByRole('region', { name: 'Libraries' }).locator('tbody tr').first();
    assert.match(await first.textContent(), /^torch\s*75\.0/);
    await visit(page, `${BASE}/traces/${traceId}?span=00000000000000a3`);
    await page.getByRole('complementary', { name: 'Selected span' }).getByRole('link', { name: 'Samples' }).click();
    await page.waitForURL(/span_id=00000000000000a3/);
    await page.getByText('in 1 sample of 1 stack').waitFor();
    assertNoFaults(faults, 'the flame graph of a span');
    await page.close();
  });

  test('filters find it by any of its spans', async () => {
    const { page } = await open(browser);
    await visit(page, `${BASE}/traces?range=5m&q=${encodeURIComponent('duration > 30ms and gpu.op = "softmax"')}`);
    await page.getByText(NAME).first().waitFor();
    await visit(page, `${BASE}/traces?range=5m&q=${encodeURIComponent('duration > 50ms and gpu.op = "softmax"')}`);
    assert.equal(await page.getByText(NAME).count(), 0);
    await page.close();
  });

  test('SQL answers', async () => {
    const { page } = await open(browser);
    await visit(page, `${BASE}/sql?statement=${encodeURIComponent(`SELECT trace_id, name FROM spans WHERE trace_id = '${traceId}'`)}`);
    await page.getByText('3 rows').waitFor();
    await page.getByRole('link', { name: traceId }).first().click();
    await page.waitForURL(new RegExp(`/traces/${traceId}`));
    await page.close();
  });

  test('PromQL is answered as lines and as values, and says where it is wrong', async () => {
    await send('metrics', metrics(Date.now()));
    const { page, faults } = await open(browser);
    const card = page.getByRole('region', { name: 'PromQL' });
    await visit(page, `${BASE}/metrics?range=5m`);
    await card.getByRole('listitem').first().waitFor();
    await visit(page, `${BASE}/metrics?range=5m&query=page_test_depth`);
    await card.locator('.legend-toggle').first().waitFor();
    assert.deepEqual(await card.locator('.legend-toggle').allTextContents(), ['queue=decode', 'queue=prefill']);
    await visit(page, `${BASE}/metrics?range=5m&view=values&query=${encodeURIComponent('sum(page_test_depth)')}`);
    assert.equal(await card.locator('tbody tr').textContent(), '8');
    assertNoFaults(faults, 'PromQL');
    await page.goto(`${BASE}/metrics?range=5m&query=${encodeURIComponent('sum(page_test_depth))')}`);
    await card.getByText('Line 1, column 21').waitFor();
    assert.equal(await card.locator('mark').textContent(), ')');
    await page.close();
  });

  test('why of an operation, and a trace against a span of it', async () => {
    const { page, faults } = await open(browser);
    await visit(page, `${BASE}/why?range=5m&service=${SERVICE}&operation=${encodeURIComponent(NAME)}`);
    await page.locator('.verdict').getByText('queue').first().waitFor();
    await page.locator('.verdict').getByText('are needed').waitFor();
    await page.locator('.verdict').getByRole('link', { name: 'queue' }).first().click();
    await page.waitForURL(new RegExp(`/traces/${traceId}.*span=00000000000000a2`));
    await visit(page, `${BASE}/traces/${traceId}?why=00000000000000a3`);
    await page.getByText('and what is below it').waitFor();
    await visit(page, `${BASE}/compare?a_trace=${traceId}&b_trace=${traceId}`);
    await page.locator('.verdict').getByText('the sides took equally long').waitFor();
    assertNoFaults(faults, 'why and compare');
    await page.close();
  });

  test('every panel of the example dashboard is answered', async (context) => {
    const { dashboards } = await fetch(`${BASE}/api/v1/dashboards`).then((answer) => answer.json());
    if (!dashboards.some((board) => board.name === 'inference')) return context.skip('start `sonde serve --dashboards examples/dashboards`');
    for (const [size, theme] of [['wide', 'light'], ['narrow', 'dark']]) {
      const { page, faults } = await open(browser, { size: SIZES[size], theme });
      await visit(page, `${BASE}/dashboards/inference`);
      await page.getByRole('region', { name: 'Slowest operations' }).locator('tbody tr').first().waitFor();
      assert.equal(await page.locator('.problem').count(), 0, 'a panel has a problem');
      await assertFits(page, `the dashboard (${size})`);
      await assertAccessible(page, `the dashboard (${size})`);
      assertNoFaults(faults, 'the dashboard');
      await page.close();
    }
    return undefined;
  });

  for (const [sizeName, size] of Object.entries(SIZES)) {
    test(`every page renders ${sizeName}`, async () => {
      const { page, faults } = await open(browser, { size, theme: 'dark' });
      for (const path of ['/', '/traces', `/traces/${traceId}`, '/why', `/compare?b_trace=${traceId}`, '/logs', '/metrics', '/workers', '/engines', '/flame', '/map', '/sql', '/alerts', '/alerts/operations_are_slow?range=24h', '/doctor']) {
        const where = `${path} (${sizeName})`;
        await visit(page, BASE + path);
        await assertFits(page, where);
        await assertAccessible(page, where);
        assert.equal(await page.locator('.problem').count(), 0, `${where} shows a problem`);
        assertNoFaults(faults, where);
      }
      await page.close();
    });
  }
});
