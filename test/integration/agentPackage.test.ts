import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  agentNodeFlags,
  agentScript,
  installCommand,
  packAgent,
  shellQuoted,
  unpackAgent,
  type AgentPackage,
} from '../../src/api/agentPackage.ts';
import { startAgentHub } from '../support/agentHub.ts';
import { until } from '../support/until.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
const isUnix = process.platform !== 'win32';

let folder: string;
let agentPackage: AgentPackage;
let server: Server;
let hubUrl: string;

/** A Node outside this project, as a machine that joins has it; otherwise the one that runs the tests. */
const systemNode =
  (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((path) => !path.includes('node_modules'))
    .map((path) => join(path, 'node'))
    .find((path) => existsSync(path) && Number(/v(\d+)/.exec(spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout)?.[1]) >= 20) ??
  process.execPath;

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'agent package ')));
  agentPackage = await packAgent();
  server = createServer((request, response) => {
    if (request.url === '/agent.tgz') response.end(agentPackage.tarball);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  hubUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true });
});

test('the tarball installs without a registry and runs with the Node of the machine', () => {
  const target = join(folder, 'npm');
  mkdirSync(target);
  writeFileSync(join(folder, 'agent.tgz'), agentPackage.tarball);
  execFileSync('tar', ['-xzf', join(folder, 'agent.tgz'), '-C', target]);
  const main = join(target, 'package', 'agent', 'main.js');
  expect(execFileSync(systemNode, [main, '--version'], { encoding: 'utf8' }).trim()).toBe(version);
  expect(existsSync(join(target, 'package/node_modules/systeminformation/package.json'))).toBe(true);
  expect(agentPackage.tarball.length).toBeLessThan(300_000);
});

test('npm takes it offline', () => {
  const target = join(folder, 'offline');
  mkdirSync(target);
  writeFileSync(join(folder, 'offline.tgz'), agentPackage.tarball);
  const npm = spawnSync('npm', ['install', '--offline', '--no-audit', '--no-fund', '--prefix', target, join(folder, 'offline.tgz')], {
    encoding: 'utf8',
  });
  expect(npm.status, npm.stderr).toBe(0);
  const program = join(target, 'node_modules/.bin/hostroom-agent');
  expect(execFileSync(systemNode, [program, '--version'], { encoding: 'utf8' }).trim()).toBe(version);
});

test('the unpacked agent enrols, sends this machine’s figures, and stops cleanly', async () => {
  const hub = await startAgentHub();
  const main = await unpackAgent(join(folder, 'unpacked'));
  const environment = { PATH: process.env['PATH'], HUB_URL: hub.url, ENROLMENT_TOKEN: 'token', STATE_DIR: join(folder, 'state') };
  const agent = spawn(process.execPath, [...agentNodeFlags, main], { stdio: ['ignore', 'pipe', 'inherit'], env: environment });
  try {
    await until(() => hub.committed.length >= 3 && hub.inventories.length > 0);
    expect(hub.inventories[0]).toMatchObject({ agentVersion: version, cores: expect.any(Number), hostname: expect.any(String) });
    expect(hub.committed.map((one) => one.seq)).toEqual(hub.committed.map((_, index) => index + 1));
    expect(hub.faults).toEqual([]);
    const ended = new Promise((resolve) => agent.on('exit', (code, signal) => resolve([code, signal])));
    agent.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    expect(statSync(join(folder, 'state', 'identity.json')).mode & 0o777).toBe(0o600);
  } finally {
    agent.kill('SIGKILL');
    await hub.close();
  }
});

test('a configuration fault is told in words, with the exit code that stops a supervisor', async () => {
  const main = await unpackAgent(join(folder, 'unpacked'));
  const { status, stderr } = spawnSync(systemNode, [main], { encoding: 'utf8', env: { HUB_URL: 'http://hub.example.net', INTERVAL: '0' } });
  expect(status).toBe(78);
  expect(stderr).toContain('HUB_URL');
  expect(stderr).toContain('INTERVAL');
  expect(stderr).not.toContain('    at ');
});

const isRoot = process.getuid?.() === 0;

