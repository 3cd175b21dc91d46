/** Chooses which clients go first when connections have to be closed. */

import { sessionOf } from '../actions/agentSession.ts';
import type { Client } from '../hub/client.ts';

/** Nothing of the agent's is on its way to a commit. */
export const isIdle = (client: Client): boolean => (sessionOf(client)?.waiting ?? 0) === 0;

/** The same on every connection of one person or agent. */
export const ownerOf = ({ id, identity }: Client): string =>
  identity.kind === 'agent' ? `agent:${identity.user}` : `user:${identity.session ?? (identity.user || id)}`;

/** Up to `count` of `items`, each as likely as any other. */
export function sample<T>(items: Iterable<T>, count: number, random: () => number = Math.random): T[] {
  const chosen: T[] = [];
  let seen = 0;
  for (const item of items) {
    seen++;
    if (chosen.length < count) chosen.push(item);
    else {
      const at = Math.floor(random() * seen);
      if (at < count) chosen[at] = item;
    }
  }
  return chosen;
}
