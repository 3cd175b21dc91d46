import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ConfigError, readConfig } from '../../../agent/config.ts';

const faultsOf = (environment: Record<string, string>): readonly string[] => {
  try {
    readConfig(environment);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
};

test('nothing set is a local agent', () => {
  const config = readConfig({});
  expect(config).toMatchObject({ hubUrl: 'http://localhost:8080', intervalMs: 1_000, enrolmentToken: undefined, logLevel: 'info' });
});

test('all faults are told at once', () => {
  const faults = faultsOf({ HUB_URL: 'hub', INTERVAL: '5', ENROLMENT_TOKEN: 'a b', LOG_LEVEL: 'loud' });
  expect(faults.map((fault) => fault.split(' ')[0])).toEqual(['LOG_LEVEL', 'HUB_URL', 'INTERVAL', 'ENROLMENT_TOKEN']);
});

test('another root is a folder with a /proc', () => {
  const root = mkdtempSync(join(tmpdir(), 'hostroom-root-'));
  expect(faultsOf({ HOST_ROOT: root })).toEqual([expect.stringMatching(/^HOST_ROOT is/)]);
  mkdirSync(join(root, 'proc'));
  expect(readConfig({ HOST_ROOT: `${root}/` }).hostRoot).toBe(root);
  expect(readConfig({}).hostRoot).toBe('');
  expect(readConfig({ HOST_ROOT: '/' }).hostRoot).toBe('');
  rmSync(root, { recursive: true });
});

test.each(['http://localhost:8080', 'http://127.0.0.1', 'http://[::1]:9', 'https://hub.example.net', 'https://hub.example.net/under/'])(
  '%s is allowed',
  (url) => {
    expect(faultsOf({ HUB_URL: url })).toEqual([]);
  },
);

test.each([
  'http://hub.example.net',
  'http://10.0.0.1:8080',
  'http://localhost.evil.net',
  'ftp://x',
  'https://user:secret@hub',
  'https://hub?x=1',
])('%s is refused', (url) => {
  expect(faultsOf({ HUB_URL: url })).toHaveLength(1);
});

test('plain http to another machine needs a word', () => {
  expect(readConfig({ HUB_URL: 'http://10.0.0.1:8080/', INSECURE: '1' }).hubUrl).toBe('http://10.0.0.1:8080');
  expect(readConfig({ HUB_URL: 'http://10.0.0.1:8080' }, { insecure: true }).hubUrl).toBe('http://10.0.0.1:8080');
  expect(faultsOf({ HUB_URL: 'http://10.0.0.1:8080' })[0]).toContain('INSECURE=1');
});
