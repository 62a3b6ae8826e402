// A FIXTURE, not the server: the built page with canned answers of the API, for what a real server cannot easily show:
// 100,000 spans, refusals, an empty store, a server that goes away. `npm run fixture [port]` looks at it by hand.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as data from './fixture-data.mjs';
import { FixtureAlerts } from './fixture-alerts.mjs';
import { dashboards } from './fixture-dashboards.mjs';
import { profile } from './fixture-profile.mjs';
import { promql } from './fixture-promql.mjs';
import { large, request, why } from './fixture-trace.mjs';

/** What a real server answered, of 60 requests of which ten of version 1.5 waited: test/fixture-answers.json. */
const ANSWERS = JSON.parse(await readFile(new URL('fixture-answers.json', import.meta.url), 'utf8'));
const PAGE = join(dirname(fileURLToPath(import.meta.url)), '../../crates/server/page');
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml' };
/** As strict as a policy can be for this page; whatever breaks it is an error in the console, and a test fails. */
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export const LARGE = data.traceId(100_000);
const UNITS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Members that are names which programs give, and objects whose members have such values. */
const NAMES = ['receiver', 'group', 'created_by', 'comment', 'service', 'name', 'operation', 'queue', 'item', 'worker', 'label', 'from', 'to', 'library', 'function', 'client', 'scope', 'first', 'second'];
const OBJECTS = ['labels', 'annotations', 'attributes', 'resource', 'resources'];

/** The same answer with names of 67 characters and no place where a line may break; every second one of attributes has 34. */
export function lengthened(answer, isIn = false) {
  const long = (text, length) => (text === '' ? text : `${text}_`.padEnd(length, 'averyveryverylongname').slice(0, Math.max(length, text.length)));
  if (Array.isArray(answer)) return answer.map((one) => lengthened(one, isIn));
  if (answer === null || typeof answer !== 'object') return answer;
  return Object.fromEntries(
    Object.entries(answer).map(([key, value]) => {
      if (key === 'services' && Array.isArray(value) && typeof value[0] === 'string') return [key, value.map((name) => long(name, 67))];
      if (typeof value !== 'string') return [key, lengthened(value, isIn || OBJECTS.includes(key))];
      if (isIn) return [key, long(value, 34)];
      return [key, NAMES.includes(key) ? long(value, 67) : value];
    }),
  );
}

/** Start and end in milliseconds of what a question asks for. */
function bounds(params, now) {
  const one = (text, otherwise) => {
    const relative = /^-(\d+)([smhd])$/.exec(text ?? '');
    if (relative) return now - Number(relative[1]) * UNITS[relative[2]];
    return text && text !== 'now' ? Number(text.slice(0, -6)) : otherwise;
  };
  return [one(params.get('from'), now - 3_600_000), one(params.get('to'), now)];
}

export class Fixture {
  /** `full`, `empty`, `sampled`, `long`: every name has no end, or `broken`: every answer is an error. */
  mode = 'full';
  /** What arrived since the start; newer logs and traces carry its number. */
  arrived = 0;
  /** Made-up logs and traces end here, so that they stay the same while the fixture runs. */
  born = Date.now();
  /** What the title of a dashboard's file says now. */
  title = 'Inference';
  alerts = new FixtureAlerts();
  streams = new Set();
  cache = new Map();

  static async start(port = 0) {
    const fixture = new Fixture();
    await fixture.listen(port);
    return fixture;
  }

  async listen(port) {
    this.server = createServer((question, answer) => void this.answer(question, answer));
    await new Promise((done) => this.server.listen(port, '127.0.0.1', done));
    this.port = this.server.address().port;
    this.url = `http://127.0.0.1:${this.port}`;
  }

  /** Goes away as a killed server does. */
  async stop() {
    for (const stream of this.streams) stream.destroy();
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }

  async back() {
    await this.listen(this.port);
  }

  /** Something was received. */
  receive() {
    this.arrived += 1;
    for (const stream of this.streams) stream.write('event: received\ndata: {"spans":12,"logs":1,"points":0}\n\n');
  }

