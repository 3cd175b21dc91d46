/** The configuration: its defaults, its refusals, all at once. */

import { expect, test } from 'vitest';
import { ConfigError, atPort, readConfig, warnings } from '../../src/config.ts';
import { parseDuration } from '../../src/lib/duration.ts';
import { parseRedisAddress } from '../../src/lib/redisAddress.ts';

const key = Buffer.alloc(32, 7).toString('base64');

const faultsOf = (env: Record<string, string>): readonly string[] => {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  return [];
};

test('an empty environment gives the defaults', () => {
  const config = readConfig({ PORT: '', OPS_PORT: '  ' });
  expect(config).toMatchObject({
    host: '127.0.0.1',
    port: 8080,
    opsPort: 8081,
    publicUrl: 'http://localhost:8080',
    databaseUrl: undefined,
    redis: undefined,
    secretKey: undefined,
    admin: undefined,
    migrate: true,
    registration: 'invite',
    allowedOrigins: ['http://localhost:8080', 'http://127.0.0.1:8080', 'http://[::1]:8080'],
    trustedProxies: [],
    retention: {
      rawMs: 86_400_000,
      tenSecondsMs: 604_800_000,
      minuteMs: 90 * 86_400_000,
      hourMs: 3 * 31_557_600_000,
      messagesMs: Infinity,
    },
    shutdownGraceMs: 10_000,
    logLevel: 'info',
    limits: { subscriptions: 128, connectionsPerUser: 20, connectionsPerAddress: 200, handshakes: 200 },
  });
  expect(config.dataDir).toMatch(/\/data$/);
  expect(Object.isFrozen(config) && Object.isFrozen(config.limits) && Object.isFrozen(config.allowedOrigins)).toBe(true);
});

test('all faults are listed at once, each with its name and remedy', () => {
  const faults = faultsOf({
    PORT: 'abc',
    OPS_PORT: '70000',
    HOST: 'not a host',
    PUBLIC_URL: 'https://hub.example.com/path',
    DATABASE_URL: 'mysql://x',
    DATABASE_DIRECT_URL: 'nothing',
    MIGRATE: 'yes',
    SECRET_KEY: 'c2hvcnQ=',
    ADMIN_EMAIL: 'nobody',
    REGISTRATION: 'maybe',
    ALLOWED_ORIGINS: 'https://hub.example.com/',
    TRUSTED_PROXIES: '10.0.0.0/99',
    RETENTION_RAW: 'forever',
    RETENTION_10S: '1h',
    RETENTION_MESSAGES: '5 days',
    SHUTDOWN_GRACE: '0s',
    LOG_LEVEL: 'loud',
    LIMIT_SUBSCRIPTIONS: '-1',
    LIMIT_HANDSHAKES: '1e9',
    REDIS_URL: 'localhost:6379',
  });
  expect(faults[0]).toBe('PORT: "abc" is not a port number (1–65535); unset it for 8080');
  expect(faults.map((fault) => fault.split(':')[0] ?? '').sort((a, b) => a.localeCompare(b))).toEqual([
    'ADMIN_EMAIL',
    'ADMIN_PASSWORD',
    'ALLOWED_ORIGINS',
    'DATABASE_DIRECT_URL',
    'DATABASE_URL',
    'HOST',
    'LIMIT_HANDSHAKES',
    'LIMIT_SUBSCRIPTIONS',
    'LOG_LEVEL',
    'MIGRATE',
    'OPS_PORT',
    'PORT',
    'PUBLIC_URL',
    'REDIS_URL',
    'REGISTRATION',
    'RETENTION_10S',
    'RETENTION_MESSAGES',
    'RETENTION_RAW',
    'SECRET_KEY',
    'SHUTDOWN_GRACE',
    'TRUSTED_PROXIES',
  ]);
});

test('a real database needs a key, and no secret is repeated in a fault', () => {
  expect(faultsOf({ DATABASE_URL: 'postgres://u:p@h/d' })).toEqual([expect.stringContaining('SECRET_KEY: is required')]);
  expect(readConfig({ DATABASE_URL: 'postgres://u:p@h/d', SECRET_KEY: key }).secretKey).toHaveLength(32);
  expect(readConfig({ DATABASE_URL: 'postgres://u:p@h/d' }, 'migrate').secretKey).toBeUndefined();
  const several = 'postgres://u:p@first:5432,second:5433,[::1]/d?target_session_attrs=read-write';
  expect(readConfig({ DATABASE_URL: several, SECRET_KEY: key }).databaseUrl).toBe(several);
  const text = faultsOf({ DATABASE_URL: 'postgre://u:hidden1@h/d', SECRET_KEY: 'hidden2', ADMIN_PASSWORD: 'hidden3' }).join('\n');
  expect(text).not.toContain('hidden');
});

