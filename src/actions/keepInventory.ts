/** Keeps what an agent tells of its machine, noticing a reboot by it. */

import { saveInventory } from '../data/presence.ts';
import type { Sql } from '../db/database.ts';
import { Refusal } from '../hub/refusal.ts';
import { checkInventory, limits } from '../protocol/checks.ts';
import { errors } from '../protocol/codes.ts';
import { inTurn } from './agentSession.ts';
import type { AgentSession } from './agentSession.ts';
import type { EventDraft } from './postEvent.ts';

/** An inventory counts as this many publications that wait, so that at most ten of one agent are under way. */
const turns = 200;
/** Boot times of one boot differ by the error of the agent's clock. */
const sameBootMs = 60_000;

export interface InventoryParts {
  sql: Sql;
  event(draft: EventDraft): Promise<unknown>;
  /** The host's inventory is another one now. */
  changed(host: string): void;
}

/** Rpc `inventory`. Throws a Refusal where the data is not valid. */
export async function keepInventory({ sql, event, changed }: InventoryParts, session: AgentSession, data: unknown): Promise<void> {
  const { ok: inventory, fault } = checkInventory(data);
  if (!inventory) throw new Refusal(errors.badRequest, fault);
  // Every list of hosts carries it.
  if (JSON.stringify(inventory).length > limits.inventoryChars)
    throw new Refusal(errors.limitExceeded, `inventory: more than ${limits.inventoryChars / 1024} KiB; send fewer disks`);
  const before = await inTurn(session, turns, () => saveInventory(sql, session.host, inventory));
  changed(session.host);
  if (before === undefined || inventory.bootedAt - before < sameBootMs) return;
  await event({ room: session.host, what: 'host_booted', at: inventory.bootedAt, details: { kernel: inventory.kernel } });
}
