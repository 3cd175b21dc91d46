/** Messages and events as they stand in the timeline. */

import { IconChartLine, IconClock } from '@tabler/icons-react';
import { lazy, memo, Suspense } from 'react';
import type { Event, Message } from '../../../src/protocol/kinds.ts';
import { clock, clockSeconds, stamp } from '../lib/format.ts';
import type { Unsent } from '../state/timeline.ts';
import { itemIcon } from '../charts/Lane.tsx';
import { noteOf, wordsOf } from './eventWords.ts';
import { Avatar } from './parts.tsx';

const MarkdownText = lazy(() => import('./MarkdownText.tsx'));

/** Most messages are plain words and need no parser. */
const mayBeMarkdown = /[*_`~#>[\]|\\<&]|^\s*(-|\+|\d+[.)])\s|https?:|\n\s*\n|^ {4}/mu;

function Text({ text }: { text: string }) {
  if (!mayBeMarkdown.test(text)) return <div className="text plain">{text}</div>;
  return (
    <Suspense fallback={<div className="text plain">{text}</div>}>
      <div className="text">
        <MarkdownText text={text} />
      </div>
    </Suspense>
  );
}

export interface PickProps {
  onHover: (range: { at: number; until?: number } | null) => void;
  onGoTo: (at: number, until?: number) => void;
}

export const MessageRow = memo(function MessageRow({ message, hot, onHover, onGoTo }: { message: Message; hot: boolean } & PickProps) {
  const { author, text, at, until, createdAt, deletedAt, editedAt } = message;
  const isElsewhere = Math.abs(createdAt - at) > 60_000;
  return (
    <div
      className={hot ? 'item hot' : 'item'}
      id={`item-${message.id}`}
      onPointerEnter={(event) => event.pointerType === 'mouse' && onHover({ at, until })}
      onPointerLeave={(event) => event.pointerType === 'mouse' && onHover(null)}
    >
      <time dateTime={new Date(at).toISOString()} title={stamp(at)}>
        {clock(at)}
      </time>
      <div className="message">
        <Avatar name={author?.name ?? '?'} small />
        <div>
          <div className="who">
            <b>{author?.name ?? 'someone who left'}</b>
            {isElsewhere && <span title={stamp(createdAt)}>{`posted ${clock(createdAt)}`}</span>}
            {editedAt !== undefined && deletedAt === undefined && <span title={stamp(editedAt)}>edited</span>}
          </div>
          {deletedAt === undefined ? <Text text={text} /> : <div className="quiet">removed</div>}
          {(until !== undefined || isElsewhere) && (
            <button type="button" className="range-link" onClick={() => onGoTo(at, until)}>
              <IconChartLine size={13} stroke={1.75} />
              {until === undefined ? clockSeconds(at) : `${clockSeconds(at)} – ${clockSeconds(until)}`}
            </button>
          )}
        </div>
      </div>
    </div>
  );
});

export const EventRow = memo(function EventRow({ event, hot, onHover }: { event: Event; hot: boolean } & Pick<PickProps, 'onHover'>) {
  const [title, rest] = wordsOf(event);
  const { at, until } = event;
  return (
    <div
      className={hot ? 'item hot' : 'item'}
      id={`item-${event.id}`}
      onPointerEnter={(pointer) => pointer.pointerType === 'mouse' && onHover({ at, until })}
      onPointerLeave={(pointer) => pointer.pointerType === 'mouse' && onHover(null)}
    >
      <time dateTime={new Date(at).toISOString()} title={stamp(at)}>
        {clock(at)}
      </time>
      <div className="event">
        {itemIcon(event, 14)}
        <span>
          <b>{title}</b> {rest}
          {noteOf(event).map((line) => (
            <small key={line}>{line}</small>
          ))}
        </span>
      </div>
    </div>
  );
});

export function UnsentRow({
  item,
  author,
  onRetry,
  onDiscard,
}: {
  item: Unsent;
  author: string;
  onRetry: () => void;
  onDiscard: () => void;
}) {
  return (
    <div className="item unsent">
      <time>{clock(item.at ?? item.writtenAt)}</time>
      <div className="message">
        <Avatar name={author} small />
        <div>
          <div className="who">
            <b>{author}</b>
          </div>
          <div className="text plain">{item.text}</div>
          <div className="unsent-note">
            {item.state === 'waiting' ? (
              <>
                <IconClock size={13} stroke={1.75} /> not yet at the hub
              </>
            ) : (
              <>
                {item.reason}
                <button type="button" onClick={onRetry}>
                  Retry
                </button>
                <button type="button" className="calm" onClick={onDiscard}>
                  Discard
                </button>
              </>
            )}
          </div>
        </div>
      </div>
    </div>
  );
}