test.each([
  ['10s', 10_000],
  ['1.5h', 5_400_000],
  ['500ms', 500],
  ['7d', 604_800_000],
  ['forever', Infinity],
  ['', undefined],
  ['10', undefined],
  ['-1s', undefined],
  ['1e3s', undefined],
  ['10S', undefined],
])('the duration %j is %j', (text, ms) => expect(parseDuration(text)).toBe(ms));

test('a public address decides the origins', () => {
  expect(readConfig({ PUBLIC_URL: 'https://Hub.Example.com/' })).toMatchObject({
    publicUrl: 'https://hub.example.com',
    allowedOrigins: ['https://hub.example.com'],
  });
  expect(readConfig({ ALLOWED_ORIGINS: 'https://a.example, http://b.example:81' }).allowedOrigins).toEqual([
    'https://a.example',
    'http://b.example:81',
  ]);
});

test('a free port fixes the addresses made from it', () => {
  const config = atPort(readConfig({ PORT: '0' }), 4321);
  expect(config).toMatchObject({
    port: 4321,
    publicUrl: 'http://localhost:4321',
    allowedOrigins: ['http://localhost:4321', 'http://127.0.0.1:4321', 'http://[::1]:4321'],
  });
});

test('plain http beyond this machine is warned of', () => {
  expect(warnings(readConfig({}))).toEqual([]);
  expect(warnings(readConfig({ HOST: '0.0.0.0' }))).toHaveLength(1);
  expect(warnings(readConfig({ HOST: '0.0.0.0', PUBLIC_URL: 'https://hub.example.com' }))).toEqual([]);
});

test.each([
  ['redis://localhost', { kind: 'standalone', nodes: [{ host: 'localhost', port: 6379 }], tls: false, db: 0 }],
  [
    'rediss://me:p%40ss@[::1]:7000/3',
    { kind: 'standalone', nodes: [{ host: '::1', port: 7000 }], tls: true, db: 3, username: 'me', password: 'p@ss' },
  ],
  [
    'redis://:pw@a:1,b:2, redis://c',
    {
      kind: 'cluster',
      nodes: [
        { host: 'a', port: 1 },
        { host: 'b', port: 2 },
        { host: 'c', port: 6379 },
      ],
      tls: false,
      db: 0,
      password: 'pw',
    },
  ],
  ['rediss://only:7000,', { kind: 'cluster', nodes: [{ host: 'only', port: 7000 }], tls: true, db: 0 }],
  [
    'redis-sentinel://u:p@a,b:26380/main/2',
    {
      kind: 'sentinel',
      nodes: [
        { host: 'a', port: 26379 },
        { host: 'b', port: 26380 },
      ],
      tls: false,
      db: 2,
      master: 'main',
      username: 'u',
      password: 'p',
    },
  ],
  [
    'rediss-sentinel://a/main?sentinel_password=s',
    { kind: 'sentinel', nodes: [{ host: 'a', port: 26379 }], tls: true, db: 0, master: 'main', sentinelPassword: 's' },
  ],
])('the Redis address %s is read', (text, address) => expect(parseRedisAddress(text)).toEqual(address));

test.each([
  'localhost:6379',
  'http://localhost',
  'redis://',
  'redis://h/db',
  'redis://h:99999',
  'redis://h?x=1',
  'redis://a/1,redis://b',
  'redis://a,rediss://b',
  'redis://a,,b',
  'redis-sentinel://a',
  'redis-sentinel://a/',
  'redis-sentinel://a/main?other=1',
  'redis://u:%zz@h',
])('%s is no Redis address', (text) => expect(parseRedisAddress(text)).toBeUndefined());

test('Redis beside the embedded database serves one replica, which is said', () => {
  expect(warnings(readConfig({ REDIS_URL: 'redis://h' }))).toEqual([expect.stringContaining('DATABASE_URL')]);
  expect(warnings(readConfig({ REDIS_URL: 'redis://h', DATABASE_URL: 'postgres://u:p@h/d', SECRET_KEY: key }))).toEqual([]);
  expect(faultsOf({ REDIS_URL: 'redis://u:hidden@h:x' }).join()).not.toContain('hidden');
});
