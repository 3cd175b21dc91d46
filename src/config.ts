/** The hub's configuration: read from the environment once, validated as a whole, frozen. */

import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { parseDuration } from './lib/duration.ts';
import { readKubernetesPlace, type KubernetesPlace } from './lib/kubernetesPlace.ts';
import { isNetwork } from './lib/network.ts';
import { parseOrigins, parsePublicUrl } from './lib/origins.ts';
import { leastPasswordLength } from './lib/passwordLength.ts';
import { parseRedisAddress, type RedisAddress } from './lib/redisAddress.ts';
import { readTracing, type TracingSettings } from './lib/tracingSettings.ts';

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
const registrations = ['invite', 'open', 'closed'] as const;

export interface Config {
  host: string;
  /** 0: any free port. */
  port: number;
  opsPort: number;
  /** Where browsers and agents reach the hub; no trailing slash. */
  publicUrl: string;
  dataDir: string;
  /** Unset: the embedded PostgreSQL under `dataDir`. */
  databaseUrl: string | undefined;
  /** Past PgBouncer, for what needs a session of its own; unset: `databaseUrl`. */
  databaseDirectUrl: string | undefined;
  /** Unset: one replica, whose relay stays in the process. */
  redis: RedisAddress | undefined;
  kubernetes: KubernetesPlace | undefined;
  /** Unset: no traces. */
  tracing: TracingSettings | undefined;
  migrate: boolean;
  /** At least 32 random bytes; unset: kept in `dataDir` beside the embedded database. */
  secretKey: Uint8Array | undefined;
  admin: { email: string; password: string } | undefined;
  registration: (typeof registrations)[number];
  /** Origins whose pages may open a WebSocket, exactly as browsers send them. */
  allowedOrigins: readonly string[];
  trustedProxies: readonly string[];
  retention: {
    rawMs: number;
    tenSecondsMs: number;
    minuteMs: number;
    hourMs: number;
    /** Infinity: for ever. */
    messagesMs: number;
  };
  shutdownGraceMs: number;
  logLevel: (typeof logLevels)[number];
  limits: {
    subscriptions: number;
    connectionsPerUser: number;
    connectionsPerAddress: number;
    /** Per second. */
    handshakes: number;
  };
}

/** What is wrong with the environment, one line per fault. */
export class ConfigError extends Error {
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    const count = faults.length === 1 ? 'one fault' : `${faults.length} faults`;
    super(`The configuration has ${count}:\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
    this.name = 'ConfigError';
    this.faults = faults;
  }
}

type Environment = Readonly<Record<string, string | undefined>>;
/** Gives the variable's value as parsed, or its default; `undefined` from `parse` records `remedy` as a fault. */
type Read = <T>(name: string, fallback: T, parse: (text: string) => T | undefined, remedy: string, secret?: 'secret') => T;

/** Reads and validates everything at once; throws `ConfigError` with all faults. An empty variable counts as unset. Migrations need no SECRET_KEY. */
export function readConfig(env: Environment = process.env, program: 'hub' | 'migrate' = 'hub'): Config {
  const faults: string[] = [];
  const read: Read = (name, fallback, parse, remedy, secret) => {
    const text = env[name]?.trim();
    if (!text) return fallback;
    const value = parse(text);
    if (value !== undefined) return value;
    faults.push(`${name}: ${secret ? 'the value' : JSON.stringify(text)} ${remedy}`);
    return fallback;
  };

  const port = read('PORT', 8080, parsePort, 'is not a port number (1–65535); unset it for 8080');
  const opsPort = read('OPS_PORT', 8081, parsePort, 'is not a port number (1–65535); unset it for 8081');
  if (port === opsPort && port !== 0) faults.push(`OPS_PORT: ${opsPort} is PORT too; give it a port of its own`);

  const publicUrl = read(
    'PUBLIC_URL',
    originAt('localhost', port),
    parsePublicUrl,
    `is not an address such as https://hub.example.com, without a path; unset it for http://localhost:${port}`,
  );
  const databaseUrl = read(
    'DATABASE_URL',
    undefined,
    parseDatabaseUrl,
    'is not an address such as postgres://user:password@host:5432/name; unset it for the embedded database',
    'secret',
  );
  const databaseDirectUrl = read(
    'DATABASE_DIRECT_URL',
    undefined,
    parseDatabaseUrl,
    'is not an address such as postgres://user:password@host:5432/name',
    'secret',
  );
  if (databaseDirectUrl && !env['DATABASE_URL']?.trim())
    faults.push('DATABASE_DIRECT_URL: is for use behind PgBouncer only; set DATABASE_URL too, or unset it');

