/** Where a message is written, with the time it will speak of. */

import { IconArrowUp, IconClock, IconX } from '@tabler/icons-react';
import { type KeyboardEvent, type Ref, useState } from 'react';
import { clockSeconds } from '../lib/format.ts';
import { useStore } from '../lib/store.ts';
import type { Conversation } from '../state/conversation.ts';
import type { View } from '../charts/view.ts';
import { toast } from './Toasts.tsx';

const maxLength = 16_000;

export interface ComposerProps {
  conversation: Conversation;
  view: View;
  /** Whom the words go to. */
  room: string;
  inputRef: Ref<HTMLTextAreaElement>;
  onSent: () => void;
}

export function Composer({ conversation, view, room, inputRef, onSent }: ComposerProps) {
  const [text, setText] = useState('');
  const cross = useStore(view.cross);
  // Only a crosshair that was put somewhere on purpose; one that follows the pointer would change the time while typing.
  const at = cross && 'pinned' in cross ? cross.at : undefined;
  const isReady = text.trim() !== '';
  const send = (): void => {
    if (!isReady) return;
    if (!conversation.outbox.post(text.trim(), at)) {
      toast('Fifty messages are waiting for the hub already. Wait until they are sent.');
      return;
    }
    setText('');
    if (at !== undefined) view.cross.set(null);
    onSent();
  };
  const pressed = (event: KeyboardEvent): void => {
    if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault();
      send();
    }
    if (event.key === 'Escape' && event.target instanceof HTMLElement) event.target.blur();
  };
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <textarea
        ref={inputRef}
        rows={1}
        aria-label={`Message to ${room}`}
        placeholder={at === undefined ? `Message ${room}` : 'Note at this moment'}
        maxLength={maxLength}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={pressed}
      />
      <div className="composer-row">
        {at === undefined ? (
          <span className="time-pill" title="The time this message speaks of. Click into the charts to choose another.">
            <IconClock size={13} stroke={1.75} />
            now
          </span>
        ) : (
          <button
            type="button"
            className="time-pill set"
            aria-label={`Speaks of ${clockSeconds(at)}. Back to now`}
            title="Back to now"
            onClick={() => view.cross.set(null)}
          >
            <IconClock size={13} stroke={1.75} />
            {clockSeconds(at)}
            <IconX size={12} stroke={1.75} />
          </button>
        )}
        <button type="submit" className={isReady ? 'send ready' : 'send'} aria-label="Send" disabled={!isReady}>
          <IconArrowUp size={16} stroke={1.75} />
        </button>
      </div>
    </form>
  );
}
