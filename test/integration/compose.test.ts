/** deployments/compose.yaml, without Docker: what it names is there, its settings are known and valid, nginx takes its configuration. */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { readConfig as readAgentConfig } from '../../agent/config.ts';
import { readConfig } from '../../src/config.ts';
import { nginxConfig } from '../../src/local/balancer.ts';
import { needs } from '../support/needs.ts';
import { findTool } from '../support/tools.ts';

interface Service {
  image: string;
  build?: { context: string; target: string };
  environment?: Record<string, string>;
  depends_on?: Record<string, { condition: string }> | string[];
  networks?: Record<string, { ipv4_address: string }>;
  volumes?: string[];
  ports?: string[];
  profiles?: string[];
  healthcheck?: object;
  stop_grace_period?: string;
}
interface Compose {
  services: Record<string, Service>;
  volumes: Record<string, unknown>;
  networks: { default: { ipam: { config: [{ gateway: string }] } } };
}

const folder = resolve(import.meta.dirname, '../../deployments');
const compose = parse(readFileSync(join(folder, 'compose.yaml'), 'utf8'), { merge: true }) as Compose;
const dockerfile = readFileSync(join(folder, '../Dockerfile'), 'utf8');
const { services } = compose;
const [{ gateway }] = compose.networks.default.ipam.config;
const hubs = Object.entries(services).filter(([name]) => name.startsWith('hub-'));
/** What a person writes into `.env`. */
const written: Record<string, string> = { POSTGRES_PASSWORD: 'abc123', SECRET_KEY: Buffer.alloc(32, 1).toString('base64') };

/** As Compose puts `${NAME:-default}` and `${NAME:?}` in. */
function environmentOf(service: Service): Record<string, string> {
  const filled = Object.entries(service.environment ?? {}).map(([name, value]) => [
    name,
    String(value).replaceAll(/\$\{(\w+)(?::-([^}]*)|:\?)?\}/g, (_, key: string, fallback?: string) => written[key] ?? fallback ?? '?'),
  ]);
  return Object.fromEntries(filled) as Record<string, string>;
}

/** The names that a reader asks for. */
function namesRead(read: (environment: Record<string, string | undefined>) => unknown, environment: Record<string, string>): Set<string> {
  const names = new Set<string>();
  read(
    new Proxy(environment, {
      get(target, name) {
        if (typeof name === 'string') names.add(name);
        return Reflect.get(target, name) as unknown;
      },
    }),
  );
  return names;
}

test('every setting is one that the programs read, and all are valid', () => {
  expect(hubs.map(([name]) => name)).toEqual(['hub-1', 'hub-2']);
  for (const [, service] of hubs) {
    const environment = environmentOf(service);
    const known = namesRead(readConfig, environment);
    expect(Object.keys(environment).filter((name) => !known.has(name))).toEqual([]);
    expect(environment).toMatchObject({ REDIS_URL: 'redis://redis:6379' });
    const config = readConfig(environment);
    expect(config.trustedProxies).toEqual([services['nginx']!.networks!['default']!.ipv4_address, gateway]);
    expect(config.databaseUrl).toContain('@postgres:5432/');
    // Docker waits for longer than the hub takes.
    expect(Number.parseInt(service.stop_grace_period!, 10) * 1000).toBeGreaterThan(config.shutdownGraceMs);
  }
  const agent = environmentOf(services['agent']!);
  const known = namesRead((environment) => readAgentConfig(environment), agent);
  expect(Object.keys(agent).filter((name) => !known.has(name))).toEqual([]);
  expect(readAgentConfig(agent).hubUrl).toBe('http://nginx:8080');
});

