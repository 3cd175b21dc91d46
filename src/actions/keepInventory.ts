/** Keeps what an agent tells of its machine, noticing a reboot by it. */

import { saveInventory } from '../data/presence.ts';
import type { Sql } from '../db/database.ts';
import { Refusal } from '../hub/refusal.ts';
import { checkInventory } from '../protocol/checks.ts';
import { errors } from '../protocol/codes.ts';
import type { AgentSession } from './agentSession.ts';
import type { EventDraft } from './postEvent.ts';

/** Boot times of one boot differ by the error of the agent's clock. */
const sameBootMs = 60_000;

export interface InventoryParts {
  sql: Sql;
  event(draft: EventDraft): Promise<unknown>;
}

/** Rpc `inventory`. Throws a Refusal where the data is not valid. */
export async function keepInventory({ sql, event }: InventoryParts, session: AgentSession, data: unknown): Promise<void> {
  const { ok: inventory, fault } = checkInventory(data);
  if (!inventory) throw new Refusal(errors.badRequest, fault);
  const before = await saveInventory(sql, session.host, inventory);
  if (before === undefined || inventory.bootedAt - before < sameBootMs) return;
  await event({ room: session.host, what: 'host_booted', at: inventory.bootedAt, details: { kernel: inventory.kernel } });
}
