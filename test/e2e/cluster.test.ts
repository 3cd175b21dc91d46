/** `npm run cluster` as a person meets it: several replicas behind nginx that come and go while pages and agents stay. */

import { chownSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { expect, onTestFinished, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import type { ClusterRecord } from '../../src/local/clusterRecord.ts';
import { findPrograms } from '../../src/local/localCluster.ts';
import { startViewer } from '../support/faults/viewer.ts';
import { makeRunFolder, processesIn, run, type Hostroom } from '../support/hostroom.ts';
import { needs } from '../support/needs.ts';
import { signInBy } from '../support/signedIn.ts';
import { until } from '../support/until.ts';

const recordOf = (folder: string): ClusterRecord => JSON.parse(readFileSync(join(folder, 'cluster/cluster.json'), 'utf8')) as ClusterRecord;

async function stop(cluster: Hostroom, folder: string): Promise<void> {
  cluster.signal('SIGINT');
  expect(await cluster.ended, cluster.output()).toEqual({ code: 0, signal: null });
  expect(cluster.output()).toMatch(/Stopping …\n[^]*Stopped\. /);
  expect(processesIn(folder)).toEqual([]);
}

needs('nginx', 'redis', 'linux').test(
  'replicas come, die and go behind one address; everything stops with Ctrl-C, and after kill -9 the next start clears up',
  async () => {
    const folder = makeRunFolder(onTestFinished, 'hostroom cluster-');
    const options = { program: 'clusterMain' } as const;
    const first = await run(folder, { ...options, args: ['--replicas', '2'] });
    await first.ready();
    const person = await signInBy(await until(() => first.link(), 'a link'), first.url);
    const host = await until(async () => (await person.hosts())[0]?.id, 'the agent has enrolled', 30_000);
    const viewer = await startViewer(first.url, () => Promise.resolve(person.accessToken), [host]);
    onTestFinished(() => viewer.close());
    const goesOn = async (): Promise<void> => {
      const before = viewer.seen;
      await until(() => viewer.seen > before + 1, `the viewer sees the host go on\n${first.output()}`, 30_000);
    };
    await goesOn();

    first.type('scale 3');
    await until(() => first.output().includes('3 replicas run'), 'a third replica', 30_000);
    const { replicas, redis } = recordOf(folder);
    expect(new Set(replicas.map(({ opsUrl }) => opsUrl)).size).toBe(3);
    for (const { opsUrl } of replicas) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other is as good
      expect((await fetch(`${opsUrl}/readyz`)).status).toBe(200);
    }

    const dead = replicas[1]!;
    process.kill(dead.pid!, 'SIGKILL');
    process.kill(redis!, 'SIGKILL');
    await goesOn();
    await until(
      () => {
        const now = recordOf(folder);
        return now.redis !== redis && now.replicas.every(({ name, pid }) => pid !== undefined && (name !== dead.name || pid !== dead.pid));
      },
      'the replica and Redis are started again',
      30_000,
    );
    await until(async () => (await fetch(`${dead.opsUrl}/readyz`).catch(() => undefined))?.ok, 'the replica is ready', 30_000);

    first.type('scale 1');
    await until(() => first.output().includes('1 replicas run'), 'one replica is left', 30_000);
    await goesOn();
    const nginx = recordOf(folder).nginx!;
    process.kill(recordOf(folder).pid, 'SIGKILL');
    await until(() => !processesIn(folder).some(({ command }) => command.includes('src/main.ts')), 'the hub went with it', 30_000);
    viewer.close();

    const { port } = new URL(first.url);
    const second = await run(folder, { ...options, args: ['--replicas', '1'], environment: { PORT: port } });
    await second.ready();
    expect(processesIn(folder).filter(({ pid }) => pid === nginx)).toEqual([]);
    const again = await signInBy(await until(() => second.link(), 'a link'), second.url);
    expect((await again.hosts()).map(({ id }) => id)).toEqual([host]);
    await stop(second, folder);
  },
  180_000,
);

test('what is missing is told with the way to get it, and a wrong number with the right ones', async () => {
  const config = readConfig({});
  expect(() => findPrograms(config, () => undefined)).toThrow('apt-get install nginx redis-server');
  expect(() => findPrograms(readConfig({ REDIS_URL: 'redis://localhost' }), () => undefined)).toThrow(
    /needs nginx on .*apt-get install nginx$/,
  );
  expect(findPrograms(config, (name) => `/x/${name}`)).toEqual({ nginx: '/x/nginx', redis: '/x/redis-server' });
  const wrong = await run(makeRunFolder(onTestFinished), { program: 'clusterMain', args: ['--replicas', '99'] });
  expect(await wrong.ended).toEqual({ code: 2, signal: null });
  expect(wrong.output()).toContain('"99" is not a number from 1 to 16');
});

needs('nginx', 'redis', 'root', 'linux').test(
  'an ordinary user may do all of that as well',
  async () => {
    const folder = makeRunFolder(onTestFinished);
    chownSync(folder, 65_534, 65_534);
    const user = { uid: 65_534, gid: 65_534 };
    const cluster = await run(join(folder, 'data'), { program: 'clusterMain', args: ['--replicas', '1'], user });
    await cluster.ready();
    await signInBy(await until(() => cluster.link(), 'a link'), cluster.url);
    await stop(cluster, folder);
  },
  120_000,
);
