// Made-up alerts for the fixture: what fires, what is kept back, silences that one makes and ends, receivers that are reached
// and not, and a rehearsal. The shapes are those of crates/server/src/api/alerts.rs.

const S = 1e9;
const MIN = 60 * S;

function alert(name, severity, phase, labels, annotations, value, [started, fired, resolved = null]) {
  return { labels: { alertname: name, severity, ...labels }, annotations, severity, phase, value, started_unix_ns: started, fired_unix_ns: fired, resolved_unix_ns: resolved };
}

function active(now) {
  return [
    alert('memory_is_critical', 'critical', 'firing', { 'hw.id': 'cuda:1', service: 'engine' }, { summary: 'cuda:1 is 96.2 % full', action: 'Make batches or contexts smaller, or give caches less. `sonde memory` shows what holds it.', description: 'Above 95 % an allocation may fail at any time.' }, 0.962, [now - 12 * MIN, now - 11 * MIN]),
    alert('operations_are_slow', 'warning', 'firing', { op_name: 'softmax', service: 'engine' }, { summary: 'softmax took more than 100 ms 14 times in fifteen minutes', action: '`sonde why --from -15m` says where the time of slow requests goes.' }, 14, [now - 40 * MIN, now - 40 * MIN]),
    alert('queue_is_long', 'warning', 'pending', { queue: 'decode' }, { summary: '`decode` has 212 items waiting', action: 'Add workers, or let fewer requests in.' }, 212, [now - 45 * S, null]),
    alert('kernels_fail', 'error', 'firing', { backend: 'cuda', op_name: 'matmul' }, { summary: 'matmul failed 9 times on cuda in ten minutes', action: 'Look at what the driver said: `sonde logs \'gpu.error\'`.' }, 9, [now - 3 * MIN, now - 3 * MIN]),
  ];
}

function rules(now) {
  const rule = (name, group, kind, severity, unit, more = {}) => ({ name, group, kind, severity, unit, evaluated_unix_ns: now - 2 * S, error: null, errors: 0, pending: 0, firing: 0, left_out: 0, ...more });
  return [
    rule('allocations_fail', 'memory_allocation_failures', 'threshold', 'error', ''),
    rule('kernels_fail', 'kernel_execution_failures', 'threshold', 'error', '', { firing: 1 }),
    rule('operations_are_slow', 'performance_degradation', 'threshold', 'warning', '', { firing: 1 }),
    rule('memory_is_critical', 'resource_exhaustion', 'threshold', 'critical', '1', { firing: 1, left_out: 3 }),
    rule('queue_is_long', '', 'threshold', 'warning', '{item}', { pending: 1 }),
    rule('requests_fail', 'slo', 'burn_rate', 'critical', '1'),
    rule('own_expression', 'mine', 'expression', 'warning', '', { error: 'the expression `rate(tokens[5m` ends where `)` was expected', errors: 42 }),
  ];
}

function held(now, alerts) {
  const [memory, slow, , kernels] = alerts;
  const one = (receiver, alert, because) => ({ receiver, group_key: `{}:{alertname="${alert.labels.alertname}"}`, alert, because });
  return [
    one('pager', memory, { kind: 'failing', attempts: 3, because: 'pagerduty answered 400: the key is not known', until_unix_ns: now + 14 * MIN }),
    one('team', kernels, { kind: 'flapping', firings: 5, until_unix_ns: now + 26 * MIN }),
    one('team', slow, { kind: 'silenced', by: 'silence-2', until_unix_ns: now + 95 * MIN }),
  ];
}

function silences(now) {
  const silence = (id, matchers, starts, ends, created_by, comment) => ({ id, matchers, starts_unix_ns: starts, ends_unix_ns: ends, created_by, comment });
  return [
    silence('silence-1', ['service="test"'], now - 3000 * MIN, now - 1500 * MIN, '', ''),
    silence('silence-2', ['alertname="operations_are_slow"', 'op_name=~"softmax|layer_norm"'], now - 25 * MIN, now + 95 * MIN, 'Mira', 'Known; the next release has a faster kernel'),
  ];
}

