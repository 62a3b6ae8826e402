// Bundles the page into the folder that the Rust program embeds. The same sources give the same bytes.

import { build } from 'esbuild';
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, '../crates/server/page');

/** What the bundle contains of others, with the licences that must travel with it. */
async function notices() {
  const parts = await Promise.all(
    ['preact', 'uplot'].map(async (name) => {
      const folder = join(here, 'node_modules', name);
      const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
      const licence = await readFile(join(folder, 'LICENSE'), 'utf8');
      return `${name} ${version}\n\n${licence.trim().replaceAll('\r\n', '\n')}`;
    }),
  );
  return `/*! Contains:\n\n${parts.join('\n\n---\n\n')}\n*/`;
}

await mkdir(out, { recursive: true });
await build({
  entryPoints: { app: join(here, 'src/main.tsx') },
  outdir: out,
  bundle: true,
  minify: true,
  format: 'iife',
  target: ['chrome110', 'firefox115', 'safari16'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  charset: 'utf8',
  legalComments: 'none',
  banner: { js: await notices() },
  logLevel: 'warning',
});
for (const name of ['index.html', 'icon.svg']) {
  await copyFile(join(here, 'static', name), join(out, name));
}
