/** A real Prometheus scrapes two hubs with agents: both pages are taken, the rules hold, every query of the dashboards has an answer. */

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { catalogue, metricName, prometheusName } from '../../src/protocol/metrics.ts';
import { startTestApp } from '../support/app.ts';
import { expressionsOf, fillIn, grafanaFolder, readDashboards } from '../support/deployments/dashboards.ts';
import { prometheusFolder, startPrometheus } from '../support/deployments/prometheus.ts';
import { FakeAgent } from '../support/fakeAgent.ts';
import { needs } from '../support/needs.ts';
import { RawClient } from '../support/rawClient.ts';
import { startRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const rules = readdirSync(join(prometheusFolder, 'rules')).filter((name) => name.endsWith('.rules.yaml'));
const dashboards = readDashboards();

needs('promtool').describe('promtool', () => {
  const run = (...args: string[]): { status: number | null; said: string } => {
    const done = spawnSync('promtool', args, { cwd: join(prometheusFolder, 'rules'), encoding: 'utf8' });
    return { status: done.status, said: done.stdout + done.stderr };
  };

  test('takes the configuration', () => {
    const done = run('check', 'config', '--syntax-only', '../prometheus.yaml');
    expect(done, done.said).toMatchObject({ status: 0 });
  });

  test('takes the rules', () => {
    const done = run('check', 'rules', '--lint-fatal', ...rules);
    expect(done, done.said).toMatchObject({ status: 0 });
  });

  test('sees the alerts fire when they should, and only then', () => {
    const done = run('test', 'rules', 'tests.yaml');
    expect(done, done.said).toMatchObject({ status: 0 });
  });
});

interface Rule {
  alert?: string;
  record?: string;
  expr: string;
  labels?: { severity: string };
  annotations?: { summary: string; action: string };
}
const allRules = rules.flatMap((name) => {
  const file = parse(readFileSync(join(prometheusFolder, 'rules', name), 'utf8')) as { groups: { rules: Rule[] }[] };
  return file.groups.flatMap((group) => group.rules);
});

test('every alert says what is wrong and what to do', () => {
  for (const { alert, labels, annotations } of allRules.filter((rule) => rule.alert !== undefined)) {
    expect(['warning', 'critical'], alert).toContain(labels?.severity);
    expect(annotations?.summary, alert).toMatch(/\.$/);
    expect(annotations?.action, alert).toMatch(/\.$/);
  }
});

describe.each(dashboards)('dashboard $uid', (dashboard) => {
  test('has panels that do not overlap, each with a title, a unit and its own number', () => {
    const { panels } = dashboard;
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const taken = new Set<string>();
    for (const { title, type, gridPos, targets, fieldConfig } of panels) {
      expect(title).not.toBe('');
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.has(`${x} ${y}`), title).toBe(false);
          taken.add(`${x} ${y}`);
        }
      if (type === 'row') continue;
      expect(targets?.length, title).toBeGreaterThan(0);
      expect(new Set(targets?.map(({ refId }) => refId)).size).toBe(targets?.length);
      for (const { datasource } of targets ?? []) expect(datasource).toEqual({ type: 'prometheus', uid: '${datasource}' });
      if (type === 'timeseries' || type === 'stat') expect(fieldConfig?.defaults.unit, title).toBeTruthy();
    }
  });

  test('asks only for variables that it has', () => {
    const known = new Set([...dashboard.templating.list.map(({ name }) => name), '__rate_interval']);
    for (const { panel, expression } of expressionsOf(dashboard))
      for (const [, name = ''] of expression.matchAll(/\$(\w+)/g)) expect(known, panel).toContain(name);
  });
});

test('Grafana finds the dashboards and the data sources', () => {
  const read = (path: string): unknown => parse(readFileSync(join(grafanaFolder, 'provisioning', path), 'utf8'));
  expect(read('dashboards/hostroom.yaml')).toMatchObject({
    apiVersion: 1,
    providers: [{ type: 'file', options: { path: '/var/lib/grafana/dashboards' } }],
  });
  const { datasources } = read('datasources/hostroom.yaml') as { datasources: { uid: string; type: string; url: string }[] };
  expect(datasources.map(({ type }) => type)).toEqual(['prometheus', 'loki', 'jaeger']);
});