  async answer(question, answer) {
    const url = new URL(question.url, 'http://fixture');
    if (url.pathname === '/api/v1/live') return this.live(answer);
    if (/^\/(api|prometheus)\//.test(url.pathname)) return this.api(question, url, answer);
    const file = ['.js', '.css', '.svg'].includes(extname(url.pathname)) ? url.pathname.slice(1) : 'index.html';
    try {
      const body = await readFile(join(PAGE, file));
      answer.writeHead(200, { 'content-type': TYPES[extname(file)], 'content-security-policy': POLICY, 'cache-control': 'no-cache' }).end(body);
    } catch {
      answer.writeHead(404).end();
    }
    return undefined;
  }

  live(answer) {
    answer.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
    answer.write(': hello\n\n');
    this.streams.add(answer);
    answer.on('close', () => this.streams.delete(answer));
  }

  async api(question, url, answer) {
    const send = (status, body) => answer.writeHead(status, { 'content-type': 'application/json' }).end(typeof body === 'string' ? body : JSON.stringify(body));
    if (this.mode === 'broken') return send(503, { error: { message: 'The store is being repaired.', mend: 'Wait until `sonde doctor` says that it is done.' } });
    if (url.pathname.startsWith('/prometheus/')) return send(...promql(url.pathname.replace('/prometheus/api/v1/', ''), url.searchParams, { empty: this.mode === 'empty', arrived: this.arrived }));
    const path = url.pathname.replace('/api/v1/', '');
    if (/^(alerts|silences)\b/.test(path)) return this.alerting(question, path, url.searchParams, send);
    const found = path === 'sql' ? await this.sql(question) : this.get(path, url.searchParams);
    if (found === null) return send(404, { error: { message: `There is no ${path} here.`, mend: 'Choose one from the list.' } });
    if (this.mode === 'long' && typeof found === 'object') return send(200, lengthened(found));
    return found.error ? send(400, found) : send(200, found);
  }

  async alerting(question, path, params, send) {
    let body = '';
    for await (const chunk of question) body += chunk;
    const [status, found] = this.alerts.answer(question.method, path, body === '' ? null : JSON.parse(body), bounds(params, Date.now()), this.mode === 'empty');
    return send(status, this.mode === 'long' ? lengthened(found) : found);
  }

  get(path, params) {
    const now = Date.now();
    const [from, to] = bounds(params, now);
    const empty = this.mode === 'empty';
    const limit = Number(params.get('limit') ?? 100);
    const [kind, id, part] = path.split('/').map(decodeURIComponent);
    if (kind === 'traces' && id) return this.trace(id, part, now);
    switch (kind) {
      case 'status':
        return data.status(now);
      case 'overview':
        if (empty) return { ...data.overview(to, to - from, 60), services: [], operations: [] };
        return { ...data.overview(to, to - from, Number(params.get('buckets') ?? 60)), is_estimated: this.mode === 'sampled' };
      case 'traces':
        return empty ? { traces: [] } : this.traces(params, to - from, limit);
      case 'logs':
        return empty ? { logs: [] } : this.logs(params, limit);
      case 'metrics':
        if (id) return data.metric(data.metrics().find(({ name }) => this.mode === 'long' && id.startsWith(name))?.name ?? id, to, to - from, 120);
        return { metrics: empty ? [] : data.metrics() };
      case 'flame':
        return profile(params, { empty: empty || params.get('service') === 'nobody', large: params.get('service') === 'large' });
      case 'map':
        return empty ? { nodes: [], edges: [] } : data.serviceMap();
      case 'workers':
        return empty ? { memory: [], calls: [], errors: [] } : data.workers(now);
      case 'queues':
        return empty ? { queues: [], more: false, text: '' } : data.queues(now);
      case 'engines':
        return empty ? { engines: [] } : data.engines();
      case 'why':
        if (empty) return { error: { message: 'there are no requests in that time', mend: 'ask for a longer time' } };
        return ANSWERS.why;
      case 'compare':
        return ANSWERS.compare;
      case 'dashboards':
        return dashboards(id, { none: empty, title: this.title });
      case 'doctor':
        return empty ? { senders: [], refusals: [] } : data.doctor(now);
      default:
        return null;
    }
  }

  trace(id, part, now) {
    if (id === data.traceId(404)) return null;
    if (part === 'why') return why(id);
    if (id !== LARGE) return request(id, now);
    if (!this.cache.has(id)) this.cache.set(id, JSON.stringify(large(id, 100_000, now)));
    return this.cache.get(id);
  }

  traces(params, rangeMs, limit) {
    const q = params.get('q') ?? '';
    if (q.includes('>>')) return { error: { message: `The filter ends where a value was expected: \`${q}\``, mend: 'A comparison has a value on its right: duration > 100ms' } };
    const rows = data.traceRows(400, rangeMs, this.born).filter((row) => !params.get('service') || row.services.includes(params.get('service')));
    if (this.arrived > 0) rows.unshift({ ...rows[0], trace_id: data.traceId(5000 + this.arrived), name: `arrival ${this.arrived}`, start_ms: this.born + this.arrived });
    if (q.includes('no.such')) return { traces: [] };
    if (params.get('order') === 'slowest') rows.sort((a, b) => b.duration_ns - a.duration_ns);
    return rows.length > limit ? { traces: rows.slice(0, limit), more: true } : { traces: rows };
  }

  logs(params, limit) {
    const least = Number(params.get('severity') ?? 0);
    const q = (params.get('q') ?? '').toLowerCase();
    const rows = data.logRows(1000, this.born).filter((log) => log.severity >= least && log.body.toLowerCase().includes(q) && (!params.get('service') || log.service === params.get('service')));
    if (this.arrived > 0) rows.unshift({ ...rows[0], time_unix_ns: `${this.born + this.arrived}000001`, time_ms: this.born + this.arrived, body: `arrival ${this.arrived}` });
    return rows.length > limit ? { logs: rows.slice(0, limit), more: true } : { logs: rows };
  }

  async sql(question) {
    let body = '';
    for await (const chunk of question) body += chunk;
    const { statement } = JSON.parse(body);
    if (!/select/i.test(statement)) return { error: { message: `SQL error: expected SELECT, found: ${statement.split(' ')[0]}`, mend: 'Statements only read: begin with SELECT or WITH.' } };
    const rows = data.traceRows(40, 3_600_000, Date.now()).map((row) => [row.trace_id, row.service, row.name, row.duration_ns, row.spans / 7, row.errors > 0 ? 'error' : null]);
    return { columns: [['trace_id', 'id'], ['service', 'text'], ['name', 'text'], ['duration', 'integer'], ['mean', 'number'], ['status', 'text']].map(([name, type]) => ({ name, type })), rows, elapsed_ms: 12.4 };
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const fixture = await Fixture.start(Number(process.argv[2] ?? 4399));
  setInterval(() => fixture.receive(), 2000);
  process.stdout.write(`Fixture at ${fixture.url}, large trace at ${fixture.url}/traces/${LARGE}\n`);
}
