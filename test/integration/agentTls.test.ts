import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { startAgentHub } from '../support/agentHub.ts';
import { makeCertificate } from '../support/certificate.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/until.ts';

needs('openssl').test('over https the certificate is checked, with an authority that is known it works', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'agent-'));
  const { key, cert } = makeCertificate(onTestFinished, ['DNS:localhost']);
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
