/** What operators do with hosts: add, rename, delete, enrol again. */

import { newOpaqueToken } from '../auth/opaqueToken.ts';
import { may } from '../auth/permissions.ts';
import type { Action } from '../auth/permissions.ts';
import { deleteOldEnrolments, deleteUnusedEnrolments, insertEnrolment } from '../data/enrolments.ts';
import { defaultGroup, roleInGroup } from '../data/groups.ts';
import type { Asker } from '../data/groups.ts';
import { deleteHostRow, findHostFor, insertHost, insertHostRoom, renameHostRow } from '../data/hosts.ts';
import type { HostRow } from '../data/hosts.ts';
import { deleteHistory } from '../data/history.ts';
import type { Pool, Sql } from '../db/database.ts';
import { AppError } from '../errors.ts';
import { newId } from '../lib/id.ts';
import type { NewHost } from '../protocol/rest.ts';
import type { EventDraft } from './postEvent.ts';

export interface HostNeeds {
  sql: Pool;
  /** Posts into the host's conversation. */
  event(draft: EventDraft): Promise<unknown>;
}

/** A token that lets one agent in, once, until `expiresAt` (ms since 1970 UTC). */
export interface EnrolmentToken {
  token: string;
  expiresAt: number;
}

const enrolmentLifetimeS = 15 * 60;

/** Makes a host that waits for its agent, with a token that lets it in once within 15 min. */
export async function addHost(
  needs: HostNeeds,
  asker: Asker,
  { name, group }: NewHost,
): Promise<{ id: string; name: string; enrolment: EnrolmentToken }> {
  const into = group ?? (await defaultGroup(needs.sql));
  const role = into === undefined ? undefined : await roleInGroup(needs.sql, asker, into);
  if (into === undefined || role === undefined) throw new AppError('not_found', 'group: there is no such group, or you may not see it.');
  if (!may('host.add', role)) throw new AppError('forbidden', `Your role in this group is ${role}; adding hosts needs operator.`);
  const host = { id: newId(), name, group: into };
  const enrolment = await needs.sql.begin(async (sql) => {
    await insertHost(sql, host);
    await insertHostRoom(sql, host);
    return makeEnrolment(sql, { group: into, host: host.id, createdBy: asker.id });
  });
  await needs.event({ room: host.id, what: 'host_added', details: { name } });
  return { id: host.id, name, enrolment };
}

/** A fresh token for a host that is there; the agent that uses it takes the place of the one before. */
export async function enrolAgain(needs: { sql: Pool }, asker: Asker, id: string): Promise<EnrolmentToken> {
  const host = await hostFor(needs.sql, asker, id, 'host.enrol');
  return needs.sql.begin(async (sql) => {
    await deleteUnusedEnrolments(sql, id);
    return makeEnrolment(sql, { group: host.group.id, host: id, createdBy: asker.id });
  });
}

/** A token for the agent of this very machine, which makes its host when it enrols. */
export async function localEnrolment(needs: { sql: Pool }): Promise<EnrolmentToken> {
  const group = await defaultGroup(needs.sql);
  if (group === undefined) throw new AppError('conflict', 'There is no group to enrol into; the hub was not prepared.');
  return makeEnrolment(needs.sql, { group, host: null, createdBy: null });
}

export async function renameHost(needs: Pick<HostNeeds, 'sql' | 'event'>, asker: Asker, id: string, name: string): Promise<HostRow> {
  const host = await hostFor(needs.sql, asker, id, 'host.rename');
  if (host.name === name) return host;
  await renameHostRow(needs.sql, id, name);
  await needs.event({ room: id, what: 'host_renamed', details: { from: host.name, to: name } });
  return { ...host, name };
}

/** Removes the host with its conversation and history; `hostDeleted` is told in between, to close its agent. */
export async function deleteHost(needs: { sql: Sql; hostDeleted(host: HostRow): void }, asker: Asker, id: string): Promise<void> {
  const host = await hostFor(needs.sql, asker, id, 'host.delete');
  await deleteHostRow(needs.sql, id);
  needs.hostDeleted(host);
  await deleteHistory(needs.sql, id);
}

/** Refuses `not_found` for a host that the asker may not see, `forbidden` for one that they may see but not change. */
export async function hostFor(sql: Sql, asker: Asker, id: string, action: Action): Promise<HostRow> {
  const host = await findHostFor(sql, asker, id);
  if (!host || !may('host.read', host.role)) throw new AppError('not_found', 'There is no such host, or you may not see it.');
  if (!may(action, host.role)) throw new AppError('forbidden', `Your role for this host is ${host.role}; this needs operator.`);
  return host;
}

async function makeEnrolment(sql: Sql, target: { group: string; host: string | null; createdBy: string | null }): Promise<EnrolmentToken> {
  const { token, hash } = newOpaqueToken();
  await deleteOldEnrolments(sql);
  const expiresAt = await insertEnrolment(sql, { tokenHash: hash, ...target, uses: 1, lifetimeS: enrolmentLifetimeS });
  return { token, expiresAt };
}