needs('prometheus', 'redis').test(
  'two hubs with agents are scraped, and every query of every dashboard and rule has an answer',
  async () => {
    const redis = await startRedis(onTestFinished);
    const first = await startTestApp(onTestFinished, { REDIS_URL: redis.url });
    const second = await startTestApp(onTestFinished, { REDIS_URL: redis.url, DATABASE_URL: first.database.url });
    const prometheus = await startPrometheus(
      onTestFinished,
      [first, second].map(({ opsUrl }) => new URL(opsUrl).host),
    );
    await first.startAgent();
    // Everything that an agent may tell of, more than this machine has.
    const fake = await new FakeAgent(second.url).enrol(await second.app.localEnrolment());
    const agent = await fake.connect();
    const everything = (): Record<string, number> =>
      Object.fromEntries(
        catalogue.flatMap(({ name }) =>
          (name.includes('*') ? ['0', '1'] : ['']).map((device) => [metricName(name, device), 0.25 + Math.random()]),
        ),
      );
    let publishing: Promise<unknown> = Promise.resolve();
    const timer = setInterval(() => {
      publishing = agent.call('publish', { channel: `host:${fake.host}`, data: fake.sample(everything()) });
      publishing.catch(() => undefined);
    }, 250);
    onTestFinished(async () => {
      clearInterval(timer);
      await publishing.catch(() => undefined);
      agent.ws.terminate();
    });
    const person = await first.signIn();
    const viewer = await RawClient.connect(`${second.url.replace('http', 'ws')}/connection/websocket`, person.accessToken);
    onTestFinished(() => viewer.ws.terminate());
    expect((await viewer.call('subscribe', { channel: `host:${fake.host}` })).error).toBeUndefined();

    await until(
      async () => (await prometheus.targets()).filter(({ health }) => health === 'up').length === 4,
      'both pages of both hubs are scraped',
      30_000,
    );
    const one = async (expression: string): Promise<number> => Number((await prometheus.ask(expression))[0]?.value[1]);
    await until(async () => (await one('count(hostroom_host_info)')) === 2, 'both hosts are seen, each once', 30_000);
    await until(
      async () => (await one(`sum(rate(node_network_receive_bytes_total{host="${fake.host}"}[5s]))`)) > 0,
      'counters count',
      30_000,
    );

    // Of the agent that sends everything: all is exported, and under node_exporter's names as the host that it is.
    const exported = await prometheus.ask(`count by (__name__) ({__name__=~"hostroom_host_.+", host="${fake.host}"})`);
    const names = new Set(exported.map(({ metric }) => metric['__name__']));
    expect(catalogue.map(prometheusName).filter((name) => !names.has(name))).toEqual([]);
    expect((await prometheus.ask(`node_load1{host="${fake.host}"}`))[0]?.metric).toEqual({
      __name__: 'node_load1',
      instance: 'fake',
      host: fake.host,
      job: 'node',
    });
    // Two cores, of which each second has one second; samples are 250 ms apart.
    await until(async () => Math.abs((await one(`count(node_cpu_seconds_total{host="${fake.host}", mode="idle"})`)) - 2) < 0.1);

    const values = { __rate_interval: '5s', job: 'hostroom', group: '.*', host: fake.host };
    const silent = async (): Promise<string[]> => {
      const expressions = [
        ...dashboards.flatMap(expressionsOf),
        ...allRules.filter((rule) => rule.record !== undefined).map(({ record = '' }) => ({ panel: 'rule', expression: record })),
      ];
      const answers = await Promise.all(
        expressions.map(async ({ panel, expression }) => ({ panel, answer: await prometheus.ask(fillIn(expression, values)) })),
      );
      return answers.filter(({ answer }) => answer.length === 0).map(({ panel }) => panel);
    };
    let last: string[] = [];
    await until(async () => (last = await silent()).length === 0, 'every query has an answer', 40_000).catch((error: unknown) =>
      expect(last, String(error)).toEqual([]),
    );
    for (const { expr } of allRules) await prometheus.ask(expr);
    // What a variable offers: the host, by its id and its name.
    const variable = dashboards.find(({ uid }) => uid === 'hostroom-host')?.templating.list.find(({ name }) => name === 'host');
    const pattern = new RegExp(variable?.regex.slice(1, -1) ?? '');
    expect(pattern.exec(`{host="${fake.host}", name="fake"} 1 1700000000000`)?.groups).toEqual({ value: fake.host, text: 'fake' });
  },
  120_000,
);
