/** All hosts: what needs attention first, then group by group. */

import { IconArrowNarrowDown, IconArrowNarrowUp, IconChevronDown, IconChevronRight, IconPlus } from '@tabler/icons-react';
import { useMemo, useState } from 'react';
import { Link, Redirect } from 'wouter';
import type { Host } from '../../../src/protocol/rest.ts';
import { Find, fits } from '../components/Find.tsx';
import { FleetRow, shapeOf, type Shaped } from '../components/FleetRow.tsx';
import { Glyph } from '../components/parts.tsx';
import { RailButton } from '../components/Shell.tsx';
import { useCollapsed } from '../components/useCollapsed.ts';
import { useSlice } from '../components/useSlice.ts';
import { useMedia, useNow, useShared } from '../context.ts';
import { useStore } from '../lib/store.ts';
import { mayAddHosts, session } from '../session.ts';
import { type Status, statusWords } from '../state/status.ts';

const columns = [
  { key: 'name', title: 'Host', left: true },
  { key: 'status', title: 'Status', left: true },
  { key: 'cpu', title: 'CPU, 60 s' },
  { key: 'memory', title: 'Memory' },
  { key: 'disk', title: 'Fullest disk' },
  { key: 'receive', title: 'Receive' },
  { key: 'transmit', title: 'Transmit' },
  { key: 'load', title: 'Load' },
  { key: 'temperature', title: 'Temp.' },
  { key: 'uptime', title: 'Up' },
  { key: 'at', title: 'Sample' },
] as const;
type Key = (typeof columns)[number]['key'];

const severity: Record<Status, number> = { stale: 0, offline: 1, unknown: 2, ok: 3 };
const chips: readonly Status[] = ['stale', 'offline', 'unknown', 'ok'];

function compare(key: Key, up: boolean) {
  const sign = up ? 1 : -1;
  const byName = (a: Shaped, b: Shaped): number => a.host.name.localeCompare(b.host.name, undefined, { numeric: true });
  return (a: Shaped, b: Shaped): number => {
    if (key === 'name') return sign * byName(a, b);
    if (key === 'status') return sign * (severity[a.status] - severity[b.status]) || byName(a, b);
    const x = a.host.summary[key];
    const y = b.host.summary[key];
    // Hosts without the figure stand last, whichever way.
    if (x === null || y === null) return x === y ? byName(a, b) : x === null ? 1 : -1;
    return sign * (x - y) || byName(a, b);
  };
}

type Line = { kind: 'group'; id: string; name: string; size: number } | { kind: 'host'; shaped: Shaped };

export function Fleet() {
  const { hosts } = useShared();
  const { hosts: all, ready, failed } = useStore(hosts);
  const who = useStore(session);
  const now = useNow(1_000);
  const [filter, setFilter] = useState('');
  const [only, setOnly] = useState<Status | null>(null);
  const [sort, setSort] = useState<{ key: Key; up: boolean }>({ key: 'name', up: true });
  const [collapsed, toggle] = useCollapsed('fleet');
  const isPhone = useMedia('(max-width: 767px)');
  const rowPx = isPhone ? 52 : 34;

  const shaped = useMemo(() => all.map((host: Host) => shapeOf(host, now)), [all, now]);
  const lines = useMemo(() => {
    const shown = shaped
      .filter(({ host, status }) => fits(host.name, filter) && (only === null || status === only))
      .sort(compare(sort.key, sort.up));
    const trouble = shown.filter(({ status }) => status !== 'ok').sort((a, b) => severity[a.status] - severity[b.status]);
    const groups = [
      ...Map.groupBy(
        shown.filter(({ status }) => status === 'ok'),
        ({ host }) => host.group.id,
      ).values(),
    ].sort((a, b) => a[0]!.host.group.name.localeCompare(b[0]!.host.group.name));
    const result: Line[] = [];
    const add = (id: string, name: string, members: Shaped[]): void => {
      if (members.length === 0) return;
      result.push({ kind: 'group', id, name, size: members.length });
      if (!collapsed.has(id)) for (const one of members) result.push({ kind: 'host', shaped: one });
    };
    add('attention', 'Needs attention', trouble);
    for (const members of groups) add(members[0]!.host.group.id, members[0]!.host.group.name, members);
    return result;
  }, [shaped, filter, only, sort, collapsed]);
  const heights = useMemo(() => lines.map(() => rowPx), [lines, rowPx]);
  const { list, first, end, above, below, onScroll } = useSlice(heights);

  if (ready && all.length === 0) return <Redirect to="/hosts/new" replace />;
  const groupCount = new Set(all.map((host) => host.group.id)).size;
  return (
    <>
      <header className="head">
        <RailButton />
        <h1>Fleet</h1>
        {ready && (
          <span className="sub">{`${all.length} ${all.length === 1 ? 'host' : 'hosts'}, ${groupCount} ${groupCount === 1 ? 'group' : 'groups'}`}</span>
        )}
        <span className="grow" />
        {mayAddHosts(who) && (
          <Link href="/hosts/new" className="button">
            <IconPlus size={15} stroke={1.75} />
            Add host
          </Link>
        )}
      </header>
      <div className="fleet-bar">
        <Find place="page" label="Filter by name" value={filter} onChange={setFilter} />
        <button type="button" className={only === null ? 'chip on' : 'chip'} aria-pressed={only === null} onClick={() => setOnly(null)}>
          All <i>{all.length}</i>
        </button>
        {chips.map((status) => (
          <button
            type="button"
            key={status}
            className={only === status ? 'chip on' : 'chip'}
            aria-pressed={only === status}
            onClick={() => setOnly(only === status ? null : status)}
          >
            <Glyph status={status} />
            {statusWords[status]} <i>{shaped.filter((one) => one.status === status).length}</i>
          </button>
        ))}
      </div>
      <div className="fleet" ref={list} onScroll={onScroll} role="table" aria-label="Hosts" aria-rowcount={lines.length}>
        <div className="fleet-head" role="row">
          {columns.map(({ key, title, ...column }) => (
            <button
              type="button"
              key={key}
              role="columnheader"
              className={'left' in column ? 'left' : ''}
              aria-sort={sort.key === key ? (sort.up ? 'ascending' : 'descending') : undefined}
              onClick={() => setSort(sort.key === key ? { key, up: !sort.up } : { key, up: key === 'name' || key === 'status' })}
            >
              {title}
              {sort.key === key &&
                (sort.up ? <IconArrowNarrowUp size={13} stroke={1.75} /> : <IconArrowNarrowDown size={13} stroke={1.75} />)}
            </button>
          ))}
        </div>
        {failed && !ready && <p className="fleet-empty">{failed}</p>}
        {ready && lines.length === 0 && <p className="fleet-empty">No host fits this filter.</p>}
        <div style={{ height: above }} />
        {lines.slice(first, end).map((line) =>
          line.kind === 'group' ? (
            <button
              type="button"
              className="fleet-group"
              style={{ height: rowPx }}
              key={line.id}
              aria-expanded={!collapsed.has(line.id)}
              onClick={() => toggle(line.id)}
            >
              {collapsed.has(line.id) ? <IconChevronRight size={13} stroke={1.75} /> : <IconChevronDown size={13} stroke={1.75} />}
              <b>{line.name}</b>
              {line.size}
            </button>
          ) : (
            <FleetRow key={line.shaped.host.id} {...line.shaped} now={now} trail={hosts.trail(line.shaped.host.id).values} />
          ),
        )}
        <div style={{ height: below }} />
      </div>
    </>
  );
}
