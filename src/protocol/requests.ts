/** Checks the fields of each command's request, by the wire protocol's schema. */

import { errors, type ErrorCode } from './codes.ts';
import type { Method, Methods } from './commands.ts';

type Fields = Record<string, unknown>;

/** A refusal that keeps the connection. */
export interface Refused {
  error: ErrorCode;
  message: string;
}

/** The request as checked, or what to refuse the command with. */
export type Checked<M extends Method> = { request: Methods[M]['request']; refusal?: Refused };

/** A text: malformed, the connection is to be closed with 3501. An object: an error reply. Undefined: fine. */
type Check = (fields: Fields) => string | Refused | undefined;

export const maxChannelLength = 255;
const maxNameLength = 16;
const maxVersionLength = 64;

const refuse = (error: ErrorCode, message: string): Refused => ({ error, message });

const isText = (value: unknown): boolean => value == null || typeof value === 'string';
const isFlag = (value: unknown): boolean => value == null || typeof value === 'boolean';
const isCount = (value: unknown): boolean => value == null || (Number.isSafeInteger(value) && (value as number) >= 0);
const isWhole = (value: unknown): boolean => value == null || Number.isSafeInteger(value);
const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);

/** The first field whose type is not what the schema says, as a fault. */
function wrong(fields: Fields, types: Record<string, (value: unknown) => boolean>): string | undefined {
  for (const name in types) if (!types[name]!(fields[name])) return `field ${name} has the wrong type`;
  return undefined;
}

const channelTypes = { channel: isText };

/** Every command on a channel needs its name: none is malformed, an overlong one refused. */
function channel(fields: Fields): string | Refused | undefined {
  const fault = wrong(fields, channelTypes);
  if (fault) return fault;
  const name = fields.channel as string | undefined;
  if (!name) return 'channel is missing';
  if (name.length > maxChannelLength) return refuse(errors.badRequest, `channel is longer than ${maxChannelLength} characters`);
  return undefined;
}

const both =
  (types: Record<string, (value: unknown) => boolean>, then?: Check): Check =>
  (fields) =>
    wrong(fields, types) ?? channel(fields) ?? then?.(fields);

const isTextMap = (value: unknown): boolean =>
  value == null || (isObject(value) && Object.values(value).every((text) => typeof text === 'string'));

export const checks: { [M in Method]: Check } = {
  connect: (fields) => {
    const fault = wrong(fields, { token: isText, name: isText, version: isText, headers: isTextMap });
    if (fault) return fault;
    if (((fields.name as string) ?? '').length > maxNameLength) return `name is longer than ${maxNameLength} characters`;
    if (((fields.version as string) ?? '').length > maxVersionLength) return `version is longer than ${maxVersionLength} characters`;
    return undefined;
  },
  subscribe: both(
    { token: isText, recover: isFlag, offset: isCount, epoch: isText, flag: isCount, delta: isText, type: isCount },
    ({ delta, type, tf }) => {
      if (delta && delta !== 'fossil') return 'unknown delta type';
      if (type === 4) return refuse(errors.notAvailable, 'shared poll subscriptions are not available');
      if (type) return refuse(errors.badRequest, 'only stream subscriptions (type 0) are available');
      if (tf !== undefined && tf !== null) return refuse(errors.badRequest, 'tag filters are not available');
      return undefined;
    },
  ),
  unsubscribe: both({}),
  publish: both({ type: isCount }, ({ data, type }) => {
    if (type) return refuse(errors.notAvailable, 'only stream publications (type 0) are available');
    if (data === undefined) return refuse(errors.badRequest, 'data is missing');
    return undefined;
  }),
  presence: both({}),
  presence_stats: both({}),
  history: both({ limit: isWhole, reverse: isFlag }, ({ since, reverse }) => {
    if (since === undefined || since === null) return undefined;
    if (!isObject(since)) return 'field since has the wrong type';
    const fault = wrong(since, { offset: isCount, epoch: isText });
    if (fault) return `since: ${fault}`;
    if (reverse && !since.offset) return refuse(errors.badRequest, 'reverse needs since.offset above 0');
    return undefined;
  }),
  rpc: (fields) => wrong(fields, { method: isText }),
  send: () => undefined,
  refresh: (fields) => wrong(fields, { token: isText }) ?? (fields.token ? undefined : refuse(errors.badRequest, 'token is missing')),
  sub_refresh: both({ token: isText }, ({ token }) => (token ? undefined : refuse(errors.badRequest, 'token is missing'))),
};
