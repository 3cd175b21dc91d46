/** A full disk under a running hub: it stays up, refuses for now, loses nothing, goes on once there is room. */

import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { FakeAgent } from '../support/fakeAgent.ts';
import { killAll, makeRunFolder, processesIn, run } from '../support/hostroom.ts';
import { needs } from '../support/needs.ts';
import { signInBy } from '../support/signedIn.ts';
import { until } from '../support/until.ts';

const mebibyte = 1024 * 1024;

/** A small file system of its own. */
function mountSmall(folder: string, megabytes: number): string {
  const mount = join(folder, 'disk');
  mkdirSync(mount);
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0755`, 'hostroom-test', mount], { encoding: 'utf8' });
  if (mounted.status !== 0) throw new Error(`mount: ${mounted.stderr}`);
  onTestFinished(async () => {
    killAll(folder);
    await until(() => processesIn(folder).length === 0);
    // What was killed lets go of it a little later.
    await until(() => spawnSync('umount', [mount]).status === 0, 'unmounted');
  });
  return mount;
}

/** Takes all room but `leftBytes`; returns what gives it back. */
function fill(mount: string, leftBytes: number): () => void {
  const files: string[] = [];
  for (;;) {
    const { bavail, bsize } = statfsSync(mount);
    const free = bavail * bsize - leftBytes;
    if (free < bsize) return () => files.forEach((file) => rmSync(file));
    const file = join(mount, `ballast${files.length}`);
    writeFileSync(file, Buffer.alloc(Math.min(free, 8 * mebibyte), 1));
    files.push(file);
  }
}

needs('root', 'linux', 'mount').test(
  'a disk that fills up while running',
  async () => {
    const folder = makeRunFolder(onTestFinished);
    const mount = mountSmall(folder, 260);
    const dataDir = join(mount, 'data');
    const hub = await run(dataDir);
    await hub.ready();
    const person = await signInBy(await until(() => hub.link(), 'a link'), hub.url);
    const created = (await (await person.call('POST', '/hosts', { name: 'box' })).json()) as { id: string; enrolment: { token: string } };
    const agent = await new FakeAgent(hub.url).enrol(created.enrolment.token);
    const link = await agent.connect();
    const room = `host:${created.id}`;
    const acknowledged = new Set<number>();
    const errors = new Set<string>();
    // Random names: what is stored cannot be pressed into nothing.
    const publish = async (): Promise<boolean> => {
      const metrics = Object.fromEntries(Array.from({ length: 400 }, () => [`x.${Math.random()}`, Math.random()]));
      const sample = agent.sample(metrics) as { seq: number };
      const { error } = await link.publish(room, sample);
      if (error) errors.add(`${error.code} ${error.temporary}`);
      else acknowledged.add(sample.seq);
      return !error;
    };
    for (let i = 0; i < 20; i++) expect(await publish()).toBe(true);

    const free = fill(mount, 0);
    await until(async () => !(await publish()), 'a sample is refused', 60_000);
    // Again and again, while the database may come and go.
    for (let i = 0; i < 50; i++) await publish();
    expect([...errors]).toEqual(['100 true']);
    expect(hub.child.exitCode).toBeNull();
    expect((await fetch(`${hub.opsUrl}/readyz`)).status).toBe(200);
    await until(
      async () => /hostroom_degraded\{dependency="postgresql"\} 1/.test(await (await fetch(`${hub.opsUrl}/metrics`)).text()),
      'degraded',
    );
    // The page is still served, and a person is told in a sentence.
    expect((await fetch(hub.url)).status).toBe(200);
    const message = await person.call('POST', `/rooms/${created.id}/messages`, { text: 'x'.repeat(15_000), key: 'k1' });
    expect([201, 503]).toContain(message.status);

    free();
    await until(publish, 'samples flow again', 90_000);
    expect([...errors]).toEqual(['100 true']);
    const stored = await until(async () => {
      const found = await person.samples(created.id);
      return found.length > 0 && new Set(found.map(({ seq }) => seq));
    }, 'the history can be read');
    expect([...acknowledged].filter((seq) => !stored.has(seq))).toEqual([]);
    hub.signal('SIGTERM');
    expect(await hub.ended).toEqual({ code: 0, signal: null });

    // Full again, at a start: said; and with room all is there.
    const freeAgain = fill(mount, 0);
    const refused = await run(dataDir);
    const outcome = await Promise.race([
      refused.ended.then(({ code }) => code),
      refused.ready().then(
        () => 'ready',
        () => 'refused',
      ),
    ]);
    if (outcome === 'ready') {
      refused.signal('SIGTERM');
      await refused.ended;
    } else expect(refused.output()).toMatch(/No space left|is full|no space is left/i);
    freeAgain();
    const last = await run(dataDir);
    await last.ready();
    const again = await signInBy(await until(() => last.link(), 'a link'), last.url);
    const kept = new Set((await again.samples(created.id)).map(({ seq }) => seq));
    expect([...acknowledged].filter((seq) => !kept.has(seq))).toEqual([]);
  },
  240_000,
);
