// One colour for one name, the same on every page: hue by hash, and no two alike while there are hues left. What a
// browser once chose it remembers, because the choice depends on the names that came before.

import { recall, remember } from './storage';

export const HUES = 10;

function hash(text: string): number {
  let value = 2166136261;
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), 16777619);
  }
  return value >>> 0;
}

const KEY = 'radiosonde.hues';
const NAMES_MAX = 300;

const taken = remembered();
const uses = new Array<number>(HUES).fill(0);
for (const index of taken.values()) uses[index] = (uses[index] ?? 0) + 1;

function remembered(): Map<string, number> {
  try {
    const stored = JSON.parse(recall(KEY) ?? '[]') as [string, number][];
    return new Map(stored.filter(([name, index]) => typeof name === 'string' && index >= 0 && index < HUES));
  } catch {
    // What another version wrote there is not worth an error.
    return new Map();
  }
}

/** The number of the name's hue, 0 to 9. */
export function hue(name: string): number {
  const known = taken.get(name);
  if (known !== undefined) return known;
  const least = Math.min(...uses);
  let index = hash(name) % HUES;
  while (uses[index] !== least) index = (index + 1) % HUES;
  uses[index] = least + 1;
  taken.set(name, index);
  if (taken.size <= NAMES_MAX) remember(KEY, JSON.stringify([...taken]));
  return index;
}

/** The name of the custom property with that colour. */
export function hueVariable(name: string): string {
  return `--hue-${hue(name)}`;
}
