/** Where and as whom hostroom is started: below root's closed home, as an ordinary user. */

import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { agentIn, killAll, makeRunFolder, postmasterIn, processesIn, run } from '../support/hostroom.ts';
import { needs } from '../support/needs.ts';
import { signInBy } from '../support/signedIn.ts';
import { until } from '../support/until.ts';

const checkout = resolve(import.meta.dirname, '../..');

async function showSamples(folder: string, options: Parameters<typeof run>[1]): Promise<{ server: number; stop: () => Promise<void> }> {
  const hub = await run(folder, { program: 'start', ...options });
  await hub.ready();
  const person = await signInBy(await until(() => hub.link(), 'a link'), hub.url);
  const host = await until(async () => (await person.hosts())[0], 'the agent has enrolled');
  await until(async () => (await person.samples(host.id)).length > 1, 'samples', 30_000);
  const home = (JSON.parse(/^.*embedded PostgreSQL runs.*$/m.exec(hub.output())![0]) as { folder: string }).folder;
  const server = await until(() => postmasterIn(folder) ?? postmasterIn(home), 'the server');
  return {
    server,
    async stop() {
      hub.signal('SIGINT');
      expect(await hub.ended).toEqual({ code: 0, signal: null });
      expect([...processesIn(folder), ...processesIn(home)]).toEqual([]);
    },
  };
}

needs('root', 'linux').test(
  'as root with DATA_DIR below a closed home: the database lies below /var/lib/hostroom, and the next start finds it',
  async () => {
    const home = realpathSync(mkdtempSync('/root/hostroom-'));
    onTestFinished(() => {
      killAll(home);
      rmSync(home, { recursive: true, force: true });
    });
    chmodSync(home, 0o700);
    const dataDir = join(home, 'my data');
    const first = await showSamples(dataDir, {});
    const record = JSON.parse(readFileSync(join(dataDir, 'postgres.json'), 'utf8')) as { home: string };
    onTestFinished(() => {
      killAll(record.home);
      rmSync(record.home, { recursive: true, force: true });
    });
    expect(record.home).toMatch(/^\/var\/lib\/hostroom\/[0-9a-f]+$/);
    expect(statSync(`/proc/${first.server}`).uid).not.toBe(0);
    await first.stop();
    const second = await showSamples(dataDir, {});
    await second.stop();
    expect(JSON.parse(readFileSync(join(dataDir, 'postgres.json'), 'utf8'))).toEqual(record);
  },
  180_000,
);

needs('root', 'linux').test(
  'as an ordinary user, from a clone of its own, without any right elsewhere',
  async () => {
    const user = { uid: idOf('-u', 'nobody'), gid: idOf('-g', 'nobody') };
    const folder = makeRunFolder(onTestFinished);
    const clone = join(folder, 'clone');
    mkdirSync(clone);
    for (const name of ['src', 'agent', 'migrations', 'web', 'package.json', 'package-lock.json'])
      cpSync(join(checkout, name), join(clone, name), { recursive: true, preserveTimestamps: true });
    symlinkSync(realpathSync(join(checkout, 'node_modules')), join(clone, 'node_modules'));
    spawnSync('chown', ['-R', `${user.uid}:${user.gid}`, clone]);
    chownSync(folder, user.uid, user.gid);
    // The binaries that npm installed are another user's here; in a real clone they are the user's own.
    const binaries = spawnSync(process.execPath, ['--version'], { ...user });
    expect(binaries.status, 'node_modules is readable for nobody').toBe(0);
    const dataDir = join(clone, 'data');
    const running = await showSamples(dataDir, { root: clone, user });
    for (const pid of [running.server, agentIn(folder)!]) expect(statSync(`/proc/${pid}`).uid).toBe(user.uid);
    await running.stop();
    // Root may go on in the user's folder, and the user after root.
    await (await showSamples(dataDir, { root: clone })).stop();
    await (await showSamples(dataDir, { root: clone, user })).stop();
  },
  180_000,
);

function idOf(flag: '-u' | '-g', name: string): number {
  return Number(spawnSync('id', [flag, name], { encoding: 'utf8' }).stdout);
}