  const secretKey = read(
    'SECRET_KEY',
    undefined,
    parseSecretKey,
    'is not base64 of at least 32 bytes; make one with: openssl rand -base64 32',
    'secret',
  );
  if (program === 'hub' && databaseUrl && !env['SECRET_KEY']?.trim())
    faults.push('SECRET_KEY: is required with DATABASE_URL; make one with: openssl rand -base64 32');

  const config: Config = {
    host: read('HOST', '127.0.0.1', parseHost, 'is not an IP address or host name; unset it for 127.0.0.1'),
    port,
    opsPort,
    publicUrl,
    dataDir: resolve(env['DATA_DIR']?.trim() || './data'),
    databaseUrl,
    databaseDirectUrl,
    redis: read(
      'REDIS_URL',
      undefined,
      parseRedisAddress,
      'is none of redis://host:6379 (rediss:// over TLS), a comma list of those (Cluster), redis-sentinel://host:26379,host:26379/master; unset it for one replica',
      'secret',
    ),
    kubernetes: readKubernetesPlace(env, faults),
    tracing: readTracing(env, faults),
    migrate: read('MIGRATE', true, (text) => ({ on: true, off: false })[text], 'is neither on nor off'),
    secretKey,
    admin: readAdmin(env, faults),
    registration: read('REGISTRATION', 'invite', oneOf(registrations), 'is none of invite, open, closed'),
    allowedOrigins: read(
      'ALLOWED_ORIGINS',
      defaultOrigins(publicUrl, port),
      (text) => parseOrigins(items(text)),
      'is not a comma list of origins such as https://hub.example.com (scheme, host, port, nothing else)',
    ),
    trustedProxies: read('TRUSTED_PROXIES', [], parseProxies, 'is not a comma list of IP addresses or networks such as 10.0.0.0/8'),
    retention: {
      rawMs: readDuration(read, 'RETENTION_RAW', '24h', leastRetention),
      tenSecondsMs: readDuration(read, 'RETENTION_10S', '7d', leastRetention),
      minuteMs: readDuration(read, 'RETENTION_1M', '90d', leastRetention),
      hourMs: readDuration(read, 'RETENTION_1H', '3y', leastRetention),
      messagesMs: readDuration(read, 'RETENTION_MESSAGES', 'forever'),
    },
    shutdownGraceMs: readDuration(read, 'SHUTDOWN_GRACE', '10s'),
    logLevel: read('LOG_LEVEL', 'info', oneOf(logLevels), `is none of ${logLevels.join(', ')}`),
    limits: {
      subscriptions: readCount(read, 'LIMIT_SUBSCRIPTIONS', 128),
      connectionsPerUser: readCount(read, 'LIMIT_CONNECTIONS_USER', 20),
      connectionsPerAddress: readCount(read, 'LIMIT_CONNECTIONS_ADDRESS', 200),
      handshakes: read(
        'LIMIT_HANDSHAKES',
        200,
        (text) => parseCount(text.replace(/\/s$/, '')),
        'is not a whole number per second; unset it for 200',
      ),
    },
  };
  if (faults.length > 0) throw new ConfigError(faults);
  return freeze(config);
}

/** PORT alone, for programs that need nothing else of the configuration; throws `ConfigError`. */
export function readPort(fallback: number, env: Environment = process.env): number {
  const text = env['PORT']?.trim();
  const port = text ? parsePort(text) : fallback;
  if (port === undefined) throw new ConfigError([`PORT: ${JSON.stringify(text)} is not a port number (1–65535); unset it for ${fallback}`]);
  return port;
}

/** The configuration once the real port is known: with PORT=0 the addresses made from it change. */
export function atPort(config: Config, port: number): Config {
  if (config.port !== 0) return config;
  const publicUrl = config.publicUrl === originAt('localhost', 0) ? originAt('localhost', port) : config.publicUrl;
  const usesDefaults = config.allowedOrigins.includes(originAt('localhost', 0));
  return freeze({ ...config, port, publicUrl, allowedOrigins: usesDefaults ? defaultOrigins(publicUrl, port) : config.allowedOrigins });
}

