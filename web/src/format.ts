// Numbers as people read them: three significant digits, and always a unit.

const NARROW = '\u202f';

function significant(value: number): string {
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return size >= 10 ? value.toFixed(1) : value.toFixed(2);
}

const STEPS: [limit: number, per: number, unit: string][] = [
  [999.5, 1, 'ns'],
  [999.5e3, 1e3, 'µs'],
  [999.5e6, 1e6, 'ms'],
  [60e9, 1e9, 's'],
];

/** `310 µs`, `1.24 s`, `2 min 05 s`. */
export function duration(ns: number | null | undefined): string {
  if (ns === null || ns === undefined || !Number.isFinite(ns)) return '–';
  const size = Math.abs(ns);
  if (size === 0) return `0${NARROW}s`;
  for (const [limit, per, unit] of STEPS) {
    if (size < limit) return `${significant(ns / per)}${NARROW}${unit}`;
  }
  const seconds = Math.round(size / 1e9);
  const sign = ns < 0 ? '-' : '';
  const parts = (large: number, name: string, small: number, smallName: string) => `${sign}${large} ${name}${small === 0 ? '' : ` ${String(small).padStart(2, '0')} ${smallName}`}`;
  if (seconds < 3600) return parts(Math.floor(seconds / 60), 'min', seconds % 60, 's');
  if (seconds < 86_400) return parts(Math.floor(seconds / 3600), 'h', Math.floor(seconds / 60) % 60, 'min');
  return parts(Math.floor(seconds / 86_400), 'd', Math.floor(seconds / 3600) % 24, 'h');
}

const GROUPED = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 });

/** `12 345`: exact, for tables. */
export function count(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  return GROUPED.format(value).replaceAll(',', NARROW);
}

/** `12.3k`: for axes and headings. */
export function short(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 1e9) return `${significant(value / 1e9)}G`;
  if (size >= 1e6) return `${significant(value / 1e6)}M`;
  if (size >= 1e4) return `${significant(value / 1e3)}k`;
  if (size !== 0 && size < 0.01) return value.toExponential(1);
  return significant(value);
}

export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let size = Math.abs(value);
  let unit = 0;
  while (size >= 1023.5 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${value < 0 ? '-' : ''}${significant(size)}${NARROW}${units[unit]}`;
}

export function percent(part: number, whole: number): string {
  if (whole === 0) return `0${NARROW}%`;
  const value = (100 * part) / whole;
  if (value === 0 || value === 100) return `${value}${NARROW}%`;
  if (value < 0.1) return `<0.1${NARROW}%`;
  return `${value.toFixed(1)}${NARROW}%`;
}

const SECONDS: Record<string, number> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, min: 60e9, h: 3600e9 };

/** A metric's value in its unit, which is UCUM as OpenTelemetry writes it: `By`, `ms`, `{token}`, `1`. */
export function measured(value: number | null | undefined, unit: string, rate = false): string {
  if (value === null || value === undefined) return '–';
  const per = rate ? '/s' : '';
  const scale = SECONDS[unit];
  if (scale !== undefined && !rate) return duration(value * scale);
  if (unit === 'By') return `${bytes(value)}${per}`;
  if (unit === '%') return `${significant(value)}${NARROW}%${per}`;
  const name = unit.replace(/[{}]/g, '');
  return `${short(value)}${name === '' || name === '1' ? '' : NARROW + name}${per}`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const DAY = new Intl.DateTimeFormat(undefined, { day: '2-digit', month: 'short' });

/** `14:03:12.345`, with the day before it when that is not today. */
export function clock(ms: number, fraction = true): string {
  const date = new Date(ms);
  const time = CLOCK.format(date) + (fraction ? `.${String(date.getMilliseconds()).padStart(3, '0')}` : '');
  return date.toDateString() === new Date().toDateString() ? time : `${DAY.format(date)} ${time}`;
}

/** Date and time in full, with the time zone. */
export function moment(ms: number): string {
  return new Date(ms).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'long', hourCycle: 'h23' });
}

export function ago(ms: number, now = Date.now()): string {
  const past = Math.max(0, now - ms);
  return past < 1000 ? 'just now' : `${duration(Math.round(past / 1000) * 1e9)} ago`;
}

/** `in 5 min`: the other way round. */
export function ahead(ms: number, now = Date.now()): string {
  const left = ms - now;
  return left < 1000 ? 'at once' : `in ${duration(Math.round(left / 1000) * 1e9)}`;
}

/** `1 span`, `2 spans`. */
export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`;
}