test.skipIf(!isUnix)('the script is a POSIX script whatever the hub’s address', async () => {
  for (const url of ['https://hub.example.net', "http://x/'; touch pwned; '", 'http://x/$(id)`id`"']) {
    const script = join(folder, 'agent.sh');
    writeFileSync(script, await agentScript(url));
    expect(spawnSync('sh', ['-n', script]).status).toBe(0);
    const printed = execFileSync('sh', ['-c', `eval "$(grep '^HUB_URL=' ${shellQuoted(script)})"; printf %s "$HUB_URL"`], {
      encoding: 'utf8',
      cwd: folder,
    });
    expect(printed).toBe(url);
  }
  expect(existsSync(join(folder, 'pwned'))).toBe(false);
});

test.skipIf(!isUnix)('the script installs below another root, updates, and removes all of it again', async () => {
  const root = join(folder, 'root');
  const home = join(folder, 'home');
  const script = join(folder, 'install.sh');
  writeFileSync(script, await agentScript(hubUrl));
  const run = (environment: Record<string, string>, ...args: string[]) =>
    spawnSyncAsync('sh', [script, ...args], { PATH: process.env['PATH'] ?? '', HOME: home, DESTDIR: root, DRY_RUN: '1', ...environment });
  const token = 'a"b\\c$d';
  const first = await run({ ENROLMENT_TOKEN: token });
  expect(first.code, first.output).toBe(0);
  if (isRoot) {
    expect(readFileSync(join(root, 'etc/hostroom-agent.env'), 'utf8')).toBe(`HUB_URL="${hubUrl}"\nENROLMENT_TOKEN="a\\"b\\\\c$d"\n`);
    expect(statSync(join(root, 'etc/hostroom-agent.env')).mode & 0o777).toBe(0o600);
    const unit = readFileSync(join(root, 'etc/systemd/system/hostroom-agent.service'), 'utf8');
    expect(unit).toContain('/opt/hostroom-agent/agent/main.js');
    expect(unit).not.toContain('a"b');
    expect((await run({})).code).toBe(0);
    expect(readFileSync(join(root, 'etc/hostroom-agent.env'), 'utf8')).toContain('ENROLMENT_TOKEN');
  }
  const main = join(root, isRoot ? 'opt/hostroom-agent' : `${home}/.local/share/hostroom-agent`, 'agent/main.js');
  expect(execFileSync(systemNode, [main, '--version'], { encoding: 'utf8' }).trim()).toBe(version);
  expect(readdirSync(dirname(dirname(dirname(main)))).filter((name) => name.startsWith('.hostroom'))).toEqual([]);
  expect((await run({}, '--uninstall')).code).toBe(0);
  expect(existsSync(main)).toBe(false);
  expect(existsSync(join(root, 'etc/hostroom-agent.env'))).toBe(false);
});

test.skipIf(!isUnix)('a hub that does not answer with the agent leaves nothing behind', async () => {
  const root = join(folder, 'nothing');
  const script = join(folder, 'broken.sh');
  writeFileSync(script, await agentScript(`${hubUrl}/elsewhere`));
  const { code, output } = await spawnSyncAsync('sh', [script], {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    DESTDIR: root,
    DRY_RUN: '1',
  });
  expect(code).toBe(1);
  expect(output).toContain('could not be fetched');
  expect(existsSync(join(root, 'opt/hostroom-agent'))).toBe(false);
});

test('the command to paste is one shell line', () => {
  expect(installCommand('https://hub.example.net', 'abc-_')).toBe('curl -fsSL https://hub.example.net/agent.sh | ENROLMENT_TOKEN=abc-_ sh');
  expect(installCommand('http://10.0.0.1:8080', 'abc')).toBe(
    'curl -fsSL http://10.0.0.1:8080/agent.sh | INSECURE=1 ENROLMENT_TOKEN=abc sh',
  );
  expect(installCommand('https://hub', "a'b")).toContain("ENROLMENT_TOKEN='a'\\''b' sh");
});

/** Not spawnSync: this process serves the tarball meanwhile. */
async function spawnSyncAsync(
  command: string,
  args: string[],
  env: Record<string, string>,
): Promise<{ code: number | null; output: string }> {
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => (output += String(part)));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, output };
}