/** The environment of a program beside the hub: `settings` with what every program needs and none of the hub's secrets; of a `hub`: with all. */
export function environmentFor(settings: Environment, program: 'hub' | 'other' = 'other'): Record<string, string> {
  const common = ['PATH', 'HOME', 'USER', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR', 'SystemRoot', 'TEMP', 'TMP'];
  const inherited = (program === 'hub' ? Object.keys(process.env) : common).map((name) => [name, process.env[name]] as const);
  return Object.fromEntries(
    [...inherited, ...Object.entries(settings)].filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

/** Whether npm runs this program, as by `npm start`. */
export function isUnderNpm(env: Environment = process.env): boolean {
  return env['npm_lifecycle_event'] !== undefined;
}

/** What an operator should know at start: sentences, empty when all is well. */
export function warnings(config: Config): string[] {
  const found: string[] = [];
  const { protocol, hostname } = new URL(config.publicUrl);
  if (protocol === 'http:' && (!isLoopback(config.host) || !isLoopback(hostname))) {
    found.push(
      'Plain http is served beyond this machine: passwords and tokens can be read on the way. Put a TLS proxy in front and set PUBLIC_URL to its https address.',
    );
  }
  if (config.redis && !config.databaseUrl)
    found.push('REDIS_URL is set, DATABASE_URL is not: further replicas cannot reach the embedded database. Set DATABASE_URL for them.');
  return found;
}

/** Of each tier of history. Less would drop samples before their hour is summed up. */
export const leastRetention = '2h';

function readDuration(read: Read, name: string, standard: string, least = '1ms'): number {
  // Only messages may be kept for ever: everything else has to end for the disk's sake.
  const parse = (text: string): number | undefined => {
    const ms = parseDuration(text);
    return ms !== undefined && ms >= parseDuration(least)! && (ms < Infinity || standard === 'forever') ? ms : undefined;
  };
  return read(name, parseDuration(standard) ?? 0, parse, `is no duration from ${least} up, such as 24h or 7d; unset it for ${standard}`);
}

const readCount = (read: Read, name: string, standard: number): number =>
  read(name, standard, parseCount, `is not a whole number from 1 to 1000000; unset it for ${standard}`);

function readAdmin(env: Environment, faults: string[]): Config['admin'] {
  const email = env['ADMIN_EMAIL']?.trim();
  const password = env['ADMIN_PASSWORD'];
  if (!email && !password) return undefined;
  if (!email) faults.push('ADMIN_EMAIL: is missing beside ADMIN_PASSWORD; set both or neither');
  else if (!/^[^\s@]+@[^\s@]+$/.test(email) || email.length > 254)
    faults.push(`ADMIN_EMAIL: ${JSON.stringify(email)} is not an e-mail address`);
  if (!password) faults.push('ADMIN_PASSWORD: is missing beside ADMIN_EMAIL; set both or neither');
  else if (password.length < leastPasswordLength || password.length > 200) {
    faults.push(`ADMIN_PASSWORD: needs ${leastPasswordLength} to 200 characters`);
  }
  return email && password ? { email, password } : undefined;
}

const parseCount = (text: string): number | undefined =>
  /^[1-9]\d{0,6}$/.test(text) && Number(text) <= 1_000_000 ? Number(text) : undefined;
const parsePort = (text: string): number | undefined => (/^\d{1,5}$/.test(text) && Number(text) <= 65_535 ? Number(text) : undefined);
const parseHost = (text: string): string | undefined =>
  isIP(text) || /^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,252}[a-zA-Z0-9])?$/.test(text) ? text : undefined;
const oneOf =
  <T extends string>(known: readonly T[]) =>
  (text: string): T | undefined =>
    known.find((item) => item === text);

function parseDatabaseUrl(text: string): string | undefined {
  // db/address.ts reads it and names what is wrong inside; several hosts are no URL for `URL`.
  return /^postgres(ql)?:\/\/\S+$/.test(text) ? text : undefined;
}

function parseSecretKey(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(text)) return undefined;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length >= 32 ? new Uint8Array(bytes) : undefined;
}

function parseProxies(text: string): string[] | undefined {
  const proxies = items(text);
  return proxies.every(isNetwork) ? proxies : undefined;
}

const items = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
const originAt = (host: string, port: number): string => (port === 80 ? `http://${host}` : `http://${host}:${port}`);
const isLoopback = (host: string): boolean => /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/.test(host);

function defaultOrigins(publicUrl: string, port: number): string[] {
  const own = new URL(publicUrl);
  const loopback = isLoopback(own.hostname) ? ['localhost', '127.0.0.1', '[::1]'].map((host) => originAt(host, port)) : [];
  return [...new Set([own.origin, ...loopback])];
}

function freeze<T extends object>(value: T): T {
  // Bytes cannot be frozen.
  for (const part of Object.values(value)) if (part && typeof part === 'object' && !ArrayBuffer.isView(part)) freeze(part);
  return Object.freeze(value);
}
