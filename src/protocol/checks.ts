/** The checks of what agents and people send over the wire; each message names the field and the remedy. */

import { isUuid } from './rooms.ts';
import { lateWhys, lossWhys } from './kinds.ts';
import type { AgentPublication, Inventory, LateWhy, Loss, MessageDraft, Process } from './kinds.ts';

/** Either the value, now known to have its shape, or what is wrong with it in one sentence. */
export type Checked<T> = { ok: T; fault?: undefined } | { ok?: undefined; fault: string };

export const limits = {
  metrics: 2_000,
  metricNameChars: 200,
  topProcesses: 200,
  backfillPublications: 300,
  backfillBytes: 384 * 1024,
  losses: 20,
  textChars: 16_000,
  keyChars: 64,
  inventoryChars: 64 * 1024,
} as const;

/** 9999-12-31; PostgreSQL and Date both hold it. */
const latestMs = 253_402_214_400_000;

/** No space, no control character; device parts are percent-encoded by the agent. */
const metricName = /^[^\s\p{Cc}\p{Cs}]{1,200}$/u;

/**
 * Metric names seen before, so that a known one costs a lookup instead of a match (70 names: 1 µs against 6).
 * Bounded; only names that passed are in it, so nothing depends on what it holds.
 */
const knownNames = new Set<string>();
const knownNamesMax = 20_000;

