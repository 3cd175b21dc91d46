/** The head of a room: name, status, who is here, the facts of the machine. */

import { Menu } from '@mantine/core';
import { IconDots, IconMessage2, IconPencil, IconTerminal2, IconTrash } from '@tabler/icons-react';
import type { Inventory } from '../../../src/protocol/kinds.ts';
import { useNow, useShared } from '../context.ts';
import { age, binary, clockSeconds, day, duration, nn, percent, stamp } from '../lib/format.ts';
import { useStore } from '../lib/store.ts';
import { usuallyWaiting } from '../state/bufferFacts.ts';
import type { HostRoom, Member } from '../state/hostRoom.ts';
import { type Status, statusOf } from '../state/status.ts';
import type { HostDialog } from './HostDialogs.tsx';
import { Avatar, Glyph } from './parts.tsx';
import { RailButton } from './Shell.tsx';

/** Status by the newest sample that arrived here. */
export function useRoomStatus(room: HostRoom): { status: Status; newest: number | null; now: number; isConnected: boolean } {
  const now = useNow(200);
  const isConnected = useStore(useShared().live.connection) === 'connected';
  const state = useStore(room.state);
  const newest = room.samples.latest?.at ?? state?.sample?.at ?? null;
  return { status: statusOf(state?.status ?? 'never', newest, now, 'room'), newest, now, isConnected };
}

export const noConnection = 'No connection to the hub';

/** Nothing while all is well: grey is the colour of fine. */
export function StatusPill({ room }: { room: HostRoom }) {
  const { status, newest, now, isConnected } = useRoomStatus(room);
  const state = useStore(room.state);
  if (status === 'ok' || !state) return null;
  return (
    <span className={`pill ${status}`} role="status">
      <Glyph status={status} size={9} />
      {isConnected ? statusText(status, newest, now) : noConnection}
    </span>
  );
}

export function statusText(status: Status, newest: number | null, now: number): string {
  if (status === 'unknown' || newest === null) return 'No sample yet';
  if (status === 'stale') return `No sample for ${age(now - newest)}`;
  if (status === 'ok') return 'Live';
  const isToday = now - newest < 86_400_000;
  return `Offline since ${isToday ? clockSeconds(newest) : day(newest)}`;
}

export function People({ members }: { members: readonly Member[] }) {
  const people = members.filter((member) => member.kind === 'user');
  const shown = people.slice(0, 5);
  if (people.length === 0) return null;
  return (
    <span className="people" role="group" aria-label={`In this room: ${people.map((member) => member.name).join(', ')}`}>
      {shown.map((member) => (
        <Avatar key={member.user} name={member.name} />
      ))}
      {people.length > shown.length && <span className="avatar">+{people.length - shown.length}</span>}
    </span>
  );
}

export function HostMenu({ mayManage, onOpen }: { mayManage: boolean; onOpen: (dialog: HostDialog) => void }) {
  if (!mayManage) return null;
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <button type="button" className="icon-button" aria-label="More about this host" title="More">
          <IconDots size={17} stroke={1.75} />
        </button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item leftSection={<IconPencil size={16} stroke={1.75} />} onClick={() => onOpen('rename')}>
          Rename…
        </Menu.Item>
        <Menu.Item leftSection={<IconTerminal2 size={16} stroke={1.75} />} onClick={() => onOpen('install')}>
          Install the agent…
        </Menu.Item>
        <Menu.Item leftSection={<IconTrash size={16} stroke={1.75} />} color="var(--crit)" onClick={() => onOpen('delete')}>
          Delete…
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

export interface RoomHeaderProps {
  room: HostRoom;
  name: string;
  group: string;
  mayManage: boolean;
  onOpen: (dialog: HostDialog) => void;
  /** Absent while the timeline is open. */
  onTimeline?: () => void;
}

export function RoomHeader({ room, name, group, mayManage, onOpen, onTimeline }: RoomHeaderProps) {
  const members = useStore(room.members);
  return (
    <header className="head">
      <RailButton />
      <h1 title={name}>{name}</h1>
      <StatusPill room={room} />
      <span className="tag">{group}</span>
      <span className="grow" />
      <People members={members} />
      <HostMenu mayManage={mayManage} onOpen={onOpen} />
      {onTimeline && (
        <button type="button" className="icon-button" aria-label="Show the timeline" title="Show the timeline" onClick={onTimeline}>
          <IconMessage2 size={17} stroke={1.75} />
        </button>
      )}
    </header>
  );
}

/** `AMD EPYC 7543P 32-Core Processor` says more than there is room for. */
const shortModel = (model: string): string =>
  model
    .replace(/\((R|TM)\)|\bCPU\b|\bProcessor\b|\b\d+-Core\b|@.*$|^AMD |^Intel /gu, ' ')
    .replace(/\s+/gu, ' ')
    .trim();

/** `Debian GNU/Linux 12 · 6.1.0-27-cloud-amd64` → `Debian 12 · 6.1.0-27`. */
export const systemOf = ({ os, kernel }: Inventory): string =>
  [os.replace('GNU/Linux ', ''), kernel.split('-').slice(0, 2).join('-')].filter(Boolean).join(' · ');

export const machineOf = (inventory: Inventory): string =>
  `${shortModel(inventory.cpuModel)}, ${inventory.cores === 1 ? '1 core' : `${inventory.cores} cores`}, ${binary(inventory.memory)}`;

export function Facts({ room }: { room: HostRoom }) {
  const { live } = useShared();
  const { newest, now, status } = useRoomStatus(room);
  const state = useStore(room.state);
  const roundTrip = useStore(live.roundTripMs);
  const latest = room.samples.latest?.metrics;
  const inventory = state?.inventory;
  const spool = latest?.['agent.spool'] ?? 0;
  return (
    <div className="facts">
      {inventory && (
        <>
          <span title={`${inventory.os} · ${inventory.kernel}`}>{systemOf(inventory)}</span>
          <span className="model" title={inventory.cpuModel}>
            {machineOf(inventory)}
          </span>
        </>
      )}
      {latest?.['uptime'] !== undefined && (
        <span>
          <b>up</b>
          {duration(latest['uptime'] * 1000)}
        </span>
      )}
      <span className="right" title={newest === null ? undefined : stamp(newest)}>
        <b>sample</b>
        {newest === null ? '—' : <span data-sample-age={status}>{`${age(now - newest)} ago`}</span>}
      </span>
      {roundTrip !== null && (
        <span>
          <b>round trip</b>
          {`${Math.max(1, Math.round(roundTrip))}${nn}ms`}
        </span>
      )}
      {latest?.['agent.cpu'] !== undefined && (
        <span>
          <b>agent</b>
          {`${percent(latest['agent.cpu'])} · ${binary(latest['agent.memory'] ?? 0)}`}
        </span>
      )}
      {spool > usuallyWaiting && (
        <span>
          <b>buffered</b>
          {`${spool} samples`}
        </span>
      )}
    </div>
  );
}
