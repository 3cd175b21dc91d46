/** A room on a phone: charts, timeline and facts as three tabs. */

import { IconActivity, IconChevronLeft, IconInfoCircle, IconMessage } from '@tabler/icons-react';
import { type PointerEvent, useEffect, useRef, useState } from 'react';
import { Link, useLocation } from 'wouter';
import { Strips } from '../charts/Strips.tsx';
import { AgentFacts } from '../components/AgentFacts.tsx';
import { Composer } from '../components/Composer.tsx';
import { HostMenu, machineOf, noConnection, People, statusText, useRoomStatus } from '../components/RoomHeader.tsx';
import { Glyph } from '../components/parts.tsx';
import { FileSystems, ProcessTable, TopProcesses } from '../components/Tables.tsx';
import { TimelinePanel } from '../components/TimelinePanel.tsx';
import { Toolbar } from '../components/Toolbar.tsx';
import { useShared } from '../context.ts';
import { age, binary, duration, nn, percent } from '../lib/format.ts';
import { useStore } from '../lib/store.ts';
import type { HostRoom } from '../state/hostRoom.ts';
import { NoSample } from './NoSample.tsx';
import type { RoomViewProps } from './roomView.ts';

const tabs = [
  { key: 'live', title: 'Live', icon: <IconActivity size={20} stroke={1.75} /> },
  { key: 'timeline', title: 'Timeline', icon: <IconMessage size={20} stroke={1.75} /> },
  { key: 'info', title: 'Info', icon: <IconInfoCircle size={20} stroke={1.75} /> },
] as const;
type Tab = (typeof tabs)[number]['key'];

const swipePx = 80;

export function PhoneRoom(props: RoomViewProps) {
  const { parts, name, items, hasSample, mayManage, mayPost, onDialog, onWindow, inputRef, onPick } = props;
  const { live } = useShared();
  const { room, view, conversation } = parts;
  const [tab, setTab] = useState<Tab>('live');
  const [seen, setSeen] = useState(items.length);
  useEffect(() => {
    if (tab === 'timeline') setSeen(items.length);
  }, [tab, items.length]);
  // The first page is not news.
  const opened = useRef(false);
  useEffect(() => {
    if (opened.current || items.length === 0) return;
    opened.current = true;
    setSeen(items.length);
  }, [items.length]);
  const fresh = Math.max(0, items.length - seen);
  const swipe = useSwipe(room.hostId);
  return (
    <div className="phone-room">
      <header className="phone-head" {...swipe}>
        <Link href="/" className="icon-button" aria-label="To the fleet">
          <IconChevronLeft size={22} stroke={1.75} />
        </Link>
        <div className="grow">
          <h1>{name}</h1>
          <SampleAge room={room} />
        </div>
        <HostMenu mayManage={mayManage} onOpen={onDialog} />
      </header>
      {tab === 'live' && (
        <>
          <Toolbar view={view} resolution={room.resolution} onWindow={onWindow} withRange={false} />
          {hasSample ? (
            <Strips room={room} view={view} items={items} now={live.now} onPick={onPick} compact>
              <TopProcesses room={room} view={view} />
            </Strips>
          ) : (
            <NoSample parts={parts} onInstall={mayManage ? () => onDialog('install') : undefined} />
          )}
          {mayPost && (
            <Composer conversation={conversation} view={view} room={name} inputRef={inputRef} onSent={() => setTab('timeline')} />
          )}
        </>
      )}
      {tab === 'timeline' && <TimelinePanel conversation={conversation} view={view} room={name} mayPost={mayPost} inputRef={inputRef} />}
      {tab === 'info' && <Info {...props} />}
      <div className="phone-tabs" role="tablist">
        {tabs.map(({ key, title, icon }) => (
          <button type="button" role="tab" key={key} aria-selected={tab === key} onClick={() => setTab(key)}>
            {icon}
            <span>{title}</span>
            {key === 'timeline' && tab !== 'timeline' && fresh > 0 && <em>{fresh}</em>}
          </button>
        ))}
      </div>
    </div>
  );
}

/** Changes five times a second, which the rest of the page does not. */
function SampleAge({ room }: { room: HostRoom }) {
  const { status, newest, now, isConnected } = useRoomStatus(room);
  const live = status === 'ok' && newest !== null ? `sample ${age(now - newest)} ago` : statusText(status, newest, now);
  return (
    <div className="state">
      <Glyph status={status} size={9} />
      {status === 'ok' || isConnected ? live : noConnection}
    </div>
  );
}

function Info({ parts, group }: RoomViewProps) {
  const { live } = useShared();
  const { room, view } = parts;
  const state = useStore(room.state);
  const members = useStore(room.members);
  const roundTrip = useStore(live.roundTripMs);
  const inventory = state?.inventory;
  const latest = room.samples.latest?.metrics;
  const facts: [string, string][] = [
    ['Group', group],
    ...(inventory
      ? ([
          ['System', [inventory.os, inventory.kernel].filter(Boolean).join(' · ')],
          ['Machine', machineOf(inventory)],
          ['Host name', inventory.hostname],
        ] as [string, string][])
      : []),
    ...(latest?.['uptime'] !== undefined ? ([['Up', duration(latest['uptime'] * 1000)]] as [string, string][]) : []),
    ...(latest?.['agent.cpu'] !== undefined
      ? ([
          [
            'Agent',
            `${percent(latest['agent.cpu'])} · ${binary(latest['agent.memory'] ?? 0)}${inventory ? ` · ${inventory.agentVersion}` : ''}`,
          ],
        ] as [string, string][])
      : []),
    ...(roundTrip === null ? [] : ([['Round trip', `${Math.max(1, Math.round(roundTrip))}${nn}ms`]] as [string, string][])),
  ];
  return (
    <div className="phone-info">
      <section className="section">
        <dl className="info-list">
          {facts.map(([term, text]) => (
            <div key={term} style={{ display: 'contents' }}>
              <dt>{term}</dt>
              <dd>{text}</dd>
            </div>
          ))}
          <dt>Here now</dt>
          <dd>
            <People members={members} />
          </dd>
        </dl>
      </section>
      <FileSystems room={room} view={view} />
      <AgentFacts room={room} />
      <ProcessTable room={room} view={view} />
    </div>
  );
}

/** Swiping the head sideways goes to the host before or after. */
function useSwipe(hostId: string) {
  const { hosts } = useShared();
  const [, navigate] = useLocation();
  const from = useRef<number | null>(null);
  return {
    onPointerDown: (event: PointerEvent) => {
      from.current = event.clientX;
    },
    onPointerUp: (event: PointerEvent) => {
      const moved = from.current === null ? 0 : event.clientX - from.current;
      from.current = null;
      if (Math.abs(moved) < swipePx) return;
      const all = hosts.get().hosts;
      const next = all[all.findIndex((host) => host.id === hostId) + (moved < 0 ? 1 : -1)];
      if (next) navigate(`/hosts/${next.id}`);
    },
  };
}
