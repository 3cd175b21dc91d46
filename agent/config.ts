/** The agent's configuration: read from the environment once, validated as a whole. */

import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { isAbsolute, resolve } from 'node:path';
import { isLevel, type Level } from './log.ts';

export interface AgentConfig {
  /** No trailing slash. */
  hubUrl: string;
  /** Needed until the agent is enrolled. */
  enrolmentToken: string | undefined;
  stateDir: string;
  intervalMs: number;
  /** What may wait on disk for its acknowledgement, and for how long. */
  spoolBytes: number;
  spoolAgeMs: number;
  /** The name that this host proposes at enrolment. */
  name: string;
  /** Where the file system of the watched machine is mounted, for an agent in a container; empty: its own. No trailing slash. */
  hostRoot: string;
  logLevel: Level;
}

/** Every fault, each with the remedy. */
export class ConfigError extends Error {
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(`The configuration is not valid:\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
    this.name = 'ConfigError';
    this.faults = faults;
  }
}

const loopback = /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/;
const units: Record<string, number> = { ms: 1, s: 1_000, m: 60_000 };

/** `insecure`: plain http to other machines was asked for. Throws `ConfigError` with all faults. */
export function readConfig(environment: Readonly<Record<string, string | undefined>>, options: { insecure?: boolean } = {}): AgentConfig {
  const faults: string[] = [];
  // Set but empty is the same as not set, as in unit files and compose files.
  const value = (name: string): string | undefined => environment[name]?.trim() || undefined;
  const insecure = options.insecure === true || /^(1|true|yes|on)$/i.test(value('INSECURE') ?? '');
  const logLevel = value('LOG_LEVEL') ?? 'info';
  if (!isLevel(logLevel)) faults.push(`LOG_LEVEL is "${logLevel}"; use debug, info, warn, error, fatal or silent.`);
  const config: AgentConfig = {
    hubUrl: readHubUrl(value('HUB_URL') ?? 'http://localhost:8080', insecure, faults),
    enrolmentToken: value('ENROLMENT_TOKEN'),
    stateDir: resolve(value('STATE_DIR') ?? './data/agent'),
    intervalMs: readInterval(value('INTERVAL') ?? '1s', faults),
    spoolBytes: readSpoolBytes(value('SPOOL_BYTES') ?? '256MB', faults),
    spoolAgeMs: readSpoolAge(value('SPOOL_AGE') ?? '24h', faults),
    name: (value('HOST_NAME') ?? hostname()).slice(0, 200),
    hostRoot: readHostRoot(value('HOST_ROOT') ?? '/', faults),
    logLevel: isLevel(logLevel) ? logLevel : 'info',
  };
  if (config.enrolmentToken !== undefined && !/^[\x21-\x7e]{1,512}$/.test(config.enrolmentToken)) {
    faults.push('ENROLMENT_TOKEN holds spaces or signs that no token has; copy it again from the hub.');
  }
  if (faults.length > 0) throw new ConfigError(faults);
  return Object.freeze(config);
}

function readHubUrl(text: string, insecure: boolean, faults: string[]): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username || url.password) {
    faults.push(`HUB_URL is "${text}"; use the hub's address, such as https://hub.example.net.`);
    return text;
  }
  if (url.protocol === 'http:' && !loopback.test(url.hostname) && !insecure) {
    faults.push(
      `HUB_URL is "${text}": over plain http anyone on the way can read this host's figures and replace the hub. ` +
        'Give the hub https, or set INSECURE=1 (or --insecure) to accept it.',
    );
  }
  return url.href.replace(/\/+$/, '');
}

function readHostRoot(text: string, faults: string[]): string {
  const root = text.replace(/\/+$/, '');
  if (!isAbsolute(text) || !existsSync(`${text}/proc`))
    faults.push(`HOST_ROOT is "${text}"; use the folder at which the machine's file system is mounted, such as /host, or unset it.`);
  return root;
}

function readInterval(text: string, faults: string[]): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*(ms|s|m)$/.exec(text) ?? [];
  const intervalMs = Number(number) * (units[unit ?? ''] ?? Number.NaN);
  if (intervalMs >= 1_000 && intervalMs <= 60_000) return intervalMs;
  faults.push(`INTERVAL is "${text}"; use a time from 1s to 1m, such as 1s.`);
  return 1_000;
}

const megabyte = 1024 * 1024;
const sizes: Record<string, number> = { KB: 1024, MB: megabyte, GB: 1024 * megabyte };

function readSpoolBytes(text: string, faults: string[]): number {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)\s*([KMG]B)?$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(number) * (sizes[unit.toUpperCase()] ?? 1));
  if (bytes >= megabyte && bytes <= 1024 * sizes['GB']!) return bytes;
  faults.push(`SPOOL_BYTES is "${text}"; use a size from 1MB to 1024GB, such as 256MB.`);
  return 256 * megabyte;
}

function readSpoolAge(text: string, faults: string[]): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*(m|h|d)$/.exec(text) ?? [];
  const ageMs = Number(number) * ({ m: 60_000, h: 3_600_000, d: 86_400_000 }[unit ?? ''] ?? Number.NaN);
  if (ageMs >= 60_000 && ageMs <= 365 * 86_400_000) return ageMs;
  faults.push(`SPOOL_AGE is "${text}"; use a time from 1m to 365d, such as 24h.`);
  return 86_400_000;
}
