/** What a newcomer meets: the first start, Ctrl-C, the second start, the sign-in link. */

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { expect, onTestFinished, test } from 'vitest';
import { makeRunFolder, processesIn, postmasterIn, run } from '../support/hostroom.ts';
import { signInBy, useLink, type SignedIn } from '../support/signedIn.ts';
import { until } from '../support/until.ts';

async function firstSamples({ hosts, samples }: SignedIn, count: number): Promise<string> {
  const host = await until(async () => (await hosts())[0], 'the agent has enrolled');
  await until(async () => (await samples(host.id)).length >= count, `${count} samples are committed`, 30_000);
  return host.id;
}

test('npm start shows samples; Ctrl-C ends everything with 0; the next start has all samples', { timeout: 180_000 }, async () => {
  const folder = makeRunFolder(onTestFinished, 'hostroom run with a space-');
  const dataDir = join(folder, 'my data');
  const first = await run(dataDir, { program: 'start' });
  await first.ready();
  const link = await until(() => first.link(), 'a link');
  expect(link).toMatch(/^http:\/\/localhost:\d+\/sign-in#[\w-]{20,}$/);
  expect(await (await fetch(first.url)).text()).toContain('<div id="root"');
  const person = await signInBy(link, first.url);
  const host = await firstSamples(person, 3);
  const seen = await person.samples(host);
  expect(processesIn(folder).length).toBeGreaterThanOrEqual(3);

  const pressedMs = performance.now();
  first.signal('SIGINT');
  expect(await first.ended).toEqual({ code: 0, signal: null });
  expect(performance.now() - pressedMs).toBeLessThan(10_000);
  expect(processesIn(folder)).toEqual([]);
  expect(first.output()).not.toMatch(/"level":"(warn|error|fatal)"|Error:/);
  expect(first.output()).toMatch(/Stopping …\n {2}Stopped\. /);

  const second = await run(dataDir, { program: 'start' });
  await second.ready();
  // Nobody chose a password: there is another link.
  const again = await signInBy(await until(() => second.link(), 'a link'), second.url);
  expect((await again.hosts()).map(({ id }) => id)).toEqual([host]);
  const kept = await again.samples(host);
  expect(kept.slice(0, seen.length)).toEqual(seen);
  await until(async () => (await again.samples(host)).some(({ boot }) => boot !== seen[0]!.boot), 'samples of the second run');
  second.signal('SIGTERM');
  expect(await second.ended).toEqual({ code: 0, signal: null });
  expect(processesIn(folder)).toEqual([]);
});

test('a sign-in link works once; --sign-in-link makes another beside a running hub and without one', { timeout: 90_000 }, async () => {
  const folder = makeRunFolder(onTestFinished);
  const hub = await run(folder);
  await hub.ready();
  const link = await until(() => hub.link(), 'a link');
  await signInBy(link, hub.url);
  const reused = await useLink(link, hub.url);
  expect(reused.status).toBeGreaterThanOrEqual(400);
  expect(reused.headers.get('content-type')).toContain('application/problem+json');

  const ports = { PORT: hub.url.split(':')[2], OPS_PORT: hub.opsUrl.split(':')[2] };
  const linkOf = async (): Promise<string> => {
    const printer = await run(folder, { args: ['--sign-in-link'], environment: ports });
    expect(await printer.ended).toEqual({ code: 0, signal: null });
    // Nothing else, so that a script can use it.
    return until(() => /^(http:\/\/localhost:\d+\/sign-in#[\w-]+)\n$/.exec(printer.output())?.[1], printer.output());
  };
  await signInBy(await linkOf(), hub.url);
  const server = postmasterIn(folder);
  hub.signal('SIGTERM');
  expect(await hub.ended).toEqual({ code: 0, signal: null });
  const alone = await linkOf();
  expect(processesIn(folder)).toEqual([]);

  const next = await run(folder, { environment: ports });
  await next.ready();
  expect(postmasterIn(folder)).not.toBe(server);
  // The start printed a newer one, which ends the others.
  const newest = await until(() => next.link(), 'a link');
  const ended = await useLink(alone, next.url);
  expect({ status: ended.status, text: await ended.text() }).toMatchObject({
    status: 410,
    text: expect.stringContaining('make another with'),
  });
  await signInBy(newest, next.url);
});

test('with PORT=0 and OPS_PORT=0 the printed address is the real one', { timeout: 60_000 }, async () => {
  const folder = makeRunFolder(onTestFinished);
  const hub = await run(folder, { environment: { PORT: '0', OPS_PORT: '0' } });
  await hub.ready();
  const { address, operations } = JSON.parse(/^.*the hub is ready.*$/m.exec(hub.output())![0]) as Record<string, string>;
  expect(address).toMatch(/^http:\/\/localhost:[1-9]\d+$/);
  expect(await (await fetch(`${address}/api/v1/version`)).json()).toMatchObject({ version: expect.any(String) });
  expect((await fetch(`${operations}/readyz`)).status).toBe(200);
  expect((await until(() => hub.link(), 'a link')).startsWith(`${address}/sign-in#`)).toBe(true);
});

test('ADMIN_EMAIL and ADMIN_PASSWORD make the first admin, and no link is printed', { timeout: 60_000 }, async () => {
  const folder = makeRunFolder(onTestFinished);
  const admin = { ADMIN_EMAIL: 'admin@example.com', ADMIN_PASSWORD: 'correct horse battery' };
  const hub = await run(folder, { environment: admin });
  await hub.ready();
  const answer = await fetch(`${hub.url}/api/v1/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ login: admin.ADMIN_EMAIL, password: admin.ADMIN_PASSWORD }),
  });
  expect(answer.status).toBe(200);
  hub.signal('SIGTERM');
  await hub.ended;
  expect(hub.link()).toBeUndefined();
  expect(hub.output()).not.toContain(admin.ADMIN_PASSWORD);
});

// The shell between npm and the program may end before it, or npm's echo of the signal may reach it as a second one.
const ways = [
  { name: 'SIGINT', whole: true, reached: 'to the whole group' },
  { name: 'SIGTERM', whole: false, reached: 'to npm alone' },
] as const;
for (const shell of ['/bin/sh', '/bin/bash'].filter((path) => existsSync(path))) {
  for (const { name, whole, reached } of ways) {
    test(`${name} ${reached} stops npm run hub in order (${shell})`, { timeout: 60_000 }, async () => {
      const folder = makeRunFolder(onTestFinished);
      const npm = spawn('npm', ['run', 'hub'], {
        cwd: join(import.meta.dirname, '../..'),
        detached: true,
        stdio: ['ignore', 'pipe', 'inherit'],
        env: {
          PATH: process.env['PATH'],
          HOME: folder,
          DATA_DIR: join(folder, 'data'),
          PORT: '0',
          OPS_PORT: '0',
          npm_config_script_shell: shell,
          npm_config_cache: join(folder, 'cache'),
          npm_config_update_notifier: 'false',
        },
      });
      let output = '';
      npm.stdout.setEncoding('utf8').on('data', (part: string) => (output += part));
      await until(() => output.includes('the hub is ready'), 'it is ready', 30_000);
      process.kill(whole ? -npm.pid! : npm.pid!, name);
      await until(() => processesIn(folder).length === 0, 'all has ended', 10_000);
      expect(output).not.toMatch(/"level":"(error|fatal)"/);
      const next = await run(join(folder, 'data'));
      await next.ready();
      // In order: the database was stopped, so nobody had to take it over.
      expect(next.output()).toContain('"attached":false');
    });
  }
}
