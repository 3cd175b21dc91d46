/** Redis with a password, with users of limited rights, over TLS: on a single server, with Sentinel, on a Cluster. */

import { readFileSync } from 'node:fs';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { expect, onTestFinished } from 'vitest';
import { startTestApp } from '../support/app.ts';
import { makeCertificate } from '../support/certificate.ts';
import { needs } from '../support/needs.ts';
import { redisShapes, startRedis } from '../support/redis.ts';
import { RedisRelays } from '../support/redisRelays.ts';
import { until } from '../support/until.ts';

const password = 'p@ss/w%rd';
const room = 'room:019a0000-0000-7000-8000-000000000001';

/** One replica tells another through this Redis. */
async function flows(url: string): Promise<void> {
  const relays = new RedisRelays(url);
  onTestFinished(() => relays.close());
  const [a, b] = [relays.open({ kept: () => 10 }), relays.open()];
  const got: string[] = [];
  await a.relay.start(() => undefined);
  await b.relay.start((_room, { data }) => void got.push(data));
  b.relay.follow(new Set([room]));
  await until(
    () => {
      a.relay.publish(room, { data: '{}' });
      return !a.link.isAway && got.length > 0;
    },
    'a record goes through',
    20_000,
  );
  expect(a.dropped.get('relay_kept')).toBeUndefined();
}

/** What the log says once of a Redis that lets nobody in. */
async function refusal(url: string): Promise<string> {
  const relays = new RedisRelays(url);
  onTestFinished(() => relays.close());
  const { link } = relays.open();
  await until(() => relays.warnings.length > 0, 'the log says it', 20_000);
  // Some more attempts fail meanwhile.
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(relays.warnings).toHaveLength(1);
  expect(link.isAway).toBe(true);
  return relays.warnings[0]!;
}

/** As a process has it that was started with NODE_EXTRA_CA_CERTS. */
function trust({ cert }: { cert: string }): void {
  const before = getCACertificates('default');
  setDefaultCACertificates([...before, readFileSync(cert, 'utf8')]);
  onTestFinished(() => setDefaultCACertificates(before));
}

for (const [name, start] of Object.entries(redisShapes)) {
  needs('redis', 'openssl').test(
    `${name}: over TLS with an authority of its own, with a password, for a user with the rights that the manual names`,
    async () => {
      const tls = makeCertificate(onTestFinished, ['DNS:localhost', 'IP:127.0.0.1']);
      const { url, servers } = await start(onTestFinished, { tls, password });
      expect(await refusal(url)).toMatch(/^REDIS_URL: .*NODE_EXTRA_CA_CERTS/);
      trust(tls);
      await flows(url);
      expect(await refusal(url.replace(encodeURIComponent(password), 'wrong'))).toMatch(
        /^REDIS_URL: Redis refuses the user or the password/,
      );
      expect(await refusal(url.replace(`:${encodeURIComponent(password)}@`, ''))).toMatch(/^REDIS_URL: Redis refuses/);

      const rights = ['~hostroom:*', '&hostroom:*', '+@all', '-@admin', '-@dangerous', '+info'];
      if (name === 'Cluster') rights.push('+cluster|slots', '+cluster|info', '+cluster|shards');
      for (const server of servers) await server.call('acl', 'setuser', 'hub', 'on', '>p%w', ...rights);
      const asHub = url.replace(`//:${encodeURIComponent(password)}@`, '//hub:p%25w@');
      await flows(asHub);
      for (const server of servers) await server.call('acl', 'setuser', 'hub', 'resetchannels');
      expect(await refusal(asHub)).toMatch(/^REDIS_URL: the user may not do/);
    },
    60_000,
  );
}

needs('redis', 'openssl').test('a host is called by its name, so that its certificate fits', async () => {
  const tls = makeCertificate(onTestFinished, ['DNS:localhost']);
  const server = await startRedis(onTestFinished, {}, { tls });
  trust(tls);
  await flows(server.url.replace('127.0.0.1', 'localhost'));
  expect(await refusal(server.url)).toMatch(/not trusted.*altnames/);
});

needs('redis').test('a hub with a wrong password for Redis starts, says so, and goes on degraded', async () => {
  const redis = await startRedis(onTestFinished, {}, { password });
  const app = await startTestApp(onTestFinished, { REDIS_URL: redis.url.replace(encodeURIComponent(password), 'wrong') });
  const metrics = async (): Promise<string> => (await fetch(`${app.opsUrl}/metrics`)).text();
  await until(async () => (await metrics()).includes('hostroom_degraded{dependency="redis"} 1\n'), 'it is degraded', 20_000);
  expect((await fetch(`${app.opsUrl}/readyz`)).status).toBe(200);
  expect((await fetch(`${app.url}/api/v1/time`)).status).toBe(200);
});
