/** Milliseconds of "500ms", "10s", "15m", "24h", "7d", "2w", "3y"; Infinity of "forever"; undefined of anything else. */
export function parseDuration(text: string): number | undefined {
  if (text === 'forever') return Infinity;
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d|w|y)$/.exec(text);
  if (!match) return undefined;
  const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000, y: 31_557_600_000 }[match[2] as 's'];
  return Math.round(Number(match[1]) * unitMs);
}
