/** What a strip shows, as a table for those who do not see it. */

import { useEffect, useState } from 'react';
import { none } from '../lib/format.ts';
import { useStore } from '../lib/store.ts';
import type { Rows } from '../state/rows.ts';
import { statsOf } from './stats.ts';
import type { Strip } from './strips.ts';
import { type View, windows } from './view.ts';

/** Seldom enough that reading it aloud is not overtaken. */
const everyMs = 10_000;

export function StripTable({ strip, view, rows }: { strip: Strip; view: View; rows: () => Rows }) {
  const windowMs = useStore(view.windowMs);
  const [end, setEnd] = useState(() => view.end());
  useEffect(() => {
    const look = (): void => setEnd(view.end());
    look();
    const timer = setInterval(() => {
      if (!document.hidden) look();
    }, everyMs);
    return () => clearInterval(timer);
  }, [view, windowMs]);
  const label = windows.find(({ ms }) => ms === windowMs)?.label;
  return (
    <table className="visually-hidden">
      <caption>{`${strip.title}, ${label}`}</caption>
      <thead>
        <tr>
          {['Series', 'Newest', 'Lowest', 'Average', 'Highest'].map((title) => (
            <th scope="col" key={title}>
              {title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {strip.series.map((series) => {
          const stats = statsOf(rows(), series, end - windowMs, end);
          return (
            <tr key={series.label}>
              <th scope="row">{series.label}</th>
              {(['newest', 'lowest', 'average', 'highest'] as const).map((name) => (
                <td key={name}>{stats ? series.format(stats[name]) : none}</td>
              ))}
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
