// Text can be read in both themes: every colour of text on every ground that it stands on, by WCAG's formula.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

const TEXT_MIN = 4.5;

async function themes() {
  const css = await readFile(new URL('../src/styles/tokens.css', import.meta.url), 'utf8');
  const read = (theme) => {
    const [, block] = css.split(`[data-theme='${theme}'] {`);
    return Object.fromEntries([...block.split('}')[0].matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name, value]) => [name, value]));
  };
  return { light: read('light'), dark: read('dark') };
}

function luminance(hex) {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a, b) {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

const PAIRS = [
  ['text', ['bg', 'panel', 'raised', 'sunken', 'hover', 'accent-soft', 'warn-soft', 'error-soft']],
  ['muted', ['bg', 'panel', 'raised', 'sunken', 'hover', 'accent-soft']],
  ['faint', ['bg', 'panel']],
  ['accent', ['bg', 'panel', 'raised', 'accent-soft', 'hover']],
  ['accent-text', ['accent']],
  ['error', ['bg', 'panel', 'raised', 'error-soft', 'hover']],
  ['warn', ['bg', 'panel', 'raised', 'warn-soft']],
];

for (const [theme, colors] of Object.entries(await themes())) {
  test(`text has contrast in the ${theme} theme`, () => {
    for (const [text, grounds] of PAIRS) {
      for (const ground of grounds) {
        const ratio = contrast(colors[text], colors[ground]);
        assert.ok(ratio >= TEXT_MIN, `${text} on ${ground} has ${ratio.toFixed(2)}`);
      }
    }
  });

  test(`hues stand out in the ${theme} theme, also under the labels of bars`, () => {
    for (let hue = 0; hue < 10; hue += 1) {
      const ratio = contrast(colors[`hue-${hue}`], colors.panel);
      assert.ok(ratio >= TEXT_MIN, `hue ${hue} on panel has ${ratio.toFixed(2)}`);
    }
  });
}
