// Made-up answers to PromQL: three series that tell a model apart, one that is a number, and a query that is wrong.

import { random } from './fixture-data.mjs';

const MODELS = ['tiny', 'small', 'large'];
const METADATA = {
  gen_ai_client_token_usage: [{ type: 'histogram', help: '', unit: '' }],
  gen_ai_server_request_duration_seconds: [{ type: 'histogram', help: '', unit: 'seconds' }],
  http_server_active_requests: [{ type: 'gauge', help: '', unit: '' }],
  process_cpu_time_seconds_total: [{ type: 'counter', help: '', unit: 'seconds' }],
  radiosonde_gen_ai_output_tokens_total: [{ type: 'counter', help: '', unit: '' }],
  vllm_requests_total: [{ type: 'counter', help: '', unit: '' }],
};

const UNITS = { s: 1, m: 60, h: 3600, d: 86_400 };

function seconds(text) {
  const ago = /^-(\d+)([smhd])$/.exec(text ?? '');
  if (ago) return Date.now() / 1000 - Number(ago[1]) * UNITS[ago[2]];
  return !text || text === 'now' ? Date.now() / 1000 : Number(text);
}

function metrics(query) {
  const labels = query.startsWith('sum(') ? [{}] : MODELS.map((model) => ({ job: 'engine', model }));
  return query.includes('no_such') ? [] : labels;
}

/** Like the server's, down to its words: what is opened has to be closed. */
function mistake(query) {
  const open = [...query].filter((c) => c === '(').length - [...query].filter((c) => c === ')').length;
  if (open <= 0) return null;
  const lines = query.split('\n');
  return `line ${lines.length}, column ${lines.at(-1).length + 1}: there is the end of the query where \`)\` was expected; close the parenthesis`;
}

/** Status and body of an answer. */
export function promql(path, params, { empty, arrived }) {
  const succeeded = (data) => [200, { status: 'success', data }];
  if (path === 'metadata') return succeeded(empty ? {} : METADATA);
  const query = params.get('query') ?? '';
  const wrong = mistake(query);
  if (wrong) return [400, { status: 'error', errorType: 'bad_data', error: wrong }];
  const known = empty ? [] : metrics(query);
  if (path === 'query') {
    const at = seconds(params.get('time'));
    return succeeded({ resultType: 'vector', result: known.map((metric, index) => ({ metric, value: [at, String(40.5 * (index + 1) + arrived)] })) });
  }
  const [start, end, step] = [seconds(params.get('start')), seconds(params.get('end')), Number(params.get('step'))];
  const result = known.map((metric, index) => {
    const next = random(index + 3);
    const steps = Array.from({ length: Math.floor((end - start) / step) + 1 }, (_, at) => at);
    // Where nothing was measured there is nothing.
    const values = steps.filter((at) => at % 60 < 52).map((at) => [start + at * step, String((index + 1) * (30 + 8 * Math.sin(at / 9) + 5 * next()))]);
    return { metric, values };
  });
  return succeeded({ resultType: 'matrix', result });
}
