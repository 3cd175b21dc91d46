/** Takes an agent's public key in exchange for an enrolment token. */

import { createHash } from 'node:crypto';
import { hashToken } from '../auth/opaqueToken.ts';
import { findEnrolmentUse, insertEnrolmentUse, lockEnrolment } from '../data/enrolments.ts';
import { insertHost, insertHostRoom, lockHostKey, setHostKey } from '../data/hosts.ts';
import type { Platform } from '../data/hosts.ts';
import type { Pool, Sql } from '../db/database.ts';
import { AppError } from '../errors.ts';
import type { Clock } from '../lib/clock.ts';
import { newId } from '../lib/id.ts';
import type { Enrolled, EnrolRequest, PublicKey } from '../protocol/rest.ts';
import { hostRoom } from '../protocol/rooms.ts';
import type { EventDraft } from './postEvent.ts';

export interface EnrolNeeds {
  sql: Pool;
  /** The hub's id. */
  hub: string;
  clock: Clock;
  /** Posts into the host's conversation. */
  event(draft: EventDraft): Promise<unknown>;
  /** Told of a host that got another key: its agent has to go where it is connected and was announced before `order`. */
  keyReplaced(host: string, order: number): void;
}

/** Idempotent by token and key. Refuses `token_used`, the same for a token that never was. */
export async function enrolHost(needs: EnrolNeeds, request: EnrolRequest): Promise<Enrolled> {
  const tokenHash = hashToken(request.token);
  const thumbprint = thumbprintOf(request.publicKey);
  const { host, replacedAt, made } = await needs.sql.begin(async (sql) => {
    const enrolment = await lockEnrolment(sql, tokenHash);
    const before = enrolment && (await findEnrolmentUse(sql, tokenHash, thumbprint));
    if (before !== undefined) return { host: before, replacedAt: undefined, made: false };
    if (!enrolment?.usable) {
      throw new AppError('token_used', 'token: it was used already, has expired, or never was; make another on the page of hosts.');
    }
    const known = enrolment.host === null ? undefined : await lockHostKey(sql, enrolment.host);
    const id = known?.id ?? (await makeHost(sql, enrolment.group, request.name ?? 'host'));
    const order = await setHostKey(sql, id, publicPart(request.publicKey), platformOf(request));
    await insertEnrolmentUse(sql, { tokenHash, thumbprint, host: id });
    const hadKey = known?.publicKey !== undefined && known.publicKey !== null;
    return { host: id, replacedAt: hadKey ? order : undefined, made: !known };
  });
  if (made) await needs.event({ room: host, what: 'host_added', details: { name: request.name ?? 'host' } });
  if (replacedAt !== undefined) needs.keyReplaced(host, replacedAt);
  return { hostId: host, room: hostRoom(host), hub: needs.hub, time: Math.round(needs.clock.now()) };
}

async function makeHost(sql: Sql, group: string, name: string): Promise<string> {
  const host = { id: newId(), name, group };
  await insertHost(sql, host);
  await insertHostRoom(sql, host);
  return host.id;
}

const publicPart = ({ kty, crv, x }: PublicKey): PublicKey => ({ kty, crv, x });
/** RFC 7638. */
const thumbprintOf = ({ crv, kty, x }: PublicKey): string =>
  createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url');
const platformOf = ({ platform }: EnrolRequest): Platform | null => (typeof platform === 'string' ? { os: platform } : (platform ?? null));
