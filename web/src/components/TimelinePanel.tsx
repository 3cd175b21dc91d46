/** The timeline: messages and events by day, new ones at the end, older ones on scrolling up. */

import { IconChevronUp, IconX } from '@tabler/icons-react';
import { Fragment, type Ref, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
import type { TimelineItem } from '../../../src/protocol/kinds.ts';
import { clockSeconds, day, dayKey } from '../lib/format.ts';
import { useStore } from '../lib/store.ts';
import { session } from '../session.ts';
import type { Conversation } from '../state/conversation.ts';
import type { View } from '../charts/view.ts';
import { Composer } from './Composer.tsx';
import { EventRow, MessageRow, UnsentRow } from './TimelineItems.tsx';
import { useResize } from './useResize.ts';

const filters = ['All', 'Messages', 'Events'] as const;
type Filter = (typeof filters)[number];

export interface TimelinePanelProps {
  conversation: Conversation;
  view: View;
  room: string;
  mayPost: boolean;
  inputRef: Ref<HTMLTextAreaElement>;
  onClose?: () => void;
  withComposer?: boolean;
}

const nearBottomPx = 40;

const matches = (item: TimelineItem, filter: Filter): boolean => filter === 'All' || (filter === 'Messages') === (item.kind === 'message');

export function TimelinePanel({ conversation, view, room, mayPost, inputRef, onClose, withComposer = true }: TimelinePanelProps) {
  const { items, older } = useStore(conversation.timeline);
  const unsent = useStore(conversation.outbox);
  const failed = useStore(conversation.failed);
  const who = useStore(session);
  const crossTime = useStore(view.crossTime);
  const windowMs = useStore(view.windowMs);
  const [filter, setFilter] = useState<Filter>('All');
  const [sheet, setSheet] = useState<'peek' | 'half' | 'full'>('peek');
  const startResize = useResize();
  const shown = useMemo(() => items.filter((item) => matches(item, filter)), [items, filter]);
  const { feed, fresh, onScroll, toBottom } = useStickToBottom(shown, unsent.length, () => void conversation.readOlder());

  const counts = {
    All: 0,
    Messages: items.filter((item) => item.kind === 'message').length,
    Events: items.filter((item) => item.kind === 'event').length,
  };
  const hover = useCallback(
    (range: { at: number; until?: number } | null) => view.cross.update((cross) => (cross && 'pinned' in cross ? cross : range)),
    [view],
  );
  const goTo = useCallback(
    (at: number, until?: number) => {
      const end = (until ?? at) + view.windowMs.get() / 4;
      if (end < view.end() - view.windowMs.get() / 2) view.pausedAt.set(end);
      view.cross.set({ at, until, pinned: true });
    },
    [view],
  );
  const tolerance = windowMs / 60;
  const isHot = (item: TimelineItem): boolean =>
    crossTime !== null && crossTime >= item.at - tolerance && crossTime <= (item.until ?? item.at) + tolerance;
  const crossBefore = crossTime === null ? -1 : shown.findIndex((item) => item.at > crossTime);
  const author = who.state === 'in' ? who.user.name : '';

  return (
    <aside className={`timeline ${sheet}`} aria-label="Timeline">
      <div className="resizer" onPointerDown={startResize} />
      <div className="head">
        <h2>Timeline</h2>
        <span className="grow" />
        <button
          type="button"
          className="icon-button sheet-handle"
          aria-label={sheet === 'full' ? 'Make the timeline small' : 'Make the timeline larger'}
          onClick={() => setSheet(sheet === 'peek' ? 'half' : sheet === 'half' ? 'full' : 'peek')}
        >
          <IconChevronUp size={16} stroke={1.75} style={{ rotate: sheet === 'full' ? '180deg' : '0deg' }} />
        </button>
        {onClose && (
          <button type="button" className="icon-button" aria-label="Hide the timeline" title="Hide the timeline" onClick={onClose}>
            <IconX size={16} stroke={1.75} />
          </button>
        )}
      </div>
      <div className="chips" role="group" aria-label="What the timeline shows">
        {filters.map((name) => (
          <button
            type="button"
            key={name}
            className={name === filter ? 'chip on' : 'chip'}
            aria-pressed={name === filter}
            onClick={() => setFilter(name)}
          >
            {name}
            {name !== 'All' && <i>{counts[name]}</i>}
          </button>
        ))}
      </div>
      <div className="feed" ref={feed} onScroll={onScroll} role="log" aria-label="Messages and events" tabIndex={0}>
        {failed && <p className="empty-feed">{failed}</p>}
        {!failed && older === null && shown.length === 0 && unsent.length === 0 && (
          <p className="empty-feed">Nothing here yet. What you write stands beside the charts.</p>
        )}
        {shown.map((item, index) => (
          <Fragment key={item.id}>
            {(index === 0 || dayKey(shown[index - 1]!.at) !== dayKey(item.at)) && <div className="separator">{day(item.at)}</div>}
            {index === crossBefore && <CrossLine at={crossTime!} />}
            {item.kind === 'message' ? (
              <MessageRow message={item} hot={isHot(item)} onHover={hover} onGoTo={goTo} />
            ) : (
              <EventRow event={item} hot={isHot(item)} onHover={hover} />
            )}
          </Fragment>
        ))}
        {crossTime !== null && crossBefore < 0 && shown.length > 0 && <CrossLine at={crossTime} />}
        {unsent.map((item) => (
          <UnsentRow
            key={item.key}
            item={item}
            author={author}
            onRetry={() => conversation.outbox.retry(item.key)}
            onDiscard={() => conversation.outbox.discard(item.key)}
          />
        ))}
      </div>
      {fresh > 0 && (
        <button type="button" className="fresh" onClick={toBottom}>
          {fresh} new
        </button>
      )}
      {mayPost && withComposer && <Composer conversation={conversation} view={view} room={room} inputRef={inputRef} onSent={toBottom} />}
    </aside>
  );
}

const CrossLine = ({ at }: { at: number }) => (
  <div className="now-line">
    <span>{clockSeconds(at)}</span>
  </div>
);

/** Keeps to the newest item if the reader was there; otherwise counts what came. Keeps the place when older ones are put before. */
function useStickToBottom(items: readonly TimelineItem[], unsent: number, readOlder: () => void) {
  const feed = useRef<HTMLDivElement>(null);
  const atBottom = useRef(true);
  const before = useRef({ height: 0, first: '', last: '' });
  const [fresh, setFresh] = useState(0);
  const toBottom = useCallback(() => {
    atBottom.current = true;
    setFresh(0);
    requestAnimationFrame(() => feed.current?.scrollTo({ top: feed.current.scrollHeight }));
  }, []);
  useLayoutEffect(() => {
    const node = feed.current;
    if (!node) return;
    const first = items[0]?.id ?? '';
    const last = items.at(-1)?.id ?? '';
    const known = before.current;
    if (atBottom.current) node.scrollTop = node.scrollHeight;
    else if (first !== known.first && known.first !== '') node.scrollTop += node.scrollHeight - known.height;
    if (!atBottom.current && last !== known.last) {
      const place = items.findIndex((item) => item.id === known.last);
      setFresh((count) => count + (place < 0 ? 1 : items.length - 1 - place));
    }
    before.current = { height: node.scrollHeight, first, last };
  }, [items, unsent]);
  useEffect(() => {
    const node = feed.current;
    if (!node) return;
    const observer = new ResizeObserver(() => {
      if (atBottom.current) node.scrollTop = node.scrollHeight;
    });
    observer.observe(node);
    return () => observer.disconnect();
  }, []);
  const onScroll = (): void => {
    const node = feed.current;
    if (!node) return;
    atBottom.current = node.scrollHeight - node.scrollTop - node.clientHeight < nearBottomPx;
    if (atBottom.current) setFresh(0);
    if (node.scrollTop < 80 && node.scrollHeight > node.clientHeight) readOlder();
  };
  return { feed, fresh, onScroll, toBottom };
}
