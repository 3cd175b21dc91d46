/** `npm run bench -- web`: what a frame costs with eight charts, how long a sample takes to the screen, how much is loaded. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { chromium, type CDPSession, type Page } from 'playwright-core';
import { startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { freePort } from '../../src/lib/freePort.ts';
import { buildWeb, webIsStale } from '../../src/local/webBuild.ts';
import { createLog } from '../../src/ops/log.ts';
import { startHost } from './host.ts';

const root = join(import.meta.dirname, '..', '..');
const login = { login: 'bench@example.com', password: 'a long enough password' };
const measuredMs = 15_000;

const quantile = (values: readonly number[], q: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] ?? NaN;
const show = (values: readonly number[]): string =>
  `median ${quantile(values, 0.5).toFixed(2)} ms, p95 ${quantile(values, 0.95).toFixed(2)} ms, p99 ${quantile(values, 0.99).toFixed(2)} ms, n ${values.length}`;

interface TraceEvent {
  name: string;
  ts: number;
  dur?: number;
  /** Time on the processor, which other work on the machine does not change. */
  tdur?: number;
  pid: number;
  tid: number;
  args: { name?: string };
}

/** Processor milliseconds of the main thread between one frame's start and the next's; the work of a frame and what ran around it. */
async function traceFrames(session: CDPSession): Promise<{ busyMs: number[]; scriptMs: number[] }> {
  const events: TraceEvent[] = [];
  session.on('Tracing.dataCollected', ({ value }) => void events.push(...(value as unknown as TraceEvent[])));
  const complete = new Promise<void>((resolve) => session.once('Tracing.tracingComplete', () => resolve()));
  await session.send('Tracing.start', {
    transferMode: 'ReportEvents',
    traceConfig: { includedCategories: ['devtools.timeline', 'toplevel', 'disabled-by-default-devtools.timeline', '__metadata'] },
  });
  await new Promise((resolve) => setTimeout(resolve, measuredMs));
  await session.send('Tracing.end');
  await complete;
  const frames = events.filter((event) => event.name === 'FireAnimationFrame' && event.tdur !== undefined).sort((a, b) => a.ts - b.ts);
  const [first] = frames;
  if (!first) throw new Error('the trace has no frame');
  const tasks = events
    .filter((event) => event.name === 'ThreadControllerImpl::RunTask' && event.pid === first.pid && event.tid === first.tid)
    .sort((a, b) => a.ts - b.ts);
  const busyMs: number[] = [];
  let task = 0;
  while (task < tasks.length && tasks[task]!.ts + (tasks[task]!.dur ?? 0) < first.ts) task += 1;
  for (let index = 0; index + 1 < frames.length; index += 1) {
    let busy = 0;
    const end = frames[index + 1]!.ts;
    // A task counts for the frame in which it began; the one that fires the frame began just before it.
    while (task < tasks.length && tasks[task]!.ts + (tasks[task]!.dur ?? 0) < end) busy += tasks[task++]!.tdur ?? 0;
    busyMs.push(busy / 1000);
  }
  return { busyMs, scriptMs: frames.map((frame) => frame.tdur! / 1000) };
}

/** Notes when the strips were painted: the frame after the last of the seven canvases was drawn. */
const watchCanvases = `(() => {
  window.painted = [];
  const clear = CanvasRenderingContext2D.prototype.clearRect;
  CanvasRenderingContext2D.prototype.clearRect = function (...box) {
    const drawn = this.canvas;
    if (drawn.closest('.plot')) requestAnimationFrame(() => window.painted.push(Date.now()));
    return clear.apply(this, box);
  };
})()`;

async function sampleToPixel(page: Page, publishedAt: readonly number[]): Promise<number[]> {
  await page.evaluate('window.painted.length = 0');
  const before = publishedAt.length;
  await new Promise((resolve) => setTimeout(resolve, measuredMs));
  const painted = await page.evaluate<number[]>('window.painted');
  return publishedAt.slice(before, -1).flatMap((at) => {
    // All seven strips of this sample, before the next one is published.
    const strips = painted.filter((time) => time >= at && time < at + 990).slice(0, 7);
    return strips.length === 7 ? [strips[6]! - at] : [];
  });
}

