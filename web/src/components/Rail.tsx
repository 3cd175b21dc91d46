/** The rail: all hosts by group, with status and the CPU trail of the last minute. */

import { IconChevronDown, IconChevronRight, IconLayoutGrid, IconPlus, IconSettings } from '@tabler/icons-react';
import { useMemo, useState } from 'react';
import { Link, useLocation } from 'wouter';
import type { Host } from '../../../src/protocol/rest.ts';
import { useMedia, useNow, useShared } from '../context.ts';
import { middle, shortDuration } from '../lib/format.ts';
import { useStore } from '../lib/store.ts';
import { mayAddHosts, session } from '../session.ts';
import { statusOf, statusWords } from '../state/status.ts';
import { Avatar, Brand, Glyph, Spark } from './parts.tsx';
import { Find, fits } from './Find.tsx';
import { useCollapsed } from './useCollapsed.ts';
import { useSlice } from './useSlice.ts';

type Line = { kind: 'group'; id: string; name: string; size: number; isOpen: boolean } | { kind: 'host'; host: Host };

/** With what the stylesheet puts around them. */
const rowPx = { fine: { group: 35, host: 30 }, coarse: { group: 53, host: 44 } };

function linesOf(hosts: readonly Host[], isOpen: (group: string) => boolean): Line[] {
  return [...Map.groupBy(hosts, (host) => host.group.id).values()].flatMap((members) => {
    const { id, name } = members[0]!.group;
    const title: Line = { kind: 'group', id, name, size: members.length, isOpen: isOpen(id) };
    return [title, ...(title.isOpen ? members.map((host): Line => ({ kind: 'host', host })) : [])];
  });
}

export function Rail({ onNavigate }: { onNavigate: () => void }) {
  const { hosts } = useShared();
  const { hosts: all, ready } = useStore(hosts);
  const who = useStore(session);
  const now = useNow(1_000);
  const [path, navigate] = useLocation();
  const [filter, setFilter] = useState('');
  const [collapsed, toggle] = useCollapsed('rail');
  const isSearching = filter.trim() !== '';
  const shown = useMemo(() => all.filter((host) => fits(host.name, filter)), [all, filter]);
  const lines = useMemo(() => linesOf(shown, (id) => isSearching || !collapsed.has(id)), [shown, isSearching, collapsed]);
  const isCoarse = useMedia('(pointer: coarse)');
  const heights = useMemo(() => lines.map(({ kind }) => rowPx[isCoarse ? 'coarse' : 'fine'][kind]), [lines, isCoarse]);
  const { list, first, end, above, below, onScroll } = useSlice(heights);
  return (
    <nav className="rail" aria-label="Rooms">
      <div className="rail-top">
        <Link href="/" onClick={onNavigate} aria-label="hostroom, fleet">
          <Brand />
        </Link>
        {mayAddHosts(who) && (
          <Link href="/hosts/new" className="icon-button" aria-label="Add host" title="Add host" onClick={onNavigate}>
            <IconPlus size={16} stroke={1.75} />
          </Link>
        )}
      </div>
      <form
        role="search"
        onSubmit={(event) => {
          event.preventDefault();
          if (!shown[0] || !isSearching) return;
          setFilter('');
          navigate(`/hosts/${shown[0].id}`);
          onNavigate();
        }}
      >
        <Find place="rail" label="Find a host" value={filter} onChange={setFilter} />
      </form>
      <Link href="/" className="nav" aria-current={path === '/' ? 'page' : undefined} onClick={onNavigate}>
        <IconLayoutGrid size={16} stroke={1.75} />
        <span className="grow">Fleet</span>
        <i>{all.length}</i>
      </Link>
      <div className="rooms" ref={list} onScroll={onScroll}>
        {ready && all.length === 0 && <p className="rooms-empty">Each host you add gets its room here.</p>}
        {ready && all.length > 0 && shown.length === 0 && <p className="rooms-empty">No host has this in its name.</p>}
        <div style={{ height: above }} />
        {lines.slice(first, end).map((line) =>
          line.kind === 'group' ? (
            <button type="button" className="group-title" key={line.id} aria-expanded={line.isOpen} onClick={() => toggle(line.id)}>
              {line.isOpen ? <IconChevronDown size={12} stroke={1.75} /> : <IconChevronRight size={12} stroke={1.75} />}
              <span className="grow">{line.name}</span>
              <i>{line.size}</i>
            </button>
          ) : (
            <Entry
              key={line.host.id}
              host={line.host}
              trail={hosts.trail(line.host.id).values}
              now={now}
              isHere={path === `/hosts/${line.host.id}`}
              onNavigate={onNavigate}
            />
          ),
        )}
        <div style={{ height: below }} />
      </div>
      {who.state === 'in' && (
        <div className="me">
          <Avatar name={who.user.name} />
          <span className="grow name">{who.user.name}</span>
          <Link href="/account" className="icon-button" aria-label="Account and settings" title="Account and settings" onClick={onNavigate}>
            <IconSettings size={16} stroke={1.75} />
          </Link>
        </div>
      )}
    </nav>
  );
}

interface EntryProps {
  host: Host;
  trail: Float32Array;
  now: number;
  isHere: boolean;
  onNavigate: () => void;
}

function Entry({ host, trail, now, isHere, onNavigate }: EntryProps) {
  const status = statusOf(host.status, host.summary.at ?? host.lastSampleAt, now, 'fleet');
  return (
    <Link
      href={`/hosts/${host.id}`}
      className="entry"
      aria-current={isHere ? 'page' : undefined}
      aria-label={`${host.name}, ${statusWords[status]}`}
      title={host.name}
      onClick={onNavigate}
    >
      <Glyph status={status} />
      <span className="name">{middle(host.name, 17)}</span>
      {status === 'ok' || status === 'stale' ? (
        <Spark values={trail} version={now} width={52} height={16} />
      ) : (
        <span className="since">{host.lastSampleAt === null ? '' : shortDuration(now - host.lastSampleAt)}</span>
      )}
    </Link>
  );
}
