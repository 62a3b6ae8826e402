// The dashboards for Grafana (`sonde export grafana`) against Grafana's own types, as strictly as the compiler can.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

const HERE = import.meta.dirname;
const FILES = join(HERE, '../../examples/grafana');
const TYPES = join(HERE, 'grafana-types.ts');
const COMPILER = join(HERE, '../node_modules/typescript/bin/tsc');

/** What the compiler says of dashboards, by name: nothing where all is right. */
function complaints(dashboards) {
  // Below node_modules, so that the types are found from there.
  const folder = mkdtempSync(join(HERE, '../node_modules/.grafana-'));
  try {
    const types = JSON.stringify(TYPES.replace(/\.ts$/, ''));
    const files = Object.entries(dashboards).map(([name, text]) => {
      const path = join(folder, `${name}.ts`);
      // Written out, so that the compiler refuses names that the types do not have.
      writeFileSync(
        path,
        `import type { AnyDashboard, OurDashboard } from ${types};\n`
          + `export const any: AnyDashboard = ${text};\nexport const ours: OurDashboard = ${text};\n`,
      );
      return path;
    });
    const options = ['--strict', '--noEmit', '--skipLibCheck', '--module', 'esnext', '--moduleResolution', 'bundler', '--target', 'es2022'];
    const { status, stdout } = spawnSync(process.execPath, [COMPILER, ...options, '--ignoreConfig', ...files], { encoding: 'utf8' });
    assert.equal(status === 0, stdout === '', stdout);
    return stdout;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('dashboards for Grafana', () => {
  const files = readdirSync(FILES).filter((file) => file.endsWith('.json'));
  const read = (file) => readFileSync(join(FILES, file), 'utf8');

  test('are what Grafana reads', () => {
    assert.ok(files.length >= 6, files.join());
    assert.equal(complaints(Object.fromEntries(files.map((file) => [file.replace('.json', ''), read(file)]))), '');
  });

  test('would be refused with a single mistake', () => {
    const mistakes = {
      title: (dashboard) => { dashboard.title = 1; },
      refresh: (dashboard) => { dashboard.templating.list[0].refresh = 7; },
      variable: (dashboard) => { dashboard.templating.list[1].type = 'question'; },
      width: (dashboard) => { delete dashboard.panels[0].gridPos.w; },
      kind: (dashboard) => { dashboard.panels[0].type = 'graph'; },
      option: (dashboard) => { dashboard.panels[0].options.colour = 'red'; },
      scheme: (dashboard) => { dashboard.panels[0].options.color.mode = 'rainbow'; },
      format: (dashboard) => { dashboard.panels[0].targets[0].format = 'heat'; },
      line: (dashboard) => { dashboard.panels[1].fieldConfig.defaults.custom.drawStyle = 'dots'; },
    };
    for (const [name, spoil] of Object.entries(mistakes)) {
      const dashboard = JSON.parse(read('radiosonde-gpu.json'));
      assert.deepEqual(dashboard.panels.slice(0, 2).map((panel) => panel.type), ['heatmap', 'timeseries']);
      spoil(dashboard);
      assert.match(complaints({ [name]: JSON.stringify(dashboard) }), /error TS/, name);
    }
  });

  test('have panels that lie side by side, each once', () => {
    for (const file of files) {
      const { panels, uid } = JSON.parse(read(file));
      assert.equal(`${uid}.json`, file);
      assert.equal(new Set(panels.map((panel) => panel.id)).size, panels.length, file);
      const taken = new Set();
      for (const { gridPos: { x, y, w, h }, title } of panels) {
        assert.ok(x + w <= 24, `${file}: ${title}`);
        for (let column = x; column < x + w; column += 1) {
          for (let row = y; row < y + h; row += 1) {
            const cell = `${column} ${row}`;
            assert.ok(!taken.has(cell), `${file}: ${title} lies on another`);
            taken.add(cell);
          }
        }
      }
    }
  });
});