function firstLoadBytes(): { script: number; style: number } {
  const dist = join(root, 'web/dist');
  const html = readFileSync(join(dist, 'index.html'), 'utf8');
  const size = (pattern: RegExp): number =>
    [...html.matchAll(pattern)].reduce((sum, [, path]) => sum + gzipSync(readFileSync(join(dist, path!))).length, 0);
  return { script: size(/(?:src|href)="(\/[^"]+\.js)"/g), style: size(/href="(\/[^"]+\.css)"/g) };
}

/** The list of 1,000 hosts, from navigation to rows that answer to the filter. */
async function fleetMs(page: Page, url: string): Promise<number[]> {
  const [template] = (await page.evaluate(`fetch('/api/v1/auth/refresh', { method: 'POST' })
    .then((answer) => answer.json())
    .then(({ accessToken }) => fetch('/api/v1/hosts', { headers: { authorization: 'Bearer ' + accessToken } }))
    .then((answer) => answer.json()).then(({ items }) => items)`)) as Record<string, unknown>[];
  await page.route('**/api/v1/hosts?*', (route) => {
    const after = Number(new URL(route.request().url()).searchParams.get('after') ?? 0);
    const items = Array.from({ length: 200 }, (_, index) => ({
      ...template,
      id: `00000000-0000-7000-8000-${String(after + index).padStart(12, '0')}`,
      name: `host-${after + index}`,
    }));
    return route.fulfill({ json: { items, next: after + 200 < 1000 ? String(after + 200) : null } });
  });
  const times: number[] = [];
  for (let run = 0; run < 5; run += 1) {
    const started = performance.now();
    await page.goto(url);
    await page.locator('.head .sub', { hasText: '1000 hosts' }).waitFor();
    await page.getByRole('textbox', { name: 'Filter by name' }).fill('host-999');
    await page.locator('.fleet-row', { hasText: 'host-999' }).waitFor();
    times.push(performance.now() - started);
  }
  return times;
}

if (await webIsStale(root)) await buildWeb(root);
const dataDir = mkdtempSync(join(tmpdir(), 'hostroom-bench-'));
const config = readConfig({
  PORT: String(await freePort('127.0.0.1')),
  OPS_PORT: String(await freePort('127.0.0.1')),
  DATA_DIR: dataDir,
  ADMIN_EMAIL: login.login,
  ADMIN_PASSWORD: login.password,
});
const app = await startApp({ config, log: createLog('error'), version: 'bench', root });
const url = `http://127.0.0.1:${config.port}`;
const host = await startHost(url, login, 900);
const browser = await chromium.launch({
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  args: [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-sync',
  ],
});
try {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.addInitScript(watchCanvases);
  await page.goto(url);
  await page.getByLabel('E-mail').fill(login.login);
  await page.getByLabel('Password', { exact: true }).fill(login.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.locator('.fleet-row', { hasText: host.name }).waitFor();

  const { script, style } = firstLoadBytes();
  console.log(`first load, gzip: ${(script / 1000).toFixed(1)} kB of JS, ${(style / 1000).toFixed(1)} kB of CSS`);
  const session = await page.context().newCDPSession(page);
  for (const window of ['60s', '15m']) {
    await page.goto(`${url}/hosts/${host.id}?window=${window}`);
    await page.locator('.strip').nth(6).waitFor();
    await page.waitForTimeout(3_000);
    const { busyMs, scriptMs } = await traceFrames(session);
    console.log(`window ${window}: main thread per frame ${show(busyMs)}`);
    console.log(`window ${window}: script per frame ${show(scriptMs)}`);
    console.log(`window ${window}: sample to pixel ${show(await sampleToPixel(page, host.publishedAt))}`);
  }
  console.log(`fleet of 1,000 hosts, load to filtered: ${show(await fleetMs(page, url))}`);
} finally {
  await browser.close();
  host.close();
  await app.close();
  rmSync(dataDir, { recursive: true, force: true });
}
