/** Numbers, units and times as people read them. */

import type { Unit } from '../../../src/protocol/metrics.ts';

/** Narrow no-break space, which stands between a figure and its unit. */
export const nn = '\u202f';
export const none = '—';

/** 2 to 3 significant digits: 0.42, 9.4, 34.4, 343. */
export function significant(value: number): string {
  const size = Math.abs(value);
  if (size >= 99.95) return Math.round(value).toString();
  if (size >= 0.995) return value.toFixed(1);
  return size < 0.005 ? '0' : value.toFixed(2);
}

function withPrefix(value: number, base: number, units: readonly string[]): string {
  let scaled = value;
  let step = 0;
  while (Math.abs(scaled) >= base - 0.5 && step < units.length - 1) {
    scaled /= base;
    step += 1;
  }
  return `${step === 0 ? Math.round(scaled) : significant(scaled)}${nn}${units[step]}`;
}

/** Memory and file systems: binary. */
export const binary = (bytes: number): string => withPrefix(bytes, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']);

/** Bytes per second: decimal. */
export const rate = (bytesPerSecond: number): string => withPrefix(bytesPerSecond, 1000, ['B/s', 'kB/s', 'MB/s', 'GB/s', 'TB/s']);

/** One decimal below 10, none above. */
export function percent(ratio: number, decimals?: 0): string {
  const value = ratio * 100;
  return `${value < 9.95 && decimals !== 0 ? value.toFixed(1) : Math.round(value)}${nn}%`;
}

export const count = (value: number): string => withPrefix(value, 1000, ['', 'k', 'M', 'G']).replace(new RegExp(`${nn}$`, 'u'), '');

/** Below 10 with one decimal, or two below 1. */
export const decimal = (value: number): string => significant(value);

export const celsius = (value: number): string => `${Math.round(value)}${nn}°C`;

/** A value in the unit its metric has in the catalogue. */
export function formatUnit(value: number | null | undefined, unit: Unit): string {
  if (value === null || value === undefined || Number.isNaN(value)) return none;
  switch (unit) {
    case 'bytes':
      return binary(value);
    case 'bytes/s':
      return rate(value);
    case 'ratio':
      return percent(value);
    case '°C':
      return celsius(value);
    case 's':
      return `${significant(value)}${nn}s`;
    case '1/s':
      return `${significant(value)}/s`;
    case '1/min':
      return `${Math.round(value)}/min`;
    case 'count':
      return Number.isInteger(value) ? count(value) : decimal(value);
  }
}

const spans = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1],
] as const;

/** At most two units: `32 s`, `6 min 32 s`, `41 d 6 h`. */
export function duration(ms: number): string {
  const total = Math.max(0, Math.floor(ms / 1000));
  const first = spans.findIndex(([, size]) => total >= size);
  if (first < 0) return `0${nn}s`;
  const [unit, size] = spans[first]!;
  const next = spans[first + 1];
  const rest = next ? Math.floor((total % size) / next[1]) : 0;
  const head = `${Math.floor(total / size)}${nn}${unit}`;
  return next && rest > 0 ? `${head} ${rest}${nn}${next[0]}` : head;
}

/** One unit, for tables: `32 s`, `6 m`, `4 h`, `41 d`. */
export function shortDuration(ms: number): string {
  return duration(ms).split(' ')[0]!.replace('min', 'm');
}

/** `180 ms` under 1 s, `6.2 s` to 10 s, then whole seconds, two units from a minute on. */
export function age(ms: number): string {
  const value = Math.max(0, ms);
  if (value < 1000) return `${Math.round(value / 10) * 10}${nn}ms`;
  if (value < 10_000) return `${(value / 1000).toFixed(1)}${nn}s`;
  return duration(value);
}

const two = (value: number): string => value.toString().padStart(2, '0');

/** `14:08` in the browser's zone. */
export function clock(at: number): string {
  const date = new Date(at);
  return `${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** `14:09:12`, as it stands at the crosshair. */
export const clockSeconds = (at: number): string => `${clock(at)}:${two(new Date(at).getSeconds())}`;

const days = new Intl.DateTimeFormat('en-GB', { weekday: 'long', day: 'numeric', month: 'long' });
const stamps = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });
/** `Friday 20 November`. */
export const day = (at: number): string => days.format(at).replace(',', '');
/** Everything, for title attributes. */
export const stamp = (at: number): string => stamps.format(at);
export const dayKey = (at: number): string => new Date(at).toDateString();

const zones = new Intl.DateTimeFormat('en-GB', { timeZoneName: 'short' });
/** `UTC`, `CET`: named once beside the range. */
export const zone = (at: number): string => zones.formatToParts(at).find((part) => part.type === 'timeZoneName')?.value ?? '';

/** Shortened in the middle, because host names differ at their ends: `fra-api…-12`. */
export function middle(text: string, length: number): string {
  if (text.length <= length) return text;
  const tail = Math.min(4, Math.floor(length / 3));
  return `${text.slice(0, length - tail - 1)}…${text.slice(-tail)}`;
}

export const initials = (name: string): string =>
  name
    .split(/[\s@._-]+/u)
    .filter(Boolean)
    .slice(0, 2)
    .map((word) => [...word][0]!.toUpperCase())
    .join('') || '?';
