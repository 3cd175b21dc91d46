import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startAgentHub } from '../support/agentHub.ts';
import { until } from '../support/until.ts';

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

test.skipIf(!hasOpenssl)('over https the certificate is checked, with an authority that is known it works', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'agent-'));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
      '-keyout',
      key,
      '-out',
      cert,
      ...names,
    ],
    { stdio: 'ignore' },
  );
  const hub = await startAgentHub(0, { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') });
  onTestFinished(async () => {
    await hub.close();
    rmSync(folder, { recursive: true });
  });
  const start = (name: string, environment: Record<string, string>): (() => string) => {
    const agent = spawn(process.execPath, [join(import.meta.dirname, '../../agent/main.ts')], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'], HUB_URL: hub.url, ENROLMENT_TOKEN: 'token', STATE_DIR: join(folder, name), ...environment },
    });
    let output = '';
    for (const stream of [agent.stdout, agent.stderr]) stream.on('data', (part) => (output += String(part)));
    onTestFinished(async () => {
      agent.kill('SIGKILL');
      await until(() => agent.exitCode !== null || agent.signalCode !== null);
    });
    return () => output;
  };
  const stranger = start('stranger', {});
  await until(() => /self-signed certificate/.test(stranger()));
  expect(hub.enrolled).toEqual([]);
  const friend = start('friend', { NODE_EXTRA_CA_CERTS: cert });
  await until(() => hub.committed.length > 0, friend());
  expect(hub.faults).toEqual([]);
});
