// Everything can be reached without a pointer.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Fixture } from './fixture.mjs';
import { traceId } from './fixture-data.mjs';
import { SKIP, launch, open, visit } from './harness.mjs';

describe('keyboard', { skip: SKIP }, () => {
  let browser;
  let fixture;
  let page;
  before(async () => {
    browser = await launch();
    fixture = await Fixture.start();
    ({ page } = await open(browser));
  });
  after(async () => {
    await browser.close();
    await fixture.stop();
  });

  test('g and a letter go to each page', async () => {
    await visit(page, `${fixture.url}/`);
    for (const [key, path] of [['t', '/traces'], ['a', '/alerts'], ['l', '/logs'], ['m', '/metrics'], ['w', '/workers'], ['e', '/engines'], ['p', '/map'], ['s', '/sql'], ['b', '/dashboards'], ['d', '/doctor'], ['o', '/']]) {
      await page.keyboard.press('g');
      await page.keyboard.press(key);
      await page.waitForURL((url) => url.pathname === path);
    }
  });

  test('help lists what is bound and gives the focus back', async () => {
    await visit(page, `${fixture.url}/traces`);
    await page.keyboard.press('j');
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keyboard' }).getByText('Next row').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    assert.ok(await page.evaluate(() => document.activeElement.matches('[data-row]')));
  });

  test('rows: j and k move, Enter opens', async () => {
    await visit(page, `${fixture.url}/traces`);
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    await page.keyboard.press('k');
    const href = await page.evaluate(() => document.activeElement.getAttribute('href'));
    await page.keyboard.press('Enter');
    await page.waitForURL((url) => url.pathname === href);
  });

  test('search: / goes there, letters are text, Escape leaves', async () => {
    await visit(page, `${fixture.url}/logs`);
    await page.keyboard.press('/');
    await page.keyboard.type('gt KV');
    assert.equal(await page.getByLabel('Text in the log').inputValue(), 'gt KV');
    await page.keyboard.press('Escape');
    await page.keyboard.press('g');
    await page.keyboard.press('o');
    await page.waitForURL((url) => url.pathname === '/');
  });

  test('a trace: spans, folding, errors, matches, details', async () => {
    await visit(page, `${fixture.url}/traces/${traceId(2)}`);
    const selected = () => page.locator('#waterfall-selected').textContent();
    await page.keyboard.press('j');
    assert.match(await selected(), /^POST \/v1\/chat\/completions, gateway/);
    await page.keyboard.press('j');
    assert.match(await selected(), /^authenticate/);
    await page.keyboard.press('ArrowLeft');
    assert.match(await selected(), /^POST/);
    await page.keyboard.press('ArrowLeft');
    assert.equal(await page.locator('#waterfall-selected').getAttribute('aria-expanded'), 'false');
    await page.keyboard.press('e');
    assert.match(await selected(), /^moderate.*error$/, 'an error inside a closed span is opened');
    await page.keyboard.press('/');
    await page.keyboard.type('softmax');
    await page.getByText('24 found').waitFor();
    await page.keyboard.press('Escape');
    await page.keyboard.press('n');
    await page.waitForFunction(() => document.querySelector('#waterfall-selected')?.textContent.startsWith('gpu.softmax'));
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), 'Selected span');
    await page.keyboard.press('Escape');
    await page.getByRole('complementary', { name: 'Selected span' }).waitFor({ state: 'detached' });
  });

  test('a flame graph: v shows it, its frames lead to spans', async () => {
    await visit(page, `${fixture.url}/traces/${traceId(2)}`);
    await page.keyboard.press('v');
    const frame = page.getByRole('button', { name: /^token \*: 374.ms .*24 spans/ });
    await frame.focus();
    await page.keyboard.press('Enter');
    await page.getByRole('complementary', { name: 'Selected span' }).getByText(/^token \d+$/).waitFor();
    await page.keyboard.press('v');
    await page.waitForFunction(() => document.querySelector('#waterfall-selected')?.textContent.startsWith('token'));
  });

  test('SQL: Ctrl and Enter run, a statement is saved and comes back', async () => {
    await visit(page, `${fixture.url}/sql`);
    await page.getByLabel('SQL statement').fill('SELECT 1');
    await page.keyboard.press('Control+Enter');
    await page.getByText('40 rows').waitFor();
    await page.getByLabel('Name to save under').fill('mine');
    await page.keyboard.press('Enter');
    await visit(page, `${fixture.url}/sql`);
    await page.getByRole('button', { name: 'mine', exact: true }).click();
    assert.equal(await page.getByLabel('SQL statement').inputValue(), 'SELECT 1');
    await page.getByLabel('SQL statement').fill('DROP TABLE spans');
    await page.keyboard.press('Control+Enter');
    await page.getByText('Statements only read').waitFor();
  });
});
