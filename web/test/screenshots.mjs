// Pictures of every page for docs/screenshots, of RADIOSONDE_PAGE_URL or else of the fixture's made-up data.
// `npm run screenshots`; people look at them, nothing compares them.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Fixture } from './fixture.mjs';
import { spanId, traceId } from './fixture-data.mjs';
import { SIZES, SKIP, launch, open, visit } from './harness.mjs';

const FOLDER = fileURLToPath(new URL('../../docs/screenshots/', import.meta.url));
const TALL = { width: 1280, height: 960 };

/** The trace to show: of a real server its slowest. */
async function traceOf(url) {
  const { traces } = await fetch(`${url}/api/v1/traces?order=slowest&limit=1`).then((answer) => answer.json());
  return traces[0]?.trace_id;
}

const fixture = process.env.RADIOSONDE_PAGE_URL ? null : await Fixture.start();
const base = process.env.RADIOSONDE_PAGE_URL?.replace(/\/+$/, '') ?? fixture.url;
const trace = fixture ? `/traces/${traceId(0)}` : `/traces/${await traceOf(base)}`;
const selected = fixture ? `${trace}?span=${spanId(11)}` : trace;
const SHOTS = [
  ['overview', '/', SIZES.wide, 'light'],
  ['overview-dark', '/', SIZES.wide, 'dark'],
  ['traces', '/traces', SIZES.wide, 'light'],
  ['trace', selected, TALL, 'light'],
  ['trace-dark', selected, TALL, 'dark'],
  ['flame', `${trace}?show=flame`, TALL, 'light'],
  ['why', '/why?service=engine&operation=decode', TALL, 'light'],
  ['compare', '/compare?a_version=1.4&b_version=1.5', SIZES.wide, 'light'],
  ['compare-narrow', '/compare?a_version=1.4&b_version=1.5', SIZES.narrow, 'dark'],
  ['profile', '/flame', TALL, 'light'],
  ['profile-difference', '/flame?against=before', TALL, 'dark'],
  ['profile-narrow', '/flame', SIZES.narrow, 'light'],
  ['logs', '/logs', SIZES.wide, 'dark'],
  ['metrics', '/metrics?name=gen_ai.server.request.duration', SIZES.wide, 'light'],
  ['promql', '/metrics?query=sum+by+(model)+(rate(radiosonde_gen_ai_output_tokens_total%5B5m%5D))', SIZES.wide, 'dark'],
  ['dashboard', '/dashboards/inference', TALL, 'light'],
  ['dashboard-narrow', '/dashboards/inference', SIZES.narrow, 'dark'],
  ['workers', '/workers', SIZES.wide, 'light'],
  ['engines', '/engines', SIZES.wide, 'light'],
  ['map', '/map', SIZES.wide, 'dark'],
  ['sql', '/sql?statement=SELECT+trace_id,+service,+name,+duration%0AFROM+spans%0AORDER+BY+duration+DESC%0ALIMIT+40', SIZES.wide, 'light'],
  ['alerts', '/alerts', TALL, 'light'],
  ['alerts-narrow', '/alerts', SIZES.narrow, 'dark'],
  ['rehearsal', '/alerts/operations_are_slow?range=24h', SIZES.wide, 'dark'],
  ['doctor', '/doctor', SIZES.wide, 'light'],
  ['overview-narrow', '/', SIZES.narrow, 'light'],
  ['trace-narrow', trace, SIZES.narrow, 'dark'],
  ['logs-narrow', '/logs', SIZES.narrow, 'light'],
];

if (SKIP) process.exit(1);
await mkdir(FOLDER, { recursive: true });
const browser = await launch();
for (const [name, path, size, theme] of SHOTS) {
  const { page } = await open(browser, { size, theme });
  await visit(page, base + path);
  await page.waitForTimeout(400);
  await page.screenshot({ path: join(FOLDER, `${name}.png`) });
  await page.close();
}
await browser.close();
await fixture?.stop();
