// The browser of the tests, and what every page is held to: nothing on the console, no failed request, no overflow.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chromium } from 'playwright-core';

export const SIZES = { wide: { width: 1280, height: 800 }, narrow: { width: 390, height: 844 } };

function findChromium() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    try {
      return execFileSync('which', [name], { encoding: 'utf8' }).trim();
    } catch {
      // The next name.
    }
  }
  return null;
}

export const CHROMIUM = findChromium();
/** For node:test's `skip`: why a test cannot run, or false. */
export const SKIP = CHROMIUM === null ? 'no Chromium: apt-get install chromium, or set CHROMIUM' : false;
if (SKIP) process.stderr.write(`\n=== SKIPPED: every test of the page in a browser: ${SKIP} ===\n\n`);

export async function launch() {
  return chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
}

/** A page that collects what went wrong on it. */
export async function open(browser, { size = SIZES.wide, theme = 'light' } = {}) {
  const page = await browser.newPage({ viewport: size, colorScheme: theme, reducedMotion: 'reduce' });
  const faults = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) faults.push(`${message.type()}: ${message.text()} (${message.location().url})`);
  });
  page.on('pageerror', (error) => faults.push(`exception: ${error.stack ?? error.message}`));
  return { page, faults };
}

/** Goes there and waits until answers are shown instead of placeholders. */
export async function visit(page, url) {
  await page.goto(url);
  await page.waitForSelector('main h1');
  await page.waitForFunction(() => !document.querySelector('main .skeleton, .progress'));
}

export function assertNoFaults(faults, where) {
  assert.deepEqual(faults, [], `the console of ${where} is not empty`);
}

/** Only the page's own boxes scroll sideways. */
export async function assertFits(page, where) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(over, 0, `${where} is ${over} px too wide`);
}

/** What a screen reader would miss: names of controls, of pictures, a heading. */
export async function assertNamed(page, where) {
  const nameless = await page.evaluate(() => {
    const named = (element) => (element.getAttribute('aria-label') ?? element.textContent ?? '').trim() !== '' || element.getAttribute('title');
    const controls = [...document.querySelectorAll('button, a[href], input, select, textarea, [role=img]')];
    return controls.filter((element) => !named(element) && !element.querySelector('img[alt]')).map((element) => element.outerHTML.slice(0, 120));
  });
  assert.deepEqual(nameless, [], `${where} has controls without a name`);
  assert.equal(await page.locator('h1').count(), 1, `${where} has one heading`);
  assert.equal(await page.locator('main').count(), 1, `${where} has one main landmark`);
}
