// A FIXTURE, not `sonde export`: the built page as one file, with answers of the fixture's server in it, put together as
// crates/server/src/page.rs and crates/sonde/src/export/bundle.rs do it.

import { readFile, writeFile } from 'node:fs/promises';

const PAGE = new URL('../../crates/server/page/', import.meta.url);
const POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";
const TRACES = 12;
/** Text that ends a script where it is not kept from it. */
export const HOSTILE = '</script><script>globalThis.broken = true</script><!--';

function element(attribute, value, answer) {
  const escaped = value.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  return `<script type="application/json" ${attribute}="${escaped}">${JSON.stringify(answer).replaceAll('<', '\\u003c')}</script>\n`;
}

async function document(data) {
  const [html, script, style, icon] = await Promise.all(['index.html', 'app.js', 'app.css', 'icon.svg'].map((name) => readFile(new URL(name, PAGE), 'utf8')));
  return html
    .replace('<meta charset="utf-8">', `<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="${POLICY}">`)
    .replace('/icon.svg', `data:image/svg+xml,${encodeURIComponent(icon.trim())}`)
    .replace('<link rel="stylesheet" href="/app.css">', () => `<style>\n${style}</style>`)
    .replace('<script src="/app.js" defer></script>\n', '')
    .replace('</body>', () => `${data}<script>\n${script}</script>\n</body>`);
}

/** Writes a bundle of what the fixture answers. */
export async function writeBundle(fixture, file, { first = '/' } = {}) {
  const ask = (path) => fetch(`${fixture.url}/api/v1/${path}`).then((answer) => answer.json());
  const { traces } = await ask(`traces?limit=${TRACES}`);
  const { logs } = await ask('logs?limit=200');
  logs[0] = { ...logs[0], body: HOSTILE, trace_id: traces[0].trace_id };
  const { metrics } = await ask('metrics');
  const overview = await ask('overview?buckets=60');
  const answers = [['overview', overview], ['traces', { traces, more: true }], ['logs', { logs, more: false }], ['metrics', { metrics }]];
  for (const path of ['map', 'workers', 'queues', 'engines', 'flame', 'why']) answers.push([path, await ask(path)]);
  for (const { name } of metrics) answers.push([`metrics/${name}`, await ask(`metrics/${encodeURIComponent(name)}?buckets=120`)]);
  for (const { service, name } of overview.operations.slice(0, 2)) answers.push([`why?operation=${name}&service=${service}`, await ask('why')]);
  for (const { trace_id } of traces) {
    answers.push([`traces/${trace_id}`, await ask(`traces/${trace_id}`)], [`traces/${trace_id}/why`, await ask(`traces/${trace_id}/why`)]);
  }
  const now = Date.now();
  const ns = (ms) => `${ms}000000`;
  const manifest = { schema: 1, version: '0.1.0', made_ms: now, from_unix_ns: ns(now - 3_600_000), to_unix_ns: ns(now), traces: traces.length, first, left_out: ['traces other than the slowest, those that failed, and the newest'] };
  await writeFile(file, await document(element('id', 'radiosonde-bundle', manifest) + answers.map(([question, answer]) => element('data-answer', question, answer)).join('')));
  const { spans } = await ask(`traces/${traces[3].trace_id}`);
  return { traces, logs, span: spans[2].name };
}
