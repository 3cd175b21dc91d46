/** Small parts: status glyphs, avatars, the brand, sparklines, meters. */

import { useMemo } from 'react';
import { initials } from '../lib/format.ts';
import type { Status } from '../state/status.ts';

/** Status by shape and colour; the word stands beside it or in the label. */
export function Glyph({ status, size = 10 }: { status: Status; size?: number }) {
  return (
    <svg className={`glyph ${status}`} width={size} height={size} viewBox="0 0 10 10" fill="currentColor" aria-hidden="true">
      {status === 'ok' && <circle cx="5" cy="5" r="3.4" />}
      {status === 'stale' && (
        <>
          <circle cx="5" cy="5" r="3.6" fill="none" stroke="currentColor" strokeWidth="1.6" />
          <path d="M5 1.4A3.6 3.6 0 0 1 5 8.6z" />
        </>
      )}
      {status === 'offline' && (
        <>
          <circle cx="5" cy="5" r="3.6" fill="none" stroke="currentColor" strokeWidth="1.6" />
          <path d="M2.6 7.4 7.4 2.6" fill="none" stroke="currentColor" strokeWidth="1.4" />
        </>
      )}
      {status === 'unknown' && (
        <circle cx="5" cy="5" r="3.8" fill="none" stroke="currentColor" strokeWidth="1.4" strokeDasharray="1.8 1.6" />
      )}
    </svg>
  );
}

export const Avatar = ({ name, small = false }: { name: string; small?: boolean }) => (
  <span className={small ? 'avatar small' : 'avatar'} title={name} role="img" aria-label={name}>
    {initials(name)}
  </span>
);

export const Brand = () => (
  <span className="brand">
    <svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true">
      <path
        d="M2.5 1h13A1.5 1.5 0 0 1 17 2.5v9a1.5 1.5 0 0 1-1.5 1.5H7l-4 4v-4h-.5A1.5 1.5 0 0 1 1 11.5v-9A1.5 1.5 0 0 1 2.5 1z"
        fill="var(--ink)"
      />
      <path
        d="M3.8 7.6h2.6L8 4.2l2.2 5.6 1.6-2.2h2.4"
        fill="none"
        stroke="var(--bg)"
        strokeWidth="1.4"
        strokeLinejoin="round"
        strokeLinecap="round"
      />
    </svg>
    hostroom
  </span>
);

/** A line of ratios; NaN breaks it. `version` tells when the values changed in place. */
export function Spark({
  values,
  version,
  width,
  height,
  filled = false,
}: {
  values: Float32Array;
  version: number;
  width: number;
  height: number;
  filled?: boolean;
}) {
  // The values change in place, which only `version` tells.
  // oxlint-disable-next-line react-hooks/exhaustive-deps
  const [line, area] = useMemo(() => pathsOf(values, width, height), [values, version, width, height]);
  return (
    <svg className="spark" width={width} height={height} aria-hidden="true">
      {filled && <path d={area} fill="currentColor" opacity="0.13" />}
      <path d={line} fill="none" stroke="currentColor" strokeWidth="1.25" strokeLinejoin="round" />
    </svg>
  );
}

function pathsOf(values: Float32Array, width: number, height: number): [string, string] {
  const runs: string[][] = [];
  let run: string[] | undefined;
  values.forEach((value, index) => {
    if (Number.isNaN(value)) {
      run = undefined;
      return;
    }
    if (!run) runs.push((run = []));
    const x = (index / (values.length - 1)) * (width - 1) + 0.5;
    run.push(`${x.toFixed(1)} ${(height - 1 - Math.min(1, value) * (height - 2)).toFixed(1)}`);
  });
  const long = runs.filter((points) => points.length > 1);
  const foot = (point: string): string => `${point.split(' ')[0]} ${height}`;
  return [
    long.map((points) => `M${points.join('L')}`).join(''),
    long.map((points) => `M${foot(points[0]!)}L${points.join('L')}L${foot(points.at(-1)!)}Z`).join(''),
  ];
}

export const Meter = ({ ratio }: { ratio: number }) => (
  <span className="meter">
    <i style={{ width: `${Math.min(100, Math.max(0, ratio * 100))}%` }} />
  </span>
);
