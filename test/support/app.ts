/** Starts a whole hub on a database of its own, as `npm run hub` would, with the agent of this machine where that is wanted. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startApp, type App } from '../../src/app.ts';
import { readConfig, type Config } from '../../src/config.ts';
import { freePort } from '../../src/lib/freePort.ts';
import { startLocalAgent } from '../../src/local/localAgent.ts';
import { createLog } from '../../src/ops/log.ts';
import { freshDatabase, type TestDatabase } from './database.ts';

export const root = join(import.meta.dirname, '../..');

export interface TestApp {
  app: App;
  config: Config;
  database: TestDatabase;
  /** Where browsers go. */
  url: string;
  opsUrl: string;
  /** What the hub logged, a JSON text each. */
  lines: string[];
  /** Starts a real agent for this machine; it stops with the test. */
  startAgent(): Promise<{ close(): Promise<void> }>;
  /** Signs the admin in through a one-time link; for REST calls as a program would make them. */
  signIn(): Promise<{ accessToken: string; call: (method: string, path: string, body?: unknown) => Promise<Response> }>;
}

/** Closes itself. `environment` overrides what the hub reads. */
export async function startTestApp(
  whenDone: (close: () => Promise<void>) => void,
  environment: Readonly<Record<string, string>> = {},
): Promise<TestApp> {
  const database = await freshDatabase(whenDone);
  const dataDir = mkdtempSync(join(tmpdir(), 'hostroom-app-'));
  const lines: string[] = [];
  const config = readConfig({
    HOST: '127.0.0.1',
    PORT: String(await freePort('127.0.0.1')),
    OPS_PORT: String(await freePort('127.0.0.1')),
    DATA_DIR: dataDir,
    DATABASE_URL: database.url,
    SECRET_KEY: Buffer.alloc(32, 7).toString('base64'),
    ...environment,
  });
  const log = createLog('debug', { write: (line: string) => void lines.push(line) });
  const app = await startApp({ config, log, version: '0.0.0-test', root });
  const closers: (() => Promise<void>)[] = [async () => rmSync(dataDir, { recursive: true, force: true }), () => app.close()];
  whenDone(async () => {
    for (let step = closers.pop(); step; step = closers.pop()) await step();
  });
  const url = `http://127.0.0.1:${config.port}`;
  return {
    app,
    config,
    database,
    url,
    opsUrl: app.opsUrl,
    lines,
    async startAgent() {
      const agent = await startLocalAgent({
        programDir: join(dataDir, 'cache/agent'),
        stateDir: join(dataDir, 'agent'),
        hubUrl: url,
        enrolmentToken: await app.localEnrolment(),
        onExit: () => undefined,
      });
      closers.push(() => agent.close());
      return agent;
    },
    async signIn() {
      const token = (await app.newSignInLink()).split('#')[1];
      const answer = await fetch(`${url}/api/v1/auth/sign-in-link`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ token }),
      });
      if (answer.status !== 200) throw new Error(`signing in failed: ${await answer.text()}`);
      const { accessToken } = (await answer.json()) as { accessToken: string };
      const call = (method: string, path: string, body?: unknown): Promise<Response> =>
        fetch(`${url}/api/v1${path}`, {
          method,
          headers: { authorization: `Bearer ${accessToken}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
          body: body === undefined ? undefined : JSON.stringify(body),
        });
      return { accessToken, call };
    },
  };
}
