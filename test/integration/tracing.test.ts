/** Traces: one message and one sample are followed over two replicas to a real receiver; off, nothing of it is loaded. */

import { readFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { root, startTestApp } from '../support/app.ts';
import { FakeAgent } from '../support/fakeAgent.ts';
import { needs } from '../support/needs.ts';
import { startOtlpReceiver, type ReceivedSpan } from '../support/otlpReceiver.ts';
import { RawClient } from '../support/rawClient.ts';
import { startRedis } from '../support/redis.ts';
import { importsOf, readSources } from '../support/sources.ts';
import { until } from '../support/until.ts';

needs('redis').test(
  'one message and one sample are followed from one replica to the viewers of the other',
  async () => {
    const redis = await startRedis(onTestFinished);
    const receiver = await startOtlpReceiver(onTestFinished);
    const settings = { REDIS_URL: redis.url, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint, OTEL_TRACES_SAMPLER_ARG: '1' };
    const first = await startTestApp(onTestFinished, settings);
    const second = await startTestApp(onTestFinished, { ...settings, DATABASE_URL: first.database.url });
    const agent = await new FakeAgent(first.url).enrol(await first.app.localEnrolment());
    const publisher = await agent.connect();
    onTestFinished(() => publisher.ws.terminate());
    const person = await second.signIn();
    const viewer = await RawClient.connect(`${second.url.replace('http', 'ws')}/connection/websocket`, person.accessToken);
    onTestFinished(() => viewer.ws.terminate());
    for (const room of ['host', 'room'])
      expect((await viewer.call('subscribe', { channel: `${room}:${agent.host}` })).error).toBeUndefined();

    await until(async () => {
      await publisher.call('publish', { channel: `host:${agent.host}`, data: agent.sample({ 'cpu.busy': 0.5 }) });
      return viewer.pushes.some(({ channel }) => channel === `host:${agent.host}`);
    }, 'a sample went over the relay');
    // As another program would that follows a request through hostroom.
    const traceId = randomBytes(16).toString('hex');
    const posted = await fetch(`${first.url}/api/v1/rooms/${agent.host}/messages`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${person.accessToken}`,
        'content-type': 'application/json',
        traceparent: `00-${traceId}-${'1'.repeat(16)}-01`,
      },
      body: JSON.stringify({ text: 'hello' }),
    });
    expect(posted.status).toBe(201);

    const named = (name: string, trace: string): ReceivedSpan | undefined =>
      receiver.spans.find((span) => span.traceId === trace && span.name === name);
    const deliver = await until(() => named('deliver', traceId), 'the other replica delivered within the trace', 20_000);
    const request = await until(() => named('POST /api/v1/rooms/:id/messages', traceId), 'the request is told');
    const change = await until(() => named('change of a conversation', traceId), 'the commit is told');
    expect(request.parentSpanId).toBe('1'.repeat(16));
    expect(change.parentSpanId).toBe(request.spanId);
    expect(deliver.parentSpanId).toBe(change.spanId);
    expect(deliver.attributes).toMatchObject({ 'service.name': 'hostroom', room: `room:${agent.host}` });
    expect(deliver.attributes['service.instance.id']).not.toBe(change.attributes['service.instance.id']);
    expect([request, change, deliver].some(({ isFailed }) => isFailed)).toBe(false);

    const [sample, shown] = await until(() => {
      const shown = receiver.spans.find((span) => span.name === 'deliver' && span.attributes['room'] === `host:${agent.host}`);
      const sample = shown && named('sample', shown.traceId);
      return sample && ([sample, shown] as const);
    }, 'a sample was followed');
    expect(shown.parentSpanId).toBe(sample.spanId);
    expect(sample.attributes).toMatchObject({ host: agent.host });
    expect(shown.attributes['service.instance.id']).not.toBe(sample.attributes['service.instance.id']);

    // By WebSocket: the command and what it commits, and in the log of a failure the connection with the trace.
    const say = (text: string): Promise<{ error?: unknown }> =>
      viewer.call('publish', { channel: `room:${agent.host}`, data: { kind: 'message', text, key: text } });
    expect((await say('by WebSocket')).error).toBeUndefined();
    const said = await until(() => {
      const command = receiver.spans.find(({ name }) => name === 'command publish');
      return command && named('change of a conversation', command.traceId);
    }, 'the command and its commit are told');
    expect(said.parentSpanId).toBe(
      receiver.spans.find(({ name, traceId }) => name === 'command publish' && traceId === said.traceId)?.spanId,
    );
    await first.database.sql`alter table publication rename to publication_away`;
    expect((await say('in vain')).error).toBeDefined();
    const failed = second.lines.map((text) => JSON.parse(text) as { trace?: string; client?: string; msg: string });
    const failure = failed.find(({ msg }) => msg === 'a command failed');
    expect(failure?.client).toMatch(/^[0-9a-f-]{36}$/);
    await until(() => named('command publish', failure?.trace ?? ''), 'its trace is told');

    // The log names the trace beside the request, and no span tells a secret.
    const line = first.lines
      .map((text) => JSON.parse(text) as { trace?: string; request?: string; msg: string })
      .find(({ trace }) => trace === traceId);
    expect(line).toMatchObject({ msg: 'request', request: request.attributes['request'] });
    expect(JSON.stringify(receiver.spans)).not.toContain(person.accessToken);
  },
  60_000,
);

test('a collector that takes nothing is told once, and harms nothing', async () => {
  const receiver = await startOtlpReceiver(onTestFinished);
  receiver.status = 400;
  const hub = await startTestApp(onTestFinished, { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint });
  const person = await hub.signIn();
  const told = (): string[] => hub.lines.filter((line) => line.includes('collector of traces'));
  await until(() => told().length > 0, 'it is told', 20_000);
  expect((await person.call('GET', '/hosts')).status).toBe(200);
  await hub.app.close();
  expect(told()).toHaveLength(1);
});

test('settings are read at the start, off without an address', () => {
  expect(readConfig({}).tracing).toBeUndefined();
  expect(readConfig({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318/' }).tracing).toEqual({
    url: 'http://collector:4318/v1/traces',
    sampleRatio: 0.01,
    service: 'hostroom',
  });
  for (const wrong of [
    { OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' },
    { OTEL_TRACES_SAMPLER_ARG: '2' },
    { OTEL_TRACES_SAMPLER_ARG: 'x' },
  ])
    expect(() => readConfig(wrong)).toThrow(/OTEL_/);
});

test('where traces are off nothing of OpenTelemetry is loaded', () => {
  const loads = readSources(root, ['src', 'agent']).filter(
    (source) =>
      source.path !== 'src/ops/tracing.ts' &&
      importsOf(source, 'values').some((name) => name.startsWith('@opentelemetry') || name.endsWith('ops/tracing.ts')),
  );
  expect(loads.map(({ path }) => path)).toEqual(['src/traces.ts']);
  // That one loads it when it is called, and only then.
  expect(readFileSync(join(root, 'src/traces.ts'), 'utf8')).not.toMatch(/^import (?!type).*tracing\.ts/m);
});
