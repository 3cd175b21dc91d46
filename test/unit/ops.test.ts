/** What those who run the hub see: metrics that Prometheus accepts, health, readiness, logs without secrets. */

import { spawnSync } from 'node:child_process';
import { expect, onTestFinished, test } from 'vitest';
import { createLog } from '../../src/ops/log.ts';
import { createMetrics } from '../../src/ops/metrics.ts';
import type { MetricSources } from '../../src/ops/metrics.ts';
import { startOpsServer } from '../../src/ops/opsServer.ts';
import { catalogue, metricName } from '../../src/protocol/metrics.ts';
import { needs } from '../support/needs.ts';

const sources = (over: Partial<MetricSources> = {}): MetricSources => ({
  connections: () => ({ agent: 2, user: 3 }),
  subscriptions: () => 7,
  dbPool: () => ({ used: 1, idle: 2 }),
  degraded: () => ({ postgresql: false }),
  writerQueue: () => ({ rows: 5, bytes: 4096 }),
  hosts: () => [],
  ...over,
});

const everyMetric = Object.fromEntries(
  catalogue.flatMap((metric, index) =>
    metric.name.includes('*')
      ? [
          [metricName(metric.name, '0'), index],
          [metricName(metric.name, '1'), index],
        ]
      : [[metric.name, index]],
  ),
);

const textOf = async (page: AsyncIterable<string>): Promise<string> => (await Array.fromAsync(page)).join('');

function fullPage(): Promise<string> {
  const metrics = createMetrics(
    sources({
      hosts: () => [
        {
          id: 'h1',
          name: 'a "b"\nc\\',
          group: 'hosts',
          sample: { at: 1_700_000_000_000, metrics: { ...everyMetric, 'made.up': 1, 'net.%31.receive': 5 } },
        },
      ],
    }),
  );
  onTestFinished(() => metrics.close());
  metrics.received('agent');
  metrics.sent('user', 5);
  metrics.committed(0.012);
  metrics.delivered(0.0004);
  metrics.relayed(0.001);
  metrics.http('GET', '/api/v1/hosts/:id', 200, 0.003);
  metrics.error('writer');
  metrics.dropped('sample', 3);
  metrics.slowClientClosed();
  metrics.recovered('recovered');
  metrics.drainIncomplete();
  return textOf(metrics.page());
}

test('the page has every name that the contract gives', async () => {
  const page = await fullPage();
  for (const line of [
    'hostroom_connections{kind="agent"} 2',
    'hostroom_connections{kind="user"} 3',
    'hostroom_subscriptions 7',
    'hostroom_messages_received_total{kind="agent"} 1',
    'hostroom_messages_sent_total{kind="user"} 5',
    'hostroom_sample_commit_seconds_count 1',
    'hostroom_deliver_seconds_count 1',
    'hostroom_relay_seconds_count 1',
    'hostroom_http_request_duration_seconds_count{method="GET",route="/api/v1/hosts/:id",status="200"} 1',
    'hostroom_errors_total{where="writer"} 1',
    'hostroom_dropped_total{what="sample"} 3',
    'hostroom_slow_clients_closed_total 1',
    'hostroom_recoveries_total{result="recovered"} 1',
    'hostroom_db_pool{state="idle"} 2',
    'hostroom_degraded{dependency="postgresql"} 0',
    'hostroom_writer_queue_rows 5',
    'hostroom_writer_queue_bytes 4096',
    'hostroom_drain_incomplete 1',
    'hostroom_host_info{host="h1",name="a \\"b\\"\\nc\\\\",group="hosts"} 1',
    'hostroom_host_cpu_busy{host="h1"} 0',
  ])
    expect(page.split('\n')).toContain(line);
  expect(page).toMatch(/hostroom_host_net_receive\{host="h1",device="1"\} \d+/);
  // The same device in another encoding is no second series.
  expect(page).not.toContain('device="1"} 5\n');
  expect(page).toContain('process_resident_memory_bytes');
  expect(page).not.toContain('made');
});

needs('promtool').test('promtool finds nothing', async () => {
  const checked = spawnSync('promtool', ['check', 'metrics'], { input: await fullPage(), encoding: 'utf8' });
  expect({ status: checked.status, found: checked.stdout + checked.stderr }).toEqual({ status: 0, found: '' });
});

test('two hubs in one process count apart', async () => {
  const [one, other] = [createMetrics(sources()), createMetrics(sources())];
  one.dropped('sample');
  expect(await textOf(one.page())).toContain('hostroom_dropped_total{what="sample"} 1');
  expect(await textOf(other.page())).not.toContain('what="sample"');
});

test('the ops server tells health, readiness and metrics', async () => {
  let reason: string | undefined = 'starting';
  const seen: unknown[] = [];
  const metrics = createMetrics(sources());
  const server = await startOpsServer({
    host: '127.0.0.1',
    port: 0,
    metrics,
    notReady: () => reason,
    onError: (error) => seen.push(error),
  });
  onTestFinished(() => server.close());
  const get = async (path: string, method = 'GET') => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
    return [response.status, await response.text()] as const;
  };
  expect(await get('/healthz')).toEqual([200, 'ok\n']);
  expect(await get('/readyz')).toEqual([503, 'starting\n']);
  reason = undefined;
  expect(await get('/readyz')).toEqual([200, 'ready\n']);
  expect((await get('/metrics'))[1]).toContain('hostroom_subscriptions 7');
  expect((await get('/other'))[0]).toBe(404);
  expect((await get('/metrics', 'POST'))[0]).toBe(405);
  expect(seen).toEqual([]);
});

test('the log hides secrets and keeps one record on one line', () => {
  const lines: string[] = [];
  const log = createLog('info', { write: (line: string) => void lines.push(line) });
  log.info(
    {
      token: 'S1',
      req: { method: 'GET', url: '/x?token=S2', headers: { cookie: 'S3', authorization: 'S4' } },
      body: { login: 'x', password: 'S5', deep: { deeper: { refresh: 'S6' } } },
      user: { secret: 'S7', 'set-cookie': 'S8' },
    },
    'line one\r\n{"level":"fatal"}\u001b[31m\u0000',
  );
  log.child({ accessToken: 'S9' }).warn({ bytes: Buffer.from('S10'), list: [{ Password: 'S11' }] }, 'x');
  const text = lines.join('');
  expect(text).not.toMatch(/S\d/);
  expect(lines).toHaveLength(2);
  expect(text.trimEnd().split('\n')).toHaveLength(2);
  expect(text).not.toContain('\u001b');
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 'info', req: { method: 'GET', path: '/x' } });
  log.error(
    {
      err: Object.assign(new Error('away', { cause: new Error('below') }), {
        code: 'X1',
        parameters: ['S12'],
        rawPacket: Buffer.from('S13'),
      }),
    },
    'y',
  );
  expect(lines[2]).not.toMatch(/S1\d/);
  expect(JSON.parse(lines[2] ?? '')).toMatchObject({
    err: { name: 'Error', message: 'away', code: 'X1', cause: { message: 'below' } },
    msg: 'y',
  });
});
