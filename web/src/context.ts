/** What the pages of a signed-in person share. */

import { createContext, useContext, useEffect, useState } from 'react';
import type { HostList } from './state/hosts.ts';
import type { Live } from './live.ts';

export interface Shared {
  live: Live;
  hosts: HostList;
}

export const SharedContext = createContext<Shared | null>(null);

export function useShared(): Shared {
  const shared = useContext(SharedContext);
  if (!shared) throw new Error('This component stands outside the signed-in part of the page.');
  return shared;
}

/** Hub time, renewed every `everyMs` while the page is visible. */
export function useNow(everyMs: number): number {
  const { live } = useShared();
  const [now, setNow] = useState(() => live.now());
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) setNow(live.now());
    }, everyMs);
    return () => clearInterval(timer);
  }, [live, everyMs]);
  return now;
}

/** True while a media query holds. */
export function useMedia(query: string): boolean {
  const [holds, setHolds] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const changed = (): void => setHolds(media.matches);
    changed();
    media.addEventListener('change', changed);
    return () => media.removeEventListener('change', changed);
  }, [query]);
  return holds;
}
