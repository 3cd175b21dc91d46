/** A real Prometheus process that scrapes given hubs the way the shipped configuration says. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { freePort } from '../../../src/lib/freePort.ts';
import { findTool } from '../tools.ts';
import { until } from '../until.ts';

export const prometheusFolder = join(import.meta.dirname, '../../../deployments/prometheus');

export interface Series {
  metric: Record<string, string>;
  value: [timeS: number, value: string];
}

export interface Prometheus {
  /** What an expression is now; throws with Prometheus' own words where it is not valid. */
  ask(expression: string): Promise<Series[]>;
  /** Health of all targets, such as `hostroom up`. */
  targets(): Promise<{ job: string; health: string; lastError: string }[]>;
}

interface Configuration {
  global: Record<string, string>;
  rule_files: string[];
  scrape_configs: Record<string, unknown>[];
}

/** The shipped configuration with other targets, scraping each second. `hubs`: `address:port` of OPS_PORT. */
export async function startPrometheus(whenDone: (close: () => Promise<void>) => void, hubs: readonly string[]): Promise<Prometheus> {
  const folder = mkdtempSync(join(tmpdir(), 'hostroom-prometheus-'));
  const shipped = parse(readFileSync(join(prometheusFolder, 'prometheus.yaml'), 'utf8')) as Configuration;
  const configuration: Configuration = {
    global: { ...shipped.global, scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: shipped.rule_files.map((path) => path.replace('/etc/prometheus', prometheusFolder)),
    scrape_configs: shipped.scrape_configs.map((scrape) => ({ ...scrape, static_configs: [{ targets: hubs }] })),
  };
  writeFileSync(join(folder, 'prometheus.yaml'), stringify(configuration));
  const port = await freePort('127.0.0.1');
  const child = spawn(
    findTool('prometheus') ?? 'prometheus',
    [`--config.file=${folder}/prometheus.yaml`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=127.0.0.1:${port}`],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let output = '';
  child.stderr.on('data', (data: Buffer) => (output = (output + data.toString()).slice(-10_000)));
  whenDone(() => stop(child).then(() => rmSync(folder, { recursive: true, force: true })));
  const url = `http://127.0.0.1:${port}`;
  await until(
    async () => {
      if (child.exitCode !== null) throw new Error(`Prometheus ended: ${output}`);
      return (await fetch(`${url}/-/ready`).catch(() => undefined))?.ok;
    },
    'Prometheus is ready',
    30_000,
  );
  return {
    async ask(expression) {
      const answer = await fetch(`${url}/api/v1/query`, { method: 'POST', body: new URLSearchParams({ query: expression }) });
      const body = (await answer.json()) as { status: string; error?: string; data: { result: Series[] } };
      if (body.status !== 'success') throw new Error(`${expression}: ${body.error ?? ''}`);
      return body.data.result;
    },
    async targets() {
      const answer = await fetch(`${url}/api/v1/targets?state=active`);
      const body = (await answer.json()) as { data: { activeTargets: { labels: { job: string }; health: string; lastError: string }[] } };
      return body.data.activeTargets.map(({ labels, health, lastError }) => ({ job: labels.job, health, lastError }));
    },
  };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill();
  await ended;
}
