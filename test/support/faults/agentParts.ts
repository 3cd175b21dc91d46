/** What a load agent is made of: the parts of the present agent, or those of another version. */

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { HubClock } from '../../../agent/clock.ts';
import { newBoot } from '../../../agent/identity.ts';
import { Link } from '../../../agent/link.ts';
import { createLog } from '../../../agent/log.ts';
import { every } from '../../../agent/schedule.ts';
import { Spool } from '../../../agent/spool.ts';
import { Journal } from '../../../agent/spool/journal.ts';

export interface AgentParts {
  HubClock: typeof HubClock;
  newBoot: typeof newBoot;
  Link: typeof Link;
  createLog: typeof createLog;
  every: typeof every;
  Spool: typeof Spool;
  Journal: typeof Journal;
}

export const presentParts: AgentParts = { HubClock, newBoot, Link, createLog, every, Spool, Journal };

const files: Record<keyof AgentParts, string> = {
  HubClock: 'clock.ts',
  newBoot: 'identity.ts',
  Link: 'link.ts',
  createLog: 'log.ts',
  every: 'schedule.ts',
  Spool: 'spool.ts',
  Journal: 'spool/journal.ts',
};

/** Those of another checkout. Throws where they are in other files or under other names by now. */
export async function partsOf(root: string): Promise<AgentParts> {
  const found = Object.entries(files).map(async ([name, file]) => {
    const module = (await import(/* @vite-ignore */ pathToFileURL(join(root, 'agent', file)).href)) as Record<string, unknown>;
    if (typeof module[name] !== 'function') throw new Error(`${root} has no ${name} in agent/${file}`);
    return [name, module[name]];
  });
  return Object.fromEntries(await Promise.all(found)) as AgentParts;
}
