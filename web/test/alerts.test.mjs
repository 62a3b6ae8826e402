// Alerts: what fires is seen from every page, is silenced from its row, and rules and receivers are tried without harm.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { Fixture } from './fixture.mjs';
import { FixtureAlerts } from './fixture-alerts.mjs';
import { SKIP, assertNoFaults, launch, open, visit } from './harness.mjs';

const KERNELS = 'alertname="kernels_fail",backend="cuda",op_name="matmul",severity="error"';

describe('alerts', { skip: SKIP }, () => {
  let browser;
  let fixture;
  let page;
  let faults;
  before(async () => {
    browser = await launch();
    fixture = await Fixture.start();
  });
  beforeEach(async () => {
    fixture.alerts = new FixtureAlerts();
    ({ page, faults } = await open(browser));
  });
  afterEach(() => page.close());
  after(async () => {
    await browser.close();
    await fixture.stop();
  });

  const region = (name) => page.getByRole('region', { name, exact: true });

  test('what is urgent comes first, and says since when, how much, and what to do', async () => {
    await visit(page, `${fixture.url}/alerts`);
    const rows = await page.locator('.alert').allTextContents();
    assert.deepEqual(
      rows.map((row) => /^(critical|error|warning|info)/.exec(row)?.[1]),
      ['critical', 'error', 'warning', 'warning'],
    );
    assert.match(rows[0], /cuda:1 is 96\.2 % full.*What to do: Make batches.*firing for 11 min.*value 96\.2.%.*hw\.id=cuda:1.*pager is not told: 3 attempts failed/);
    assert.match(rows[2], /silenced.*silence-2 keeps it silent, and ends in 1 h 3/);
    assert.match(rows[3], /decode has 212 items waiting.*pending for/);
    assertNoFaults(faults, 'alerts');
  });

  test('why one may not hear of something is said first', async () => {
    await visit(page, `${fixture.url}/alerts`);
    const words = await page.locator('.doubts').textContent();
    assert.match(words, /1 rule cannot be evaluated.*do not arrive at pager.*1.200 readings found no room/);
    fixture.alerts.isQuiet = true;
    await page.locator('.doubts', { hasText: 'do not arrive' }).waitFor({ state: 'detached', timeout: 10_000 });
  });

  test('filters come back from the address', async () => {
    await visit(page, `${fixture.url}/alerts?q=CUDA&severity=error`);
    assert.equal(await page.getByLabel('Text in alerts').inputValue(), 'CUDA');
    assert.equal(await page.locator('.alert').count(), 2);
    await page.getByLabel('Least severity').selectOption('critical');
    await page.waitForURL(/severity=critical/);
    assert.equal(await page.locator('.alert').count(), 1);
    await page.getByLabel('Text in alerts').fill('nothing has this');
    await page.getByRole('button', { name: 'Show all' }).click();
    await page.waitForURL((url) => url.search === '');
    assert.equal(await page.locator('.alert').count(), 4);
  });

  test('how many fire is seen on other pages, and goes by itself', async () => {
    await visit(page, `${fixture.url}/logs`);
    await page.locator('nav').getByText('3 firing').waitFor();
    fixture.alerts.isQuiet = true;
    await page.locator('nav').getByText('3 firing').waitFor({ state: 'detached', timeout: 10_000 });
  });

  test('an alert is silenced from its row by the keyboard alone', async () => {
    await visit(page, `${fixture.url}/alerts`);
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.waitForURL((url) => url.searchParams.get('silence') === KERNELS);
    const form = page.getByRole('form', { name: 'Silence alerts' });
    await form.getByLabel('op_name=matmul').press('Space');
    await form.getByLabel('severity=error').press('Space');
    await form.getByLabel('For how long').selectOption('28800');
    await form.getByLabel('Why').fill('The driver is being replaced');
    await form.getByLabel('Who').fill('Ravi');
    await page.keyboard.press('Enter');
    await form.waitFor({ state: 'detached' });
    const row = region('Silences').locator('li', { hasText: 'The driver is being replaced' });
    await row.waitFor();
    assert.match(await row.textContent(), /alertname="kernels_fail"backend="cuda"ends in (8 h|7 h 59 min)End silence-3.*Ravi/);
    const [made] = fixture.alerts.made.slice(-1);
    assert.deepEqual(made.matchers, ['alertname="kernels_fail"', 'backend="cuda"']);
    assert.equal((made.ends_unix_ns - made.starts_unix_ns) / 1e9, 8 * 3600);
    await page.waitForURL((url) => !url.searchParams.has('silence'));
    await page.getByRole('button', { name: 'Silence memory_is_critical' }).click();
    assert.equal(await form.getByLabel('Who').inputValue(), 'Ravi', 'the name is not remembered');
    assertNoFaults(faults, 'silencing');
  });

  test('a silence for everything is refused with its mend, and one without a reason is not sent', async () => {
    await visit(page, `${fixture.url}/alerts?silence=${encodeURIComponent(KERNELS)}`);
    const form = page.getByRole('form', { name: 'Silence alerts' });
    await form.getByRole('button', { name: 'Silence until' }).click();
    assert.equal(fixture.alerts.made.length, 2);
    for (const box of await form.getByRole('checkbox').all()) await box.uncheck();
    await form.getByLabel('Why').fill('All of it');
    await form.getByLabel('Who').fill('Ravi');
    await form.getByRole('button', { name: 'Silence until' }).click();
    assert.match(await form.locator('.problem').textContent(), /the silence is not made.*would be for every alert; name a label/);
    assert.equal(fixture.alerts.made.length, 2);
  });

  test('what is written into the form stays while alerts are read again, and Escape closes it', async () => {
    await visit(page, `${fixture.url}/alerts?silence=${encodeURIComponent(KERNELS)}`);
    const why = page.getByLabel('Why', { exact: true });
    await why.fill('half a sen');
    await page.waitForResponse((response) => response.url().endsWith('/api/v1/alerts'), { timeout: 10_000 });
    await page.keyboard.type('tence');
    assert.equal(await why.inputValue(), 'half a sentence');
    await page.keyboard.press('Escape');
    await page.keyboard.press('Escape');
    await why.waitFor({ state: 'detached' });
    assert.equal(fixture.alerts.made.length, 2);
  });

  test('a silence is ended', async () => {
    await visit(page, `${fixture.url}/alerts`);
    const row = region('Silences').locator('li', { hasText: 'silence-2' });
    assert.match(await row.textContent(), /Known; the next release has a faster kernel Mira/);
    await row.getByRole('button', { name: 'End silence-2' }).click();
    await row.getByText(/^ended/).waitFor();
    assert.equal(await row.getByRole('button').count(), 0);
  });

  test('a receiver is tested, and one that refuses says why and what to do', async () => {
    await visit(page, `${fixture.url}/alerts`);
    const receivers = region('Receivers');
    await receivers.getByRole('button', { name: 'Test gpu people' }).click();
    await receivers.locator('li', { hasText: 'gpu people' }).getByText(/^Arrived at/).waitFor();
    await receivers.getByRole('button', { name: 'Test pager' }).click();
    const problem = receivers.locator('li', { hasText: 'pager' }).locator('.problem');
    assert.match(await problem.textContent(), /the key is not known.*mend the receiver in the file of alerts/);
    assert.deepEqual(fixture.alerts.tests, { 'gpu people': 1, pager: 1 });
  });

  test('a rule is rehearsed over the last day: when it would have fired, who would have been told what', async () => {
    await visit(page, `${fixture.url}/alerts`);
    const rules = region('Rules');
    assert.match(await rules.locator('tbody tr').first().textContent(), /own_expression.*ends where \) was expected.*42 evaluations failed/);
    await rules.getByRole('link', { name: 'operations_are_slow' }).click();
    await page.waitForURL((url) => url.pathname === '/alerts/operations_are_slow' && url.searchParams.get('range') === '24h');
    await page.getByText('It would have fired 3 times').waitFor();
    await page.getByText('for = "3m"').waitFor();
    const lines = await region('Timeline').locator('.alert-timeline li').allTextContents();
    assert.match(lines[0], /op_name=softmax2 times, 2 h 26 min/);
    assert.match(lines[1], /op_name=matmul1 time, 2 h 52 min/);
    assert.match(lines[2], /told: team4 messages/);
    await region('Messages').locator('summary').first().click();
    await region('Messages').getByText('"text": "[FIRING:1] operations_are_slow"').first().waitFor();
    await region('Kept back at the end').getByText('nights and weekends').waitFor();
    assertNoFaults(faults, 'a rehearsal');
  });

  test('a rehearsal is asked for again by its button and its range alone', async () => {
    let asked = [];
    page.on('request', (request) => request.url().includes('/rehearsal') && asked.push(request.postDataJSON()));
    await visit(page, `${fixture.url}/alerts/operations_are_slow?range=24h`);
    await page.waitForFunction(() => document.querySelector('.pulse.on'));
    fixture.receive();
    await page.waitForTimeout(1500);
    assert.deepEqual(asked, [{ rule: 'operations_are_slow' }]);
    asked = [];
    await page.getByRole('button', { name: 'Rehearse again' }).click();
    await page.waitForTimeout(800);
    await page.getByLabel('Range of time').selectOption('7d');
    await page.waitForURL(/range=7d/);
    await page.waitForTimeout(800);
    assert.equal(asked.length, 2);
  });

  test('a rule that would not have fired says how far back that is true, and one that is not there is said not to be', async () => {
    await visit(page, `${fixture.url}/alerts/requests_fail?range=24h`);
    await page.getByText('It would not have fired').waitFor();
    await page.goto(`${fixture.url}/alerts/no_such_rule`);
    assert.match(await page.locator('.problem').textContent(), /there is no such rule/);
  });

  test('without receivers the page says how somebody is told', async () => {
    fixture.mode = 'empty';
    await visit(page, `${fixture.url}/alerts`);
    fixture.mode = 'full';
    await page.getByText('Nobody is told of alerts; they are on this page alone.').waitFor();
    await region('Receivers').getByText('sonde serve --alerts alerts.toml').waitFor();
    await page.getByText('Nothing fires').waitFor();
  });
});
