/** What operators do with tokens by which many hosts of a group enrol. */

import { newOpaqueToken } from '../auth/opaqueToken.ts';
import { may } from '../auth/permissions.ts';
import { deleteOldEnrolments, endGroupEnrolment, insertEnrolment, listGroupEnrolments } from '../data/enrolments.ts';
import { roleInGroup, type Asker } from '../data/groups.ts';
import type { Pool } from '../db/database.ts';
import { AppError } from '../errors.ts';
import type { Clock } from '../lib/clock.ts';
import type { GroupToken, NewGroupToken } from '../protocol/restEnrolment.ts';

export interface GroupTokenNeeds {
  sql: Pool;
  clock: Clock;
}

const maxLifetimeMs = 366 * 86_400_000;
/** Who has more than these at once has lost track of them anyway. */
const maxListed = 200;

/** Refuses an end that is past or more than a year away. Each use makes a host. */
export async function makeGroupToken(
  { sql, clock }: GroupTokenNeeds,
  asker: Asker,
  group: string,
  { uses, expiresAt }: NewGroupToken,
): Promise<{ id: string; token: string; uses: number; expiresAt: number }> {
  await admit(sql, asker, group);
  const lifetimeMs = expiresAt - clock.now();
  if (lifetimeMs <= 0 || lifetimeMs > maxLifetimeMs)
    throw new AppError('invalid', 'expiresAt: give a time in ms since 1970 that is ahead, by at most a year.');
  const { token, hash } = newOpaqueToken();
  await deleteOldEnrolments(sql);
  const kept = { tokenHash: hash, group, host: null, uses, lifetimeS: lifetimeMs / 1_000, createdBy: asker.id };
  return { id: hash.toString('hex'), token, uses, expiresAt: await insertEnrolment(sql, kept) };
}

/** Those that still work. */
export async function listGroupTokens({ sql }: GroupTokenNeeds, asker: Asker, group: string): Promise<GroupToken[]> {
  await admit(sql, asker, group);
  const rows = await listGroupEnrolments(sql, group, maxListed);
  return rows.map(({ tokenHash, ...row }) => ({ id: tokenHash.toString('hex'), ...row }));
}

export async function endGroupToken({ sql }: GroupTokenNeeds, asker: Asker, group: string, id: string): Promise<void> {
  await admit(sql, asker, group);
  if (!(await endGroupEnrolment(sql, group, Buffer.from(id, 'hex'))))
    throw new AppError('not_found', 'There is no such token that still works.');
}

async function admit(sql: Pool, asker: Asker, group: string): Promise<void> {
  const role = await roleInGroup(sql, asker, group);
  if (!may('group.read', role)) throw new AppError('not_found', 'There is no such group, or you may not see it.');
  if (!may('host.enrol', role)) throw new AppError('forbidden', `Your role in this group is ${role}; its tokens need operator.`);
}
