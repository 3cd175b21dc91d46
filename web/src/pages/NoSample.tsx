/** A room without any sample in its window. */

import { IconTerminal2 } from '@tabler/icons-react';
import { GhostStrips } from '../components/Waiting.tsx';
import { useStore } from '../lib/store.ts';
import type { RoomParts } from './useRoom.ts';

/** Until it is known that there is no sample, nothing is said. */
export function NoSample({ parts, onInstall }: { parts: RoomParts; onInstall?: () => void }) {
  const state = useStore(parts.room.state);
  const filling = useStore(parts.room.filling);
  if (!state || (filling && state.status !== 'never')) return <div className="grow" />;
  return (
    <div className="page">
      <div className="waiting-room">
        {state.status === 'never' || state.status === 'online' ? (
          <>
            <GhostStrips />
            {onInstall && (
              <p style={{ marginTop: 18 }}>
                <button type="button" className="button" onClick={onInstall}>
                  <IconTerminal2 size={15} stroke={1.75} />
                  Install the agent…
                </button>
              </p>
            )}
          </>
        ) : (
          <p className="quiet">No samples in this window. Choose a longer one, or start the agent on the host.</p>
        )}
      </div>
    </div>
  );
}
