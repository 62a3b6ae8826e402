// Names that programs give may be long and have no place where a line may break: no page scrolls sideways for them.

import { after, before, describe, test } from 'node:test';
import { Fixture } from './fixture.mjs';
import { spanId, traceId } from './fixture-data.mjs';
import { SIZES, SKIP, assertFits, assertNoFaults, launch, open, visit } from './harness.mjs';

const LONG = 'gpu_operations_total_averyveryverylongnameaveryveryverylongname_bytes';
const PAGES = {
  overview: '/',
  traces: '/traces',
  trace: `/traces/${traceId(0)}`,
  span: `/traces/${traceId(0)}?span=${spanId(11)}`,
  flame: `/traces/${traceId(0)}?show=flame`,
  part: `/traces/${traceId(0)}?why=${spanId(11)}`,
  why: `/why?service=${LONG}&operation=${LONG}`,
  compare: '/compare?a_version=1.4&b_version=1.5',
  logs: '/logs',
  metrics: '/metrics',
  metric: '/metrics?name=http.server.active_requests',
  nowhere: `/metrics/${LONG}`,
  workers: '/workers',
  engines: '/engines',
  profile: '/flame',
  map: '/map',
  alerts: '/alerts',
  rehearsal: '/alerts/operations_are_slow?range=24h',
  unknown_rule: `/alerts/${LONG}`,
  doctor: '/doctor',
};

describe('long names', { skip: SKIP }, () => {
  let browser;
  let fixture;
  before(async () => {
    browser = await launch();
    fixture = await Fixture.start();
    fixture.mode = 'long';
  });
  after(async () => {
    await browser.close();
    await fixture.stop();
  });

  for (const [sizeName, size] of Object.entries(SIZES)) {
    for (const [name, path] of Object.entries(PAGES)) {
      test(`${name} ${sizeName}`, async () => {
        const { page, faults } = await open(browser, { size });
        const where = `${name} with long names (${sizeName})`;
        await visit(page, fixture.url + path);
        await assertFits(page, where);
        assertNoFaults(faults, where);
        await page.close();
      });
    }
  }
});