/** Of `operations_are_slow`: three times, the last of which goes on. */
function rehearsal(from, to) {
  const at = (share) => (from + share * (to - from)) * 1e6;
  const labels = [{ op_name: 'softmax' }, { op_name: 'matmul' }];
  const change = (index, share, firedAt, phase, value) => ({
    time_unix_ns: at(share),
    alert: alert('operations_are_slow', 'warning', phase, labels[index], { summary: `${labels[index].op_name} took more than 100 ms ${value} times` }, value, [at(firedAt), at(firedAt), phase === 'resolved' ? at(share) : null]),
  });
  const changes = [change(0, 0.2, 0.2, 'firing', 12), change(0, 0.202, 0.2, 'resolved', 12), change(1, 0.5, 0.5, 'firing', 31), change(1, 0.62, 0.5, 'resolved', 31), change(0, 0.9, 0.9, 'firing', 18)];
  const message = (share, title) => ({ time_unix_ns: at(share), receiver: 'team', kind: 'slack', group_key: '{}:{alertname="operations_are_slow"}', alerts: 1, payload: { text: title, blocks: [{ type: 'section', text: { type: 'mrkdwn', text: `*${title}*` } }] } });
  const last = changes.at(-1).alert;
  return {
    evaluations: Math.floor((to - from) / 5000) + 1,
    changes,
    messages: [message(0.2003, '[FIRING:1] operations_are_slow'), message(0.2055, '[RESOLVED] operations_are_slow'), message(0.5003, '[FIRING:1] operations_are_slow'), message(0.6235, '[RESOLVED] operations_are_slow')],
    held: [{ receiver: 'team', group_key: '{}:{alertname="operations_are_slow"}', alert: last, because: { kind: 'muted', by: 'nights and weekends' } }],
    noise: [['operations_are_slow', { fired: 3, short: 1, flapped: 0, score: 1 / 3, median_ns: 1440 * MIN * 0.06, suggestions: [{ for: { for_ns: 180 * S, fires: 1 } }] }]],
    left_out: 0,
  };
}

const NOTHING = { evaluations: 17_281, changes: [], messages: [], held: [], noise: [['requests_fail', { fired: 0, short: 0, flapped: 0, score: 0, median_ns: null, suggestions: [] }]], left_out: 0 };

/** What a server knows of alerts, as long as the fixture runs. */
export class FixtureAlerts {
  made = silences(Date.now() * 1e6);
  /** How often each receiver was sent a test. */
  tests = {};
  /** Nothing fires any more. */
  isQuiet = false;

  /** Status and body. */
  answer(method, path, body, [from, to], empty) {
    const now = Date.now() * 1e6;
    const [kind, what, name] = path.split('/').map(decodeURIComponent);
    if (kind === 'silences') return method === 'DELETE' ? this.unsilence(what, now) : this.silence(body, now);
    if (what === 'test') return this.test(name);
    if (what === 'rehearsal') return this.rehearse(body.rule, from, to);
    return [200, this.list(now, empty)];
  }

  list(now, empty) {
    if (empty) return { alerts: [], rules: rules(now).slice(0, 1), held: [], failing: [], silences: [], receivers: {}, readings_refused: 0 };
    const alerts = active(now);
    const failing = [{ receiver: 'pager', group_key: '{}:{alertname="memory_is_critical"}', attempts: 3, because: 'pagerduty answered 400: the key is not known', retry_unix_ns: now + 14 * MIN }];
    return { alerts: this.isQuiet ? [] : alerts, rules: rules(now), held: this.isQuiet ? [] : held(now, alerts), failing: this.isQuiet ? [] : failing, silences: this.made, receivers: { 'gpu people': 'email', pager: 'pagerduty', team: 'slack' }, readings_refused: 1200 };
  }

  silence({ matchers, seconds, comment, created_by }, now) {
    if (matchers.length === 0) return [400, { error: { message: 'the silence is not made', mend: 'this silence would be for every alert; name a label that the alerts have, such as alertname="..."' } }];
    const id = `silence-${this.made.length + 1}`;
    this.made = [...this.made, { id, matchers, starts_unix_ns: now, ends_unix_ns: now + seconds * S, created_by, comment }];
    return [200, { id }];
  }

  unsilence(id, now) {
    const found = this.made.find((silence) => silence.id === id);
    if (!found) return [404, { error: { message: `there is no silence \`${id}\``, mend: 'GET /api/v1/alerts lists them' } }];
    this.made = this.made.map((silence) => (silence === found ? { ...silence, ends_unix_ns: now } : silence));
    return [200, { id }];
  }

  test(name) {
    this.tests[name] = (this.tests[name] ?? 0) + 1;
    if (name === 'pager') return [502, { error: { message: 'pagerduty answered 400: the key is not known', mend: 'mend the receiver in the file of alerts, or at its own end, and test again' } }];
    return [200, { outcome: 'delivered' }];
  }

  rehearse(rule, from, to) {
    if (rule === 'no_such_rule') return [404, { error: { message: 'there is no such rule', mend: 'GET /api/v1/alerts lists the rules; or send the text of one' } }];
    return [200, rule.startsWith('operations_are_slow') ? rehearsal(from, to) : NOTHING];
  }
}
