/** What stands below the strips: file systems and processes. */

import { useEffect, useState } from 'react';
import type { Processes } from '../../../src/protocol/kinds.ts';
import { lookUp } from '../../../src/protocol/metrics.ts';
import type { View } from '../charts/view.ts';
import { binary, clockSeconds, none, percent, rate } from '../lib/format.ts';
import { useStore } from '../lib/store.ts';
import type { HostRoom } from '../state/hostRoom.ts';
import { processesAt } from '../state/processLists.ts';
import type { Rows } from '../state/rows.ts';
import { Meter } from './parts.tsx';

interface FileSystem {
  mount: string;
  used: number;
  total: number;
}

const maxFileSystems = 12;

/** The fullest first; read every 10 s, so the newest value within the last rows counts. */
export function fileSystemsOf(rows: Rows, at: number | null): FileSystem[] {
  const end = at === null ? rows.length - 1 : rows.rowNear(at, 5_000);
  if (end < 0) return [];
  const newest = (name: string): number => {
    const column = rows.column(name);
    for (let row = end; column && row >= 0 && rows.at[end]! - rows.at[row]! < 30_000; row -= 1)
      if (!Number.isNaN(column[row]!)) return column[row]!;
    return NaN;
  };
  return rows
    .names()
    .flatMap((name) => {
      const known = lookUp(name);
      if (known?.metric.name !== 'fs.*.total' || known.device === undefined) return [];
      const total = newest(name);
      const used = newest(name.replace(/total$/u, 'used'));
      return total > 0 && !Number.isNaN(used) ? [{ mount: known.device, used, total }] : [];
    })
    .sort((a, b) => a.mount.localeCompare(b.mount))
    .slice(0, maxFileSystems);
}

/** Changes when another second's samples are there, so that tables follow without following every frame. */
export function useVersion(store: Rows, everyMs: number): number {
  const [version, setVersion] = useState(store.version);
  useEffect(() => {
    const timer = setInterval(() => setVersion(store.version), everyMs);
    return () => clearInterval(timer);
  }, [store, everyMs]);
  return version;
}

export function FileSystems({ room, view }: { room: HostRoom; view: View }) {
  useVersion(room.samples, 1_000);
  const at = useStore(view.crossTime);
  const newest = at === null ? fileSystemsOf(room.samples, null) : [];
  // The samples of a long window may not reach back to their last reading.
  const all = newest.length > 0 ? newest : fileSystemsOf(room.rows(), at);
  return (
    <section className="section" aria-label="File systems">
      <h3>
        File systems<span>used of</span>
      </h3>
      {all.length === 0 && <p className="quiet">none reported yet</p>}
      {all.map(({ mount, used, total }) => (
        <div className="file-system" key={mount}>
          <span title={mount}>{mount}</span>
          <Meter ratio={used / total} />
          <b>{percent(used / total, 0)}</b>
          <span className="of">{binary(total)}</span>
        </div>
      ))}
    </section>
  );
}

/** The list of the time pointed at, which may have to be fetched; null: the newest. */
function useProcesses({ processes }: HostRoom, at: number | null): Processes | undefined {
  useEffect(() => processes.want(at), [processes, at]);
  return processesAt(useStore(processes.all), at);
}

export function ProcessTable({ room, view }: { room: HostRoom; view: View }) {
  const at = useStore(view.crossTime);
  const list = useProcesses(room, at);
  return (
    <section className="section" aria-label="Processes">
      <h3>
        Processes<span>{list ? `at ${clockSeconds(list.at)}` : ''}</span>
      </h3>
      {!list && <p className="quiet">{at === null ? 'the list comes every 10 s' : 'no list at this time'}</p>}
      {list && (
        <table className="process-table">
          <thead>
            <tr>
              <th scope="col">name</th>
              <th scope="col">user</th>
              <th scope="col">CPU</th>
              <th scope="col">memory</th>
              <th scope="col">I/O</th>
            </tr>
          </thead>
          <tbody>
            {list.top.slice(0, 8).map((process) => (
              <tr key={process.pid}>
                <td title={`${process.name}, pid ${process.pid}`}>{process.name}</td>
                <td>{process.user}</td>
                <td>{percent(process.cpu)}</td>
                <td>{binary(process.memory)}</td>
                <td>{process.io > 0 ? rate(process.io) : none}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

/** Three names on a line, for a phone. */
export function TopProcesses({ room, view }: { room: HostRoom; view: View }) {
  const list = useProcesses(room, useStore(view.crossTime));
  return (
    <div className="phone-top">
      {list?.top.slice(0, 3).map((process) => (
        <span key={process.pid}>
          {process.name} <b>{percent(process.cpu)}</b>
        </span>
      ))}
    </div>
  );
}
