/** A host's room: charts with the conversation beside them. */

import { memo, useCallback, useEffect, useRef, useState } from 'react';
import { useLocation, useSearch } from 'wouter';
import type { TimelineItem } from '../../../src/protocol/kinds.ts';
import { Strips } from '../charts/Strips.tsx';
import { AgentFacts } from '../components/AgentFacts.tsx';
import { type HostDialog, HostDialogs } from '../components/HostDialogs.tsx';
import { Facts, RoomHeader } from '../components/RoomHeader.tsx';
import { FileSystems, ProcessTable } from '../components/Tables.tsx';
import { TimelinePanel } from '../components/TimelinePanel.tsx';
import { Toolbar } from '../components/Toolbar.tsx';
import { useKeys } from '../components/useKeys.ts';
import { useMedia, useShared } from '../context.ts';
import { useStore } from '../lib/store.ts';
import { session } from '../session.ts';
import { NoSample } from './NoSample.tsx';
import { NotFound } from './NotFound.tsx';
import { PhoneRoom } from './PhoneRoom.tsx';
import type { RoomViewProps } from './roomView.ts';
import { rememberWindow, type RoomParts, useRoom, wantedWindow } from './useRoom.ts';

const timelineKey = 'hostroom.timeline.hidden';

export function Room({ hostId }: { hostId: string }) {
  const windowKey = new URLSearchParams(useSearch()).get('window');
  const parts = useRoom(hostId, windowKey);
  if (!parts) return <div className="page" />;
  return <OpenRoom hostId={hostId} windowKey={windowKey} parts={parts} />;
}

function OpenRoom({ hostId, windowKey, parts }: { hostId: string; windowKey: string | null; parts: RoomParts }) {
  const { hosts } = useShared();
  const { room, conversation, view } = parts;
  const { hosts: all, ready } = useStore(hosts);
  const state = useStore(room.state);
  const ended = useStore(room.ended);
  const who = useStore(session);
  const { items } = useStore(conversation.timeline);
  const [dialog, setDialog] = useState<HostDialog | null>(null);
  const [, navigate] = useLocation();
  const isPhone = useMedia('(max-width: 767px)');
  const isSettled = useStore(parts.settled);
  const hasSample = useHasSample(parts) && isSettled;
  const input = useRef<HTMLTextAreaElement>(null);

  useEffect(() => {
    const wanted = wantedWindow(windowKey);
    if (wanted === undefined) return;
    view.windowMs.set(wanted);
    room.need(wanted);
  }, [windowKey, view, room]);
  const host = all.find((one) => one.id === hostId);
  const name = host?.name ?? state?.name ?? '';
  useEffect(() => {
    if (name) document.title = `${name} · hostroom`;
    return () => {
      document.title = 'hostroom';
    };
  }, [name]);

  const setWindow = useCallback(
    (key: string): void => {
      rememberWindow(key);
      navigate(`/hosts/${hostId}?window=${key}`, { replace: true });
    },
    [hostId, navigate],
  );
  const pick = useCallback(
    (item: TimelineItem): void => {
      view.cross.set({
        at: item.kind === 'event' ? (item.until ?? item.at) : item.at,
        until: item.kind === 'message' ? item.until : undefined,
        pinned: true,
      });
      document.getElementById(`item-${item.id}`)?.scrollIntoView({ block: 'nearest' });
    },
    [view],
  );
  useKeys({
    l: () => {
      view.pausedAt.set(null);
      view.cross.set(null);
    },
    ' ': () => view.togglePause(),
    n: () => {
      const at = view.crossTime.get();
      if (at !== null) view.cross.set({ at, pinned: true });
      input.current?.focus();
    },
    Escape: () => view.cross.set(null),
  });

  if ((ended !== null && ready && !host) || (ready && !host && state === null && ended !== null))
    return <NotFound what="There is no such host. It may have been removed, or it is not shared with you." />;
  const role = host?.role ?? (who.state === 'in' && who.user.admin ? 'owner' : 'viewer');
  const props: RoomViewProps = {
    parts,
    name,
    group: host?.group.name ?? '',
    items,
    hasSample,
    mayManage: role === 'operator' || role === 'owner',
    mayPost: role !== 'viewer',
    onDialog: setDialog,
    onWindow: setWindow,
    inputRef: input,
    onPick: pick,
  };
  return (
    <>
      {isPhone ? <SteadyPhoneRoom {...props} /> : <SteadyWideRoom {...props} />}
      <HostDialogs
        open={dialog}
        host={{ id: hostId, name }}
        onClose={() => setDialog(null)}
        onDeleted={() => {
          setDialog(null);
          navigate('/', { replace: true });
        }}
      />
    </>
  );
}

/** The list of hosts changes every second; what a room shows of it hardly ever. */
const SteadyWideRoom = memo(WideRoom);
const SteadyPhoneRoom = memo(PhoneRoom);

/** Turns true with the first sample, whether stored or live. */
function useHasSample({ room }: RoomParts): boolean {
  const [has, setHas] = useState(room.samples.length > 0);
  useEffect(() => {
    const check = (): void => setHas(room.samples.length > 0);
    check();
    return room.samples.follow(check);
  }, [room]);
  return has;
}

function WideRoom({ parts, name, group, items, hasSample, mayManage, mayPost, onDialog, onWindow, inputRef, onPick }: RoomViewProps) {
  const { live } = useShared();
  const { room, view, conversation } = parts;
  const isSheet = useMedia('(max-width: 1199px)');
  const [hidden, setHidden] = useState(() => localStorage.getItem(timelineKey) === 'yes');
  const show = (shown: boolean): void => {
    localStorage.setItem(timelineKey, shown ? 'no' : 'yes');
    setHidden(!shown);
  };
  const isHidden = hidden && !isSheet;
  return (
    <div className={isHidden ? 'room wide' : 'room'}>
      <div className="centre">
        <RoomHeader
          room={room}
          name={name}
          group={group}
          mayManage={mayManage}
          onOpen={onDialog}
          onTimeline={isHidden ? () => show(true) : undefined}
        />
        <Facts room={room} />
        <Toolbar view={view} resolution={room.resolution} onWindow={onWindow} withRange />
        {hasSample ? (
          <Strips room={room} view={view} items={items} now={live.now} onPick={onPick} compact={false}>
            <div className="tables">
              <div>
                <FileSystems room={room} view={view} />
                <AgentFacts room={room} />
              </div>
              <ProcessTable room={room} view={view} />
            </div>
          </Strips>
        ) : (
          <NoSample parts={parts} onInstall={mayManage ? () => onDialog('install') : undefined} />
        )}
      </div>
      {!isHidden && (
        <TimelinePanel
          conversation={conversation}
          view={view}
          room={name}
          mayPost={mayPost}
          inputRef={inputRef}
          onClose={isSheet ? undefined : () => show(false)}
        />
      )}
    </div>
  );
}
