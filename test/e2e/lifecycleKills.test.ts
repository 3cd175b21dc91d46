/** Ends that were not planned: kill -9, a second signal, a closed terminal, a signal while starting. */

import process from 'node:process';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { agentIn, killAll, makeRunFolder, postmasterIn, processesIn, run, type Hostroom } from '../support/hostroom.ts';
import { signInBy, type SignedIn } from '../support/signedIn.ts';
import { until } from '../support/until.ts';

async function startWithSamples(folder: string, count: number): Promise<{ hub: Hostroom; person: SignedIn; host: string }> {
  const hub = await run(folder, { program: 'start' });
  await hub.ready();
  const person = await signInBy(await until(() => hub.link(), 'a link'), hub.url);
  const host = await until(async () => (await person.hosts())[0], 'the agent has enrolled');
  await until(async () => (await person.samples(host.id)).length >= count, `${count} samples are committed`, 30_000);
  return { hub, person, host: host.id };
}

/** Starts again; every sample of `seen` must be there, and newer ones come. */
async function expectAllThere(folder: string, host: string, seen: readonly object[]): Promise<Hostroom> {
  const next = await run(folder, { program: 'start' });
  await next.ready();
  const person = await signInBy(await until(() => next.link(), 'a link'), next.url);
  expect((await person.samples(host)).slice(0, seen.length)).toEqual(seen);
  await until(async () => (await person.samples(host)).length > seen.length, 'samples of the second run', 30_000);
  expect((await person.hosts()).length).toBe(1);
  return next;
}

test('kill -9 of hub, agent and PostgreSQL: the next start has all committed samples', { timeout: 180_000 }, async () => {
  const folder = makeRunFolder(onTestFinished);
  const { hub, person, host } = await startWithSamples(folder, 4);
  const seen = await person.samples(host);
  const all = processesIn(folder);
  expect(all.some(({ pid }) => pid === hub.child.pid)).toBe(true);
  expect(all.length).toBeGreaterThan(5);
  killAll(folder);
  await hub.ended;
  await until(() => processesIn(folder).length === 0, 'all are gone');
  const next = await expectAllThere(folder, host, seen);
  next.signal('SIGINT');
  expect(await next.ended).toEqual({ code: 0, signal: null });
  expect(processesIn(folder)).toEqual([]);
});

test('kill -9 of the hub alone: its agent leaves, the next start takes PostgreSQL over', { timeout: 180_000 }, async () => {
  const folder = makeRunFolder(onTestFinished);
  const { hub, person, host } = await startWithSamples(folder, 4);
  const seen = await person.samples(host);
  const [agent, server] = [agentIn(folder), postmasterIn(folder)];
  expect(agent).toBeDefined();
  hub.child.kill('SIGKILL');
  await hub.ended;
  await until(() => agentIn(folder) === undefined, 'the agent has left', 10_000);
  expect(postmasterIn(folder)).toBe(server);
  const next = await expectAllThere(folder, host, seen);
  expect(postmasterIn(folder)).toBe(server);
  expect(next.output()).toContain('"attached":true');
  next.signal('SIGINT');
  expect(await next.ended).toEqual({ code: 0, signal: null });
  // Taken over or not: stopped last.
  expect(processesIn(folder)).toEqual([]);
});

test('kill -9 of the agent alone: the hub starts it again, as the same host', { timeout: 90_000 }, async () => {
  const folder = makeRunFolder(onTestFinished);
  const { hub, person, host } = await startWithSamples(folder, 2);
  const agent = agentIn(folder);
  const before = new Set((await person.samples(host)).map(({ boot }) => boot));
  process.kill(agent!, 'SIGKILL');
  await until(async () => (await person.samples(host)).some(({ boot }) => !before.has(boot)), 'samples of the new agent', 30_000);
  expect((await person.hosts()).length).toBe(1);
  expect(hub.output()).toContain('the local agent ended; it is started again');
});

