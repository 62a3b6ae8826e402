// The browser of the tests, and what every page is held to: nothing on the console, no failed request, no overflow.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
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

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Names, roles, landmarks, contrast: whatever axe-core finds wrong. */
export async function assertAccessible(page, where) {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'] });
    return violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.html.slice(0, 160)}`));
  });
  assert.deepEqual(found, [], `${where} is not accessible`);
}
