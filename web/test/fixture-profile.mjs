// A made-up profile of a language model's service: the same on every run.

import { random } from './fixture-data.mjs';

const SITE = '/venv/lib/python3.11/site-packages';
const STACKS = [
  ['main (program)', 'serve fastapi', 'generate (program)', 'forward torch', 'matmul torch', 'at::native::mm torch', 'cublasSgemm libcublas'],
  ['main (program)', 'serve fastapi', 'generate (program)', 'forward torch', 'softmax torch', 'at::native::softmax torch'],
  ['main (program)', 'serve fastapi', 'generate (program)', 'forward torch', 'attention torch', 'memcpy libc'],
  ['main (program)', 'serve fastapi', 'generate (program)', 'sample numpy', 'argsort numpy'],
  ['main (program)', 'serve fastapi', 'parse (program)', 'loads json', 'scan_once json'],
  ['main (program)', 'serve fastapi', 'tokenize transformers', 'encode tokenizers', 'BPE::merge tokenizers'],
  ['main (program)', 'poll asyncio', 'epoll_wait libc', 'do_epoll_wait kernel'],
  ['thread (program)', 'gc python', 'collect python'],
];
const MS = 1e6;

/** Adds stacks up as the server does. */
class Sums {
  frames = [];
  places = new Map();
  nodes = [{ parent: 0, frame: 0, own: [0, 0], total: [0, 0], children: new Map() }];

  add(stack, value) {
    let node = 0;
    this.take(0, value);
    for (const words of stack) {
      node = this.child(node, words);
      this.take(node, value);
    }
    this.nodes[node].own[0] += value[0];
    this.nodes[node].own[1] += value[1];
  }

  take(node, value) {
    this.nodes[node].total[0] += value[0];
    this.nodes[node].total[1] += value[1];
  }

  child(parent, words) {
    const known = this.nodes[parent].children.get(words);
    if (known !== undefined) return known;
    if (!this.places.has(words)) {
      this.places.set(words, this.frames.length);
      const at = words.lastIndexOf(' ');
      const [name, library] = [words.slice(0, at), words.slice(at + 1)];
      this.frames.push({ function: name, library, file: library === '(program)' ? '/srv/app.py' : `${SITE}/${library}/module.py`, kind: 'cpython' });
    }
    this.nodes.push({ parent, frame: this.places.get(words), own: [0, 0], total: [0, 0], children: new Map() });
    this.nodes[parent].children.set(words, this.nodes.length - 1);
    return this.nodes.length - 1;
  }
}

function large() {
  const next = random(5);
  const sums = new Sums();
  const libraries = ['torch', 'numpy', 'json', '(program)', 'libc', 'transformers'];
  while (sums.nodes.length < 50_000) {
    const stack = Array.from({ length: 4 + Math.floor(next() * 60) }, (_, depth) => {
      const number = Math.floor(next() ** 3 * (depth < 8 ? 3 : 9));
      return `call_${depth}_${number} ${libraries[(depth + number) % libraries.length]}`;
    });
    sums.add(stack, [Math.ceil(next() ** 4 * 1000) * MS, 0]);
  }
  return sums;
}

function ranked(sums, pair) {
  const libraries = new Map();
  const functions = new Map();
  const key = (map, name, make) => map.get(name) ?? map.set(name, make()).get(name);
  for (const { frame, own, total } of sums.nodes.slice(1)) {
    const row = sums.frames[frame];
    const library = key(libraries, row.library, () => ({ library: row.library, own: 0, charged: 0, total: 0, ...(pair && { b_own: 0, b_charged: 0, b_total: 0 }) }));
    const named = key(functions, frame, () => ({ ...row, own: 0, total: 0, ...(pair && { b_own: 0, b_total: 0 }) }));
    library.own += own[0];
    library.charged += own[0];
    library.total += own[0];
    named.own += own[0];
    named.total += total[0];
    if (pair) {
      library.b_charged += own[1];
      named.b_own += own[1];
      named.b_total += total[1];
    }
  }
  return {
    libraries: [...libraries.values()].sort((a, b) => b.charged - a.charged),
    functions: [...functions.values()].sort((a, b) => b.own - a.own).slice(0, 200).map(({ kind, ...row }) => row),
  };
}

const cache = new Map();

export function profile(params, { empty, large: isLarge }) {
  const pair = [...params.keys()].some((name) => name.startsWith('b_'));
  const key = `${pair} ${empty} ${isLarge}`;
  if (!cache.has(key)) cache.set(key, made(pair, empty, isLarge));
  return cache.get(key);
}

function made(pair, empty, isLarge) {
  const next = random(3);
  const sums = isLarge ? large() : new Sums();
  if (!empty && !isLarge) {
    STACKS.forEach((stack, number) => {
      const now = Math.round((900 / (number + 1)) * (0.6 + next())) * MS;
      // Before, softmax was cheap and JSON was not.
      const before = pair ? Math.round(now * (number === 1 ? 0.2 : number === 4 ? 2.4 : 0.9 + next() * 0.2)) : 0;
      for (let depth = 3; depth <= stack.length; depth += 1) sums.add(stack.slice(0, depth), [depth === stack.length ? now : now / 20, depth === stack.length ? before : before / 20]);
    });
  }
  const { nodes, frames } = sums;
  const order = nodes.map((_, index) => index).sort((a, b) => nodes[b].total[0] + nodes[b].total[1] - nodes[a].total[0] - nodes[a].total[1] || a - b);
  const place = new Map(order.map((node, index) => [node, index]));
  const column = (value) => order.map((node) => value(nodes[node]));
  const [total, b_total] = nodes[0].total;
  return {
    from_unix_ns: '0',
    to_unix_ns: '0',
    type: empty ? '' : 'cpu',
    unit: empty ? '' : 'nanoseconds',
    types: empty ? [] : ['engine', 'gateway'].map((service) => ({ service, type: 'cpu', unit: 'nanoseconds', samples: 400, value: total / 2 })),
    total,
    samples: empty ? 0 : Math.round(total / 10 / MS),
    stacks: empty ? 0 : STACKS.length,
    ...(pair && { b_total, b_samples: Math.round(b_total / 10 / MS), b_stacks: STACKS.length }),
    frames,
    nodes: {
      parent: order.map((node) => place.get(nodes[node].parent)),
      frame: column((node) => node.frame),
      own: column((node) => node.own[0]),
      total: column((node) => node.total[0]),
      ...(pair && { b_own: column((node) => node.own[1]), b_total: column((node) => node.total[1]) }),
    },
    left_out: isLarge ? 1234 : 0,
    ...ranked(sums, pair),
    more: isLarge,
  };
}
