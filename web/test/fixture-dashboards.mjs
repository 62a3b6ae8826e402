// A made-up folder of dashboards: one that is right, and one with mistakes.

const panel = (kind, title, width, more) => ({ title, kind, width, promql: null, sql: null, text: null, unit: null, ...more });

const PANELS = [
  panel('number', 'Tokens a second', 3, { promql: 'sum(rate(tokens_total[5m]))', unit: '{token}/s' }),
  panel('number', 'Requests that wait', 3, { promql: 'queue_depth', unit: '{request}' }),
  panel('number', 'Nothing yet', 3, { promql: 'no_such' }),
  panel('number', 'Wrong', 3, { promql: 'sum(up' }),
  panel('lines', 'Latency by model, 95 % within', 6, { promql: 'histogram_quantile(0.95, sum by (le, model) (rate(request_seconds_bucket[5m])))', unit: 's' }),
  panel('lines', 'Memory', 6, { promql: 'memory_bytes', unit: 'By' }),
  panel('table', 'Slowest operations', 8, { sql: 'SELECT trace_id FROM spans WHERE start_time >= $from AND start_time < $to' }),
  panel('text', 'About', 4, { text: 'It is a file: `inference.toml`.\n\nChange it, and what you change is shown.' }),
];

export const MISTAKE = { file: 'broken.toml', line: 6, key: 'panels[1].widht', message: 'there is no such setting', mend: 'remove it, or write one of `title`, `kind`, `width`' };

/** Like the server, reads what is in the folder now: `title` is what somebody changed the file to. */
export function dashboards(name, { none, title }) {
  const boards = [
    { name: 'broken', title: 'broken', description: '', panels: [], mistakes: [MISTAKE] },
    { name: 'inference', title, description: 'Tokens, latency and memory of language models.', panels: PANELS, mistakes: [] },
  ];
  if (name) return (none ? [] : boards).find((board) => board.name === name) ?? null;
  return { folder: none ? null : '/etc/dashboards', dashboards: none ? [] : boards.map((board) => ({ ...board, panels: board.panels.length })), left_out: 0, mistake: null };
}
