/** Reads a DATABASE_URL (libpq's URI form) into what the driver needs. */

import { readFileSync } from 'node:fs';
import { DatabaseFault } from './fault.ts';

export interface DatabaseAddress {
  /** Host names, or one folder of a unix socket beginning with `/`. */
  hosts: string[];
  ports: number[];
  database: string;
  username: string;
  password: string;
  ssl: boolean | 'allow' | 'prefer' | 'require' | { ca?: string; checkServerIdentity?: () => undefined };
  targetSessionAttrs: 'read-write' | 'primary' | undefined;
  /** For messages: the address without its password. */
  shown: string;
}

const form = 'postgres://user:password@host:5432/database';
const known = new Set(['host', 'port', 'user', 'password', 'dbname', 'sslmode', 'sslrootcert', 'target_session_attrs']);

/** Parses `postgres://user:password@host:port[,host:port…]/database?sslmode=…`; throws DatabaseFault that names what is wrong. */
export function parseDatabaseUrl(url: string): DatabaseAddress {
  const parts = /^postgres(?:ql)?:\/\/(?:([^/?]*)@)?([^/?@]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/.exec(url.trim());
  if (!parts) {
    const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(url.trim())?.[0];
    const seen =
      scheme && !/^postgres(ql)?:$/i.test(scheme)
        ? `it begins with "${scheme}"`
        : 'it cannot be read (special characters in the password must be percent-encoded)';
    throw new DatabaseFault(
      `DATABASE_URL is not a PostgreSQL URL: ${seen}. Write it as ${form}, or leave it unset for the embedded database.`,
    );
  }
  const [, login = '', authority = '', path = '', search = ''] = parts;
  const query = new URLSearchParams(search);
  for (const name of query.keys()) {
    if (!known.has(name)) throw new DatabaseFault(`DATABASE_URL has the unknown parameter "${name}"; known are ${[...known].join(', ')}.`);
  }
  const colon = login.indexOf(':');
  const username = query.get('user') ?? decode(colon < 0 ? login : login.slice(0, colon));
  const password = query.get('password') ?? decode(colon < 0 ? '' : login.slice(colon + 1));
  const database = query.get('dbname') ?? decode(path);
  if (username === '') throw new DatabaseFault(`DATABASE_URL names no user. Write it as ${form}.`);
  if (database === '') throw new DatabaseFault(`DATABASE_URL names no database. Write it as ${form}.`);

  const { hosts, ports } = readHosts(query.get('host') ?? decode(authority), query.get('port'));
  const target = query.get('target_session_attrs') ?? undefined;
  if (target !== undefined && target !== 'read-write' && target !== 'primary') {
    throw new DatabaseFault(`DATABASE_URL has target_session_attrs=${target}; hostroom writes, so it must be read-write or primary.`);
  }
  const shownHosts = hosts.map((host, i) => (host.startsWith('/') ? host : `${host}:${ports[i]}`)).join(',');
  return {
    hosts,
    ports,
    database,
    username,
    password,
    ssl: readSsl(query, hosts),
    targetSessionAttrs: target ?? (hosts.length > 1 ? 'read-write' : undefined),
    shown: `postgres://${username}@${shownHosts}/${database}`,
  };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw new DatabaseFault('DATABASE_URL has a "%" that begins no percent-encoding; write a literal % as %25.', { cause: error });
  }
}

function readHosts(list: string, defaultPort: string | null): { hosts: string[]; ports: number[] } {
  if (list.startsWith('/')) return { hosts: [list], ports: [readPort(defaultPort ?? '5432')] };
  const hosts: string[] = [];
  const ports: number[] = [];
  for (const entry of (list === '' ? 'localhost' : list).split(',')) {
    const match = /^(\[[^\]]+\]|[^:]+)(?::(.*))?$/.exec(entry);
    if (!match?.[1]) throw new DatabaseFault(`DATABASE_URL has no host name in "${entry}". Write it as ${form}.`);
    hosts.push(match[1].replace(/^\[|\]$/g, ''));
    ports.push(readPort(match[2] ?? defaultPort ?? '5432'));
  }
  return { hosts, ports };
}

function readPort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65535)
    throw new DatabaseFault(`DATABASE_URL has the port "${text}"; a port is a number from 1 to 65535.`);
  return port;
}

function readSsl(query: URLSearchParams, hosts: string[]): DatabaseAddress['ssl'] {
  if (hosts[0]?.startsWith('/')) return false;
  const local = hosts.every((host) => host === 'localhost' || host === '::1' || host.startsWith('127.'));
  // libpq's default is "prefer"; on loopback that would only cost CPU.
  const mode = query.get('sslmode') ?? (local ? 'disable' : 'prefer');
  const file = query.get('sslrootcert');
  const roots = file && file !== 'system' ? { ca: readRoots(file) } : {};
  switch (mode) {
    case 'disable':
      return false;
    case 'allow':
    case 'prefer':
    case 'require':
      return mode;
    case 'verify-ca':
      return { ...roots, checkServerIdentity: () => undefined };
    case 'verify-full':
      return roots;
    default:
      throw new DatabaseFault(`DATABASE_URL has sslmode=${mode}; known are disable, allow, prefer, require, verify-ca and verify-full.`);
  }
}

function readRoots(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new DatabaseFault(`The sslrootcert of DATABASE_URL cannot be read: ${(error as Error).message}.`, { cause: error });
  }
}
