import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, cpSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startEmbedded } from '../../src/db/embedded.ts';
import { findBinaries } from '../../src/db/embeddedBinaries.ts';
import { log, makeFolder, start, run, startHub } from '../support/embedded.ts';
import { needs } from '../support/needs.ts';

needs('root').describe('as root', () => {
  test('the server runs as another user', async () => {
    const embedded = await start(makeFolder());
    expect(statSync(`/proc/${embedded.pid()}`).uid).not.toBe(0);
  });

  test('below a folder that this user cannot enter, the database lives elsewhere, and is found again', async () => {
    const folder = makeFolder();
    chmodSync(folder, 0o700);
    const outside = makeFolder();
    chmodSync(outside, 0o755);
    const dataDir = join(folder, 'data');
    const first = await start(dataDir, { outside });
    await run(first, 'create table kept as select 1 as n');
    const record = JSON.parse(readFileSync(join(dataDir, 'postgres.json'), 'utf8')) as { home: string };
    expect(record.home.startsWith(outside)).toBe(true);
    await first.close();
    const second = await start(dataDir, { outside });
    expect(await run(second, 'select n from kept')).toEqual([{ n: 1 }]);
    await second.close();
    expect(readdirSync(outside).filter((name) => !name.startsWith('hub.'))).toHaveLength(1);
    rmSync(record.home, { recursive: true });
    await expect(startEmbedded({ dataDir, log, outside })).rejects.toThrow(/it is not there\. Bring it back from a backup/);
  });

  test('programs that this user cannot reach are copied', async () => {
    const folder = makeFolder();
    const hidden = makeFolder();
    chmodSync(hidden, 0o700);
    cpSync(join(findBinaries(), '..'), join(hidden, 'package'), { recursive: true, verbatimSymlinks: true });
    // As npm leaves them where install scripts are off.
    for (const name of readdirSync(join(hidden, 'package/native/lib'))) {
      if (/^lib(pq|icu\w+)\.so(\.\d+)?$/.test(name)) rmSync(join(hidden, 'package/native/lib', name));
    }
    const embedded = await start(folder, { binaries: join(hidden, 'package/native') });
    expect(readFileSync(`/proc/${embedded.pid()}/cmdline`, 'utf8')).toContain(join(folder, 'postgres/binaries-'));
  });

  test('a full disk says so at the first start', async () => {
    const folder = makeFolder();
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=20m', 'tmpfs', folder]);
    if (mounted.status !== 0) return;
    onTestFinished(() => void spawnSync('umount', ['-l', folder]));
    chmodSync(folder, 0o755);
    await expect(startEmbedded({ dataDir: folder, log })).rejects.toThrow(/disk of .* is full .*Free some space/);
  });
});

const ordinary = { uid: 65534, gid: 65534 };
needs('root').describe('as an ordinary user', () => {
  test('everything belongs to that user, and root takes the folder over later', async () => {
    const folder = makeFolder();
    chownSync(folder, ordinary.uid, ordinary.gid);
    const hub = startHub(join(folder, 'data'), ordinary);
    const told = await hub.told;
    expect(told.fault).toBeUndefined();
    expect(statSync(`/proc/${told.pid}`).uid).toBe(ordinary.uid);
    expect(statSync(join(folder, 'data/postgres/cluster')).uid).toBe(ordinary.uid);
    hub.child.kill('SIGTERM');
    expect(await hub.ended).toBe(0);
    const asRoot = await start(join(folder, 'data'));
    expect(statSync(`/proc/${asRoot.pid()}`).uid).toBe(ordinary.uid);
    await asRoot.close();
    const again = startHub(join(folder, 'data'), ordinary);
    expect((await again.told).fault).toBeUndefined();
  });

  test("another user's folder says whose it is", async () => {
    const folder = makeFolder();
    await (await start(join(folder, 'data'))).close();
    const hub = startHub(join(folder, 'data'), ordinary);
    expect((await hub.told).fault).toMatch(/cannot be used|belongs to the user/);
    expect(await hub.ended).toBe(1);
  });
});