test('what it names is there: services, volumes, files, images of the Dockerfile, published ports on this machine alone', () => {
  for (const [name, service] of Object.entries(services)) {
    const needed = Array.isArray(service.depends_on) ? service.depends_on : Object.keys(service.depends_on ?? {});
    for (const other of needed) expect(services, `${name} needs ${other}`).toHaveProperty(other);
    for (const [other, { condition }] of Array.isArray(service.depends_on) ? [] : Object.entries(service.depends_on ?? {})) {
      const hasCheck = services[other]!.healthcheck !== undefined || (services[other]!.build && /^HEALTHCHECK /m.test(dockerfile));
      expect(condition !== 'service_healthy' || hasCheck, `${name} waits for the health of ${other}`).toBeTruthy();
    }
    for (const volume of service.volumes ?? []) {
      const [source = ''] = volume.split(':');
      if (source === '/var/run/docker.sock') expect(name).toBe('alloy');
      else if (source.startsWith('.')) expect(existsSync(join(folder, source)), volume).toBe(true);
      else expect(Object.keys(compose.volumes), volume).toContain(source);
    }
    if (service.build) {
      expect(resolve(folder, service.build.context)).toBe(resolve(folder, '..'));
      expect(dockerfile).toMatch(new RegExp(`^FROM \\S+ AS ${service.build.target}$`, 'm'));
    } else expect(service.image, name).toMatch(/:v?\d/);
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
  }
});

/** Throws with what nginx says against it. */
function checkNginx(config: string, at: string): void {
  const file = join(at, 'nginx.conf');
  writeFileSync(file, config);
  execFileSync(findTool('nginx')!, ['-t', '-c', file, '-p', at], { stdio: 'pipe' });
}

function makeFolder(name: string): string {
  const made = mkdtempSync(join(tmpdir(), name));
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

needs('nginx').test('nginx takes its configuration, which names every hub', () => {
  const at = makeFolder('hostroom-nginx-');
  // Where the volumes put the files, and where it may write.
  let config = readFileSync(join(folder, 'nginx/nginx.conf'), 'utf8').replaceAll('/tmp/', `${at}/`);
  for (const volume of services['nginx']!.volumes!) {
    const [source = '', target = ''] = volume.split(':');
    config = config.replaceAll(target, join(folder, source));
  }
  checkNginx(config, at);
  const upstreams = [...config.matchAll(/server ([\d.]+):(\d+) /g)].map(([, address, port]) => ({ address, port }));
  const port = /\bPORT=(\d+)/.exec(dockerfile)![1];
  expect(upstreams).toEqual(hubs.map(([, { networks }]) => ({ address: networks!['default']!.ipv4_address, port })));
  expect(services['nginx']!.ports).toEqual([`127.0.0.1:8080:${/listen (\d+) /.exec(config)![1]}`]);
  expect(() => checkNginx(config.replace('least_conn;', 'most_conn;'), at)).toThrow(/most_conn/);
});

needs('nginx').test('nginx takes what the cluster on one machine writes, in folders with any name', () => {
  const at = makeFolder(`hostroom nginx "it's" \\ `);
  const root = resolve(folder, '..');
  for (const host of ['127.0.0.1', 'localhost', '::1'])
    checkNginx(nginxConfig({ folder: at, root, host, port: 18_080, ports: [18_081, 18_082] }), at);
});

test('what watches the hubs is off unless it is asked for, and finds hubs, rules, dashboards and each other', () => {
  const watching = Object.entries(services).filter(([, { profiles }]) => profiles?.includes('observe'));
  expect(watching.map(([name]) => name)).toEqual(['prometheus', 'grafana', 'loki', 'alloy', 'jaeger']);
  const read = (path: string): string => readFileSync(join(folder, path), 'utf8');
  const prometheus = parse(read('prometheus/prometheus.yaml'), { merge: true }) as {
    scrape_configs: { static_configs: [{ targets: string[] }] }[];
  };
  const opsPort = /\bOPS_PORT=(\d+)/.exec(dockerfile)![1];
  for (const { static_configs } of prometheus.scrape_configs)
    expect(static_configs[0].targets).toEqual(hubs.map(([name]) => `${name}:${opsPort}`));
  const { datasources } = parse(read('grafana/provisioning/datasources/hostroom.yaml')) as { datasources: { url: string }[] };
  for (const { url } of datasources) expect(Object.keys(services)).toContain(new URL(url).hostname);
  const written = /url = "([^"]+)"/.exec(read('loki/config.alloy'))![1]!;
  const { server } = parse(read('loki/loki.yaml')) as { server: { http_listen_port: number } };
  expect([new URL(written).hostname, Number(new URL(written).port)]).toEqual(['loki', server.http_listen_port]);
  // Traces go nowhere unless somebody says where to.
  expect(readConfig(environmentOf(hubs[0]![1])).tracing).toBeUndefined();
});
