/** Keeps what an agent tells of its machine, noticing a reboot by it. */

import { saveInventories, type InventoryKept, type Told } from '../data/presence.ts';
import type { Sql } from '../db/database.ts';
import { Refusal } from '../hub/refusal.ts';
import { Gather } from '../lib/gather.ts';
import { checkInventory, limits } from '../protocol/checks.ts';
import { errors } from '../protocol/codes.ts';
import { inTurn } from './agentSession.ts';
import type { AgentSession } from './agentSession.ts';
import type { EventDraft } from './postEvent.ts';

/** An inventory counts as this many publications that wait, so that at most ten of one agent are under way. */
const turns = 200;
/** Boot times of one boot differ by the error of the agent's clock. */
const sameBootMs = 60_000;

/** Agents tell their inventory at each connect: what comes within so long is kept by one statement … */
const gatherMs = 50;
/** … of so many, which are a few MiB. */
const maxTogether = 100;

export interface InventoryParts {
  /** Undefined for a host that is gone. */
  save(told: Told): Promise<InventoryKept | undefined>;
  event(draft: EventDraft): Promise<unknown>;
  /** The host's inventory is another one now. */
  changed(host: string): void;
}

export function gatherInventories(sql: Sql): InventoryParts['save'] {
  const gather = new Gather<Told, InventoryKept | undefined>({
    ask: (told) => saveInventories(sql, told),
    about: ({ host }) => host,
    gatherMs,
    maxTogether,
  });
  return (told) => gather.ask(told);
}

/** Rpc `inventory`. Throws a Refusal where the data is not valid. */
export async function keepInventory({ save, event, changed }: InventoryParts, session: AgentSession, data: unknown): Promise<void> {
  const { ok: inventory, fault } = checkInventory(data);
  if (!inventory) throw new Refusal(errors.badRequest, fault);
  // Every list of hosts carries it.
  if (JSON.stringify(inventory).length > limits.inventoryChars)
    throw new Refusal(errors.limitExceeded, `inventory: more than ${limits.inventoryChars / 1024} KiB; send fewer disks`);
  const kept = await inTurn(session, turns, () => save({ host: session.host, inventory }));
  if (!kept?.isOther) return;
  changed(session.host);
  if (kept.bootedAt === null || inventory.bootedAt - kept.bootedAt < sameBootMs) return;
  await event({ room: session.host, what: 'host_booted', at: inventory.bootedAt, details: { kernel: inventory.kernel } });
}
