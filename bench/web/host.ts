/** A made-up host for the page to watch: a quarter of an hour of history, then a sample a second. */

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { Centrifuge } from 'centrifuge';
import { exportJWK, SignJWT } from 'jose';
import { WebSocket } from 'ws';
import { newId } from '../../src/lib/id.ts';
import type { Inventory, Process, Sample } from '../../src/protocol/kinds.ts';
import type { AddedHost, Enrolled, SignedIn } from '../../src/protocol/rest.ts';

export interface BenchHost {
  id: string;
  name: string;
  /** When each sample was published, ms since 1970. */
  publishedAt: number[];
  close(): void;
}

const cores = 8;
const startedAtS = Date.now() / 1000 - 41.25 * 86_400;

const inventory: Inventory = {
  os: 'Debian GNU/Linux 12',
  kernel: '6.1.0-27-amd64',
  arch: 'x64',
  hostname: 'fra-api-2',
  cpuModel: 'AMD EPYC 7543P 32-Core Processor',
  cores,
  memory: 33e9,
  agentVersion: '0.1.0',
  disks: [{ device: 'nvme0n1', model: 'NVMe', size: 1e12 }],
  bootedAt: startedAtS * 1000,
};

const top: Process[] = [
  { pid: 812, name: 'checkout-api', user: 'node', cpu: 2.24, memory: 9.4e9, io: 61e6 },
  { pid: 640, name: 'postgres', user: 'postgres', cpu: 0.36, memory: 2.1e9, io: 8.2e6 },
  { pid: 701, name: 'nginx', user: 'www-data', cpu: 0.091, memory: 94e6, io: 4e5 },
  { pid: 77, name: 'kswapd0', user: 'root', cpu: 0.078, memory: 0, io: 0 },
];

/** 90 figures that look like a machine at work. */
function metricsAt(at: number): Record<string, number> {
  const wave = (periodS: number, low: number, high: number): number => low + ((high - low) * (1 + Math.sin(at / 1000 / periodS))) / 2;
  const noise = (scale: number): number => Math.random() * scale;
  const metrics: Record<string, number> = {
    'cpu.user': wave(90, 0.1, 0.6) + noise(0.05),
    'cpu.system': wave(60, 0.02, 0.15) + noise(0.03),
    'cpu.iowait': noise(0.03),
    'cpu.steal': noise(0.005),
    'memory.total': 33e9,
    'memory.used': wave(300, 9e9, 20e9),
    'memory.cached': 8e9,
    'memory.available': 20e9,
    'swap.total': 4e9,
    'swap.used': wave(200, 0, 5e8),
    'load.1': wave(120, 1, 8),
    'load.5': 3,
    'load.15': 2,
    'tcp.established': Math.round(wave(80, 500, 900)),
    'tcp.retransmitted': Math.max(0, noise(12) - 10),
    uptime: at / 1000 - startedAtS,
    'agent.cpu': 0.002,
    'agent.memory': 46e6,
    'temperature.cpu': wave(100, 45, 70),
    'temperature.nvme0': 44,
  };
  for (let core = 0; core < cores; core += 1) metrics[`cpu.core${core}.busy`] = Math.min(1, wave(40 + core, 0.1, 0.9) + noise(0.1));
  for (const what of ['cpu', 'memory', 'io'])
    for (const part of ['some', 'full'])
      metrics[`pressure.${what}.${part}`] = Math.max(0, wave(70 + what.length * 9, -0.2, 0.3) + noise(0.03));
  for (const nic of ['eth0', 'eth1']) {
    metrics[`net.${nic}.receive`] = wave(30, 2e6, 2e7) + noise(3e6);
    metrics[`net.${nic}.transmit`] = wave(50, 2e6, 4e7) + noise(3e6);
    for (const rare of ['receive_errors', 'transmit_errors', 'drops']) metrics[`net.${nic}.${rare}`] = 0;
  }
  for (const disk of ['nvme0n1', 'nvme1n1']) {
    metrics[`disk.${disk}.read`] = wave(130, 1e6, 1.2e7) + noise(2e6);
    metrics[`disk.${disk}.write`] = wave(45, 1e6, 3e7);
    metrics[`disk.${disk}.busy`] = wave(160, 0.05, 0.4) + noise(0.03);
  }
  for (const mount of ['/', '/var', '/srv/data', '/boot']) {
    metrics[`fs.${mount}.total`] = 1e11;
    metrics[`fs.${mount}.used`] = 2e10 + 7e9 * mount.length;
  }
  return metrics;
}

async function ask<T>(url: string, token: string | undefined, body: unknown): Promise<T> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as T;
}

/** @param hub address without a slash at the end */
export async function startHost(hub: string, login: { login: string; password: string }, historyS: number): Promise<BenchHost> {
  const api = `${hub}/api/v1`;
  const { accessToken } = await ask<SignedIn>(`${api}/auth/login`, undefined, login);
  const name = `bench-${randomUUID().slice(0, 8)}`;
  const { id, enrolment } = await ask<AddedHost>(`${api}/hosts`, accessToken, { name });
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const { kty, crv, x } = await exportJWK(publicKey);
  const enrolled = await ask<Enrolled>(`${api}/agents/enrol`, undefined, { token: enrolment.token, publicKey: { kty, crv, x } });
  const iat = Math.floor(Date.now() / 1000);
  const token = await new SignJWT({ iat, exp: iat + 240, jti: newId(), aud: enrolled.hub, sub: id })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'agent+jwt', kid: id })
    .sign(privateKey);

  const boot = newId();
  let seq = 0;
  const sampleAt = (at: number): Sample => ({ kind: 'sample', at, seq: ++seq, boot, metrics: metricsAt(at) });
  const client = new Centrifuge(`${hub.replace('http', 'ws')}/connection/websocket`, {
    websocket: WebSocket,
    token,
    data: { boot, connection: 1 },
  });
  client.connect();
  await client.ready(10_000);
  await client.rpc('inventory', inventory);
  const from = Date.now() - historyS * 1000;
  const perCall = 60;
  for (let done = 0; done < historyS; done += perCall) {
    const count = Math.min(perCall, historyS - done);
    await client.rpc('backfill', { publications: Array.from({ length: count }, (_, index) => sampleAt(from + (done + index) * 1000)) });
  }
  const publishedAt: number[] = [];
  const publish = (): void => {
    const at = Date.now();
    publishedAt.push(at);
    const refused = (error: unknown): void => console.error('a publication was refused', error);
    client.publish(enrolled.room, sampleAt(at)).catch(refused);
    if (publishedAt.length % 10 === 1) client.publish(enrolled.room, { kind: 'processes', at, seq: ++seq, boot, top }).catch(refused);
  };
  publish();
  const timer = setInterval(publish, 1000);
  return {
    id,
    name,
    publishedAt,
    close: () => {
      clearInterval(timer);
      client.disconnect();
    },
  };
}
