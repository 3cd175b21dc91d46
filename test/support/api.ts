/** The REST interface on a real database, without gateway and agents. */

import { createApi } from '../../src/api/api.ts';
import type { ConversationParts } from '../../src/actions/conversation.ts';
import { postEvent } from '../../src/actions/postEvent.ts';
import { prepareHub } from '../../src/actions/prepareHub.ts';
import { createAccessTokens } from '../../src/auth/accessToken.ts';
import { enrolFailures } from '../../src/api/agents.ts';
import { createLoginLimits } from '../../src/auth/loginLimits.ts';
import { createTries } from '../../src/auth/tries.ts';
import { createPasswords } from '../../src/auth/passwords.ts';
import { createRefreshTokens } from '../../src/auth/refreshToken.ts';
import { deriveKeys } from '../../src/auth/secretKey.ts';
import { MetricNames } from '../../src/data/metricNames.ts';
import { Retention } from '../../src/data/retention.ts';
import { migrate } from '../../src/db/migrate.ts';
import { Reader } from '../../src/db/reader.ts';
import { Hub } from '../../src/hub/hub.ts';
import { newId } from '../../src/lib/id.ts';
import { createLog } from '../../src/ops/log.ts';
import { createMetrics } from '../../src/ops/metrics.ts';
import { MemoryRelay } from '../../src/relay/memory.ts';
import { ConversationStream } from '../../src/streams/conversation.ts';
import { Browser } from './browser.ts';
import { freshDatabase } from './database.ts';

export const admin = { email: 'admin@example.com', password: 'correct horse battery' };

export type TestApi = Awaited<ReturnType<typeof startTestApi>>;

/** Closes itself. The test's own address counts as a trusted proxy, so that browsers can have addresses of their own. */
export async function startTestApi(
  whenDone: (close: () => Promise<void>) => void,
  over: { publicUrl?: string; webRoot?: string; withoutAdmin?: boolean; trustedProxies?: string[] } = {},
) {
  const database = await freshDatabase(whenDone, { maxConnections: 6 });
  const { sql } = database;
  const lines: string[] = [];
  const log = createLog('trace', { write: (line: string) => void lines.push(line) });
  const { id, epoch } = await migrate({ sql, log, apply: true });
  const clock = { offsetMs: 0, now: () => Date.now() + clock.offsetMs };
  const passwords = createPasswords();
  await prepareHub({ sql, passwords, admin: over.withoutAdmin ? undefined : admin });

  const keys = deriveKeys(new Uint8Array(32).fill(9));
  const accessTokens = createAccessTokens({ keys, hub: id, clock });
  const refreshTokens = createRefreshTokens(keys);
  const metrics = createMetrics({
    connections: () => ({ agent: 0, user: 0 }),
    subscriptions: () => 0,
    dbPool: () => ({}),
    degraded: () => ({}),
    writerQueue: () => ({ rows: 0, bytes: 0 }),
    hosts: () => [],
  });
  const hub = new Hub({ relay: new MemoryRelay() });
  const conversation: ConversationParts = { sql, hub, clock, stream: new ConversationStream({ sql, epoch }) };
  const told = {
    ended: [] as string[],
    reused: [] as string[],
    replaced: [] as string[],
    deleted: [] as string[],
    changed: [] as string[],
  };
  const publicUrl = over.publicUrl ?? 'http://localhost:8080';
  const corrupt: string[] = [];
  const history = {
    sql,
    names: new MetricNames(),
    corrupt: (error: Error, { tier, at }: { tier: string; at: number }): void => void corrupt.push(`${tier} ${at}: ${error.message}`),
  };
  const reader = new Reader({ sql });
  const dayMs = 86_400_000;
  const kept = { raw: dayMs, '10s': 7 * dayMs, '1m': 90 * dayMs, '1h': 3 * 365 * dayMs };

  const api = await createApi({
    log,
    metrics,
    clock,
    sql,
    hub: id,
    publicUrl,
    allowedOrigins: [publicUrl],
    trustedProxies: over.trustedProxies ?? ['127.0.0.1'],
    passwords,
    accessTokens,
    refreshTokens,
    loginLimits: createLoginLimits(),
    enrolTries: createTries(enrolFailures),
    conversation,
    event: (draft) => postEvent(conversation, draft),
    live: { summary: () => undefined, recentCpu: () => null },
    present: () => Promise.resolve(new Set<string>()),
    sessionsEnded: (sessions) => void told.ended.push(...sessions),
    tokenReused: (session) => void told.reused.push(session),
    personChanged: (person) => void told.changed.push(person),
    keyReplaced: (host) => void told.replaced.push(host),
    hostDeleted: (host) => void told.deleted.push(host.id),
    history,
    retention: { retention: new Retention(sql, kept), apply: () => undefined },
    series: { reader, clock, kept: () => kept, names: history.names, corrupt: history.corrupt },
    replicas: { self: '', rows: async () => [], pods: [], scale: undefined },
    webRoot: over.webRoot ?? '/nonexistent',
    version: '0.0.0',
  });
  await api.listen({ host: '127.0.0.1', port: 0 });
  whenDone(async () => {
    reader.close();
    await api.close();
    await hub.close();
    metrics.close();
  });
  const { port } = api.server.address() as { port: number };
  const url = `http://127.0.0.1:${port}`;

  return {
    api,
    url,
    port,
    sql,
    hubId: id,
    clock,
    keys,
    accessTokens,
    refreshTokens,
    conversation,
    metrics,
    names: history.names,
    kept,
    /** What could not be read. */
    corrupt,
    told,
    lines,
    publicUrl,
    /** A new browser, signed in by nobody. */
    browser: (address = '10.0.0.1') => new Browser(url, publicUrl, address),
    /** A browser signed in as the admin. */
    signIn: async (who: { email: string; password: string } = admin) => {
      const browser = new Browser(url, publicUrl, `10.1.${Math.floor(Math.random() * 250)}.${Math.floor(Math.random() * 250)}`);
      await browser.signIn(who.email, who.password);
      return browser;
    },
    /** Someone with this role in the default group; signed in. */
    person: async (role: 'viewer' | 'member' | 'operator' | 'owner' | undefined) => {
      const person = { id: newId(), email: `${newId()}@example.com`, password: 'another long password' };
      const hash = await passwords.hash(person.password);
      await sql`insert into person (id, email, name, password_hash) values (${person.id}, ${person.email}, ${role ?? 'nobody'}, ${hash})`;
      if (role)
        await sql`insert into membership (host_group, person, role) select id, ${person.id}, ${role} from host_group where name = 'hosts'`;
      const browser = new Browser(url, publicUrl, '10.0.0.3');
      await browser.signIn(person.email, person.password);
      return Object.assign(browser, { id: person.id, email: person.email });
    },
  };
}