test('a second signal ends the hub at once with 130', { timeout: 60_000 }, async () => {
  const folder = makeRunFolder(onTestFinished);
  const hub = await run(folder);
  await hub.ready();
  // A server that cannot stop holds the stop open.
  const server = postmasterIn(folder)!;
  process.kill(server, 'SIGSTOP');
  onTestFinished(() => void (postmasterIn(folder) === server && process.kill(server, 'SIGCONT')));
  hub.child.kill('SIGTERM');
  await until(async () => (await readiness(hub)) !== 200, 'it drains');
  expect(hub.child.exitCode).toBeNull();
  hub.child.kill('SIGTERM');
  expect(await hub.ended).toEqual({ code: 130, signal: null });
  process.kill(server, 'SIGCONT');
  const next = await run(folder);
  await next.ready();
});

test('a stop that takes longer than SHUTDOWN_GRACE is given up with 1 and said so', { timeout: 60_000 }, async () => {
  const folder = makeRunFolder(onTestFinished);
  const hub = await run(folder, { environment: { SHUTDOWN_GRACE: '500ms' } });
  await hub.ready();
  const server = postmasterIn(folder)!;
  process.kill(server, 'SIGSTOP');
  hub.child.kill('SIGTERM');
  expect(await hub.ended).toEqual({ code: 1, signal: null });
  process.kill(server, 'SIGCONT');
  await until(() => hub.output().includes('did not stop within 500 ms'));
});

test('a closed terminal stops everything in order', { timeout: 90_000 }, async () => {
  const folder = makeRunFolder(onTestFinished);
  const hub = await run(folder, { program: 'start' });
  await hub.ready();
  // What is printed goes nowhere then.
  hub.child.stdout!.destroy();
  hub.child.stderr!.destroy();
  hub.signal('SIGHUP');
  expect(await hub.ended).toEqual({ code: 0, signal: null });
  expect(processesIn(folder)).toEqual([]);
});

test('a crash is told, and everything is stopped in order', { timeout: 90_000 }, async () => {
  const folder = makeRunFolder(onTestFinished);
  const fault = "process.on('SIGUSR2', () => { throw new Error('made by the test'); })";
  const hub = await run(folder, {
    program: 'start',
    environment: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(fault)}` },
  });
  await hub.ready();
  hub.child.kill('SIGUSR2');
  expect(await hub.ended).toEqual({ code: 1, signal: null });
  expect(processesIn(folder)).toEqual([]);
  await until(() => /"level":"fatal".*made by the test.*a crash; stopping/.test(hub.output()));
});

test('a signal at any moment of the start leaves nothing behind, and the next start works', { timeout: 180_000 }, async () => {
  const folder = makeRunFolder(onTestFinished);
  const moments: [string, (hub: Hostroom, dataDir: string) => unknown][] = [
    ['initdb runs', (_, dataDir) => processesIn(dataDir).some(({ command }) => command.includes('initdb'))],
    ['the server is up', (_, dataDir) => postmasterIn(dataDir)],
    ['the schema is made', (hub) => hub.output().includes('schema migrated')],
    ['the hub is ready', (hub) => hub.output().includes('the hub is ready')],
  ];
  for (const [index, [what, reached]] of moments.entries()) {
    const dataDir = join(folder, String(index));
    const hub = await run(dataDir, { program: 'start' });
    await until(() => reached(hub, dataDir) || hub.child.exitCode !== null, what, 60_000);
    expect(hub.child.exitCode, hub.output()).toBeNull();
    hub.signal('SIGINT');
    expect({ what, ...(await hub.ended) }).toEqual({ what, code: expect.any(Number), signal: null });
    await until(() => processesIn(folder).length === 0, `nothing is left after "${what}"`, 5_000);
    const next = await run(dataDir);
    await next.ready();
    next.signal('SIGINT');
    expect(await next.ended).toEqual({ code: 0, signal: null });
  }
});

const readiness = async (hub: Hostroom): Promise<number> => (await fetch(`${hub.opsUrl}/readyz`)).status;
