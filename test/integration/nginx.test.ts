/** Each configuration of nginx that is shipped, run: hubs that refuse something are asked for everything else as before. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { freePort } from '../../src/lib/freePort.ts';
import { nginxConfig } from '../../src/local/balancer.ts';
import { needs } from '../support/needs.ts';
import { findTool } from '../support/tools.ts';
import { until } from '../support/until.ts';

const root = resolve(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, 'deployments', path), 'utf8');

interface Place {
  /** All that nginx may write to. */
  at: string;
  port: number;
  /** Of the hubs. */
  ports: number[];
}

/** A configuration as it is shipped, for hubs on this machine. */
function moved(config: string, { at, port, ports }: Place): string {
  // Asking for addresses again and again needs nginx 1.27.3, and their names a cluster.
  const [, more] = /^ *server [^ ;]+:8080((?: [^;]+)?);/m.exec(config)!;
  const servers = ports.map((each) => `server 127.0.0.1:${each}${more!.replace(' resolve', '')};`).join('\n');
  let isFirst = true;
  return config
    .replace(/^ *resolver .*$/m, '')
    .replace(/^ *server [^ ;]+:8080(?: [^;]+)?;$/gm, () => (isFirst ? ((isFirst = false), servers) : ''))
    .replace(/listen 8080/, `listen 127.0.0.1:${port}`)
    .replaceAll('/tmp/', `${at}/`)
    .replaceAll('/etc/nginx/location.conf', join(root, 'deployments/nginx/location.conf'));
}

const shipped: Readonly<Record<string, (place: Place) => string>> = {
  'Kubernetes, components/nginx': (place) => moved(read('kubernetes/components/nginx/nginx.conf'), place),
  Compose: (place) => moved(read('nginx/nginx.conf'), place),
  'npm run cluster': ({ at, port, ports }) => nginxConfig({ folder: at, root, host: '127.0.0.1', port, ports }),
};

/** A hub without PostgreSQL: REST and newcomers get 503, the page is there. */
async function startRefusing(asked: () => void): Promise<number> {
  const server = createServer((request, response) => {
    const isPage = request.url === '/';
    if (!isPage) asked();
    response.writeHead(isPage ? 200 : 503).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

for (const [name, write] of Object.entries(shipped)) {
  needs('nginx').test(`${name}: each hub is asked before a client is refused, and refusals keep nobody from the rest`, async () => {
    const at = mkdtempSync(join(tmpdir(), 'hostroom-nginx-'));
    onTestFinished(() => rmSync(at, { recursive: true, force: true }));
    const asked = [0, 0, 0];
    const ports = await Promise.all(asked.map((_, hub) => startRefusing(() => void asked[hub]!++)));
    const port = await freePort('127.0.0.1');
    writeFileSync(join(at, 'nginx.conf'), write({ at, port, ports }));
    const child = spawn(
      findTool('nginx')!,
      ['-c', join(at, 'nginx.conf'), '-p', at, '-g', name === 'npm run cluster' ? '' : 'daemon off;'],
      {
        stdio: 'ignore',
      },
    );
    const ended = once(child, 'exit');
    onTestFinished(async () => {
      child.kill('SIGTERM');
      await ended;
    });
    const get = async (path: string): Promise<number> => (await fetch(`http://127.0.0.1:${port}${path}`)).status;
    await until(() => get('/').catch(() => undefined), 'nginx answers');
    for (let tries = 1; tries <= 8; tries++) {
      expect(await get('/api/v1/hosts')).toBe(503);
      expect(asked).toEqual([tries, tries, tries]);
      expect(await get('/')).toBe(200);
    }
  });
}