function isMetricName(name: string): boolean {
  if (name === '__proto__' || !metricName.test(name)) return false;
  if (knownNames.size < knownNamesMax) knownNames.add(name);
  return true;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
const isTime = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= latestMs;
const isLine = (value: unknown, maxChars: number): value is string => typeof value === 'string' && value.length <= maxChars;
/** A NUL or half of a surrogate pair is legal in JSON, but PostgreSQL cannot keep it. */
const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed();

const shown = (value: unknown): string => (typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : typeof value);

function metricsFault(metrics: unknown): string | undefined {
  if (!isObject(metrics)) return 'metrics: send an object of name to number';
  let count = 0;
  for (const name in metrics) {
    if (!knownNames.has(name) && !isMetricName(name)) {
      return `metrics: the name ${shown(name)} is not valid; use 1 to ${limits.metricNameChars} characters without spaces`;
    }
    // Number.isFinite is false for every other type too.
    if (!Number.isFinite(metrics[name])) return `metrics: ${name} is not a finite number; leave out what could not be read`;
    if (++count > limits.metrics) return `metrics: more than ${limits.metrics} names; send fewer`;
  }
  return undefined;
}

function isProcess(row: unknown): row is Process {
  return (
    isObject(row) &&
    Number.isSafeInteger(row['pid']) &&
    isLine(row['name'], 256) &&
    isLine(row['user'], 256) &&
    Number.isFinite(row['cpu']) &&
    Number.isFinite(row['memory']) &&
    Number.isFinite(row['io'])
  );
}

function topFault(top: unknown): string | undefined {
  if (!Array.isArray(top)) return 'top: send a list of processes';
  if (top.length > limits.topProcesses) return `top: more than ${limits.topProcesses} processes; send the first ones`;
  const wrong = top.findIndex((row) => !isProcess(row));
  return wrong < 0 ? undefined : `top[${wrong}]: send pid, name, user (≤ 256 characters), cpu, memory, io as finite numbers`;
}

/** Checks what an agent publishes into its room (contract, sections 4 and 5). Unknown fields are left in place. */
export function checkAgentPublication(data: unknown): Checked<AgentPublication> {
  if (!isObject(data)) return { fault: 'data: send an object with kind, at, seq, boot' };
  const { kind, at, seq, boot } = data;
  if (kind !== 'sample' && kind !== 'processes') return { fault: 'kind: an agent publishes "sample" or "processes"' };
  if (!isTime(at)) return { fault: 'at: send integer milliseconds since 1970 UTC' };
  if (!Number.isSafeInteger(seq) || (seq as number) < 1) return { fault: 'seq: send an integer counting 1, 2, 3 … within the boot' };
  if (!isUuid(boot)) return { fault: 'boot: send the UUIDv7 of this start of the agent, in lower case' };
  const fault = kind === 'sample' ? metricsFault(data['metrics']) : topFault(data['top']);
  return fault === undefined ? { ok: data as unknown as AgentPublication } : { fault };
}

export interface Backfill {
  publications: unknown[];
  /** Why they come late; those not known are left out. */
  why: LateWhy[];
  /** What the agent gave up since it last told. */
  dropped: Loss[];
}

/** The envelope of rpc `backfill`; each publication in it is checked alone, so that a bad one does not take the others along. */
export function checkBackfill(data: unknown): Checked<Backfill> {
  const { publications, why = [], dropped = [] } = isObject(data) ? data : {};
  if (!Array.isArray(publications)) return { fault: 'publications: send a list of publications' };
  if (publications.length > limits.backfillPublications) {
    return { fault: `publications: more than ${limits.backfillPublications}; send them in several calls` };
  }
  if (!Array.isArray(why)) return { fault: 'why: send a list of reasons' };
  if (!Array.isArray(dropped) || dropped.length > limits.losses || !dropped.every(isLoss)) {
    return { fault: `dropped: send a list of at most ${limits.losses} of {from, to, samples, why}` };
  }
  return { ok: { publications, why: lateWhys.filter((one) => why.includes(one)), dropped } };
}

const isLoss = (value: unknown): value is Loss =>
  isObject(value) &&
  isTime(value['from']) &&
  isTime(value['to']) &&
  value['from'] <= value['to'] &&
  Number.isSafeInteger(value['samples']) &&
  (value['samples'] as number) > 0 &&
  (value['samples'] as number) <= 1e9 &&
  (lossWhys as readonly unknown[]).includes(value['why']);

/** Checks what an agent announces at connect: `{boot, connection}`. */
export function checkAnnouncement(data: unknown): Checked<{ boot: string; connection: number }> {
  if (!isObject(data)) return { fault: 'data: an agent connects with {boot, connection}' };
  const { boot, connection } = data;
  if (!isUuid(boot)) return { fault: 'boot: send the UUIDv7 of this start of the agent, in lower case' };
  if (!Number.isSafeInteger(connection) || (connection as number) < 0 || (connection as number) > 0x7fff_ffff) {
    return { fault: 'connection: send an integer counting the connections within the boot' };
  }
  return { ok: { boot, connection: connection as number } };
}

/** Checks the text of a message, for posting as for editing. */
export function textFault(text: unknown): string | undefined {
  if (typeof text !== 'string' || text.trim() === '') return 'text: write something';
  if (text.length > limits.textChars) return `text: at most ${limits.textChars} characters; split the message`;
  return isStorable(text) ? undefined : 'text: has a NUL or half of a surrogate pair; leave it out';
}

/** Checks a person's publish or POST of a message. What it returns has the known fields only. */
export function checkMessageDraft(data: unknown): Checked<MessageDraft> {
  if (!isObject(data)) return { fault: 'data: send {kind: "message", text}' };
  const { kind, text, at, until, thread, key } = data;
  if (kind !== undefined && kind !== 'message') return { fault: 'kind: people publish "message"' };
  const fault = textFault(text);
  if (fault !== undefined) return { fault };
  if (at != null && !isTime(at)) return { fault: 'at: send integer milliseconds since 1970 UTC' };
  if (until != null && !isTime(until)) return { fault: 'until: send integer milliseconds since 1970 UTC' };
  if (until != null && at == null) return { fault: 'until: needs at, the beginning of the range' };
  if (typeof until === 'number' && until < (at as number)) return { fault: 'until: must not be before at' };
  if (thread != null && !isUuid(thread)) return { fault: 'thread: send the id of a message in this room' };
  if (key != null && (typeof key !== 'string' || key === '' || key.length > limits.keyChars || !isStorable(key))) {
    return { fault: `key: send 1 to ${limits.keyChars} characters` };
  }
  return {
    ok: {
      text: text as string,
      at: at as number | undefined,
      until: until ?? undefined,
      thread: thread ?? undefined,
      key: key ?? undefined,
    },
  };
}

/** Checks rpc `inventory`. Missing texts become empty and missing numbers 0, since agents of other systems know less. */
export function checkInventory(data: unknown): Checked<Inventory> {
  if (!isObject(data)) return { fault: 'inventory: send an object' };
  const text = (value: unknown): string => (isLine(value, 500) && isStorable(value) ? value : '');
  const number = (value: unknown): number => (Number.isFinite(value) ? (value as number) : 0);
  const { bootedAt, disks = [] } = data;
  if (!isTime(bootedAt)) return { fault: 'bootedAt: send integer milliseconds since 1970 UTC' };
  if (!Array.isArray(disks) || disks.length > 1_000) return { fault: 'disks: send a list of at most 1000' };
  const inventory: Inventory = {
    os: text(data['os']),
    kernel: text(data['kernel']),
    arch: text(data['arch']),
    hostname: text(data['hostname']),
    cpuModel: text(data['cpuModel']),
    cores: number(data['cores']),
    memory: number(data['memory']),
    agentVersion: text(data['agentVersion']),
    disks: disks.filter(isObject).map((disk) => ({ device: text(disk['device']), model: text(disk['model']), size: number(disk['size']) })),
    bootedAt,
  };
  if (data['virtual'] !== undefined) inventory.virtual = text(data['virtual']);
  return { ok: inventory };
}
