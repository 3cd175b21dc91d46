/** Writes what clients get: the outbound half of the codec. Every function returns one line of JSON text. */

import type { EndCode, ErrorCode } from './codes.ts';
import type { ClientInfo, Method, Methods, SubscribeResult } from './commands.ts';
import { JsonText, oneLine } from '../lib/json.ts';

/** A publication whose parts are JSON texts already. */
export interface PublicationText {
  data: string;
  offset?: number;
  info?: string;
}

/** The server's ping, and the client's answer. */
export const ping = '{}';

/** A successful reply; the result stands under the method's own name, as an object even when empty. */
export const encodeReply = <M extends Method>(id: number, method: M, result: Methods[M]['result']): string =>
  `{"id":${id},"${method}":${JSON.stringify(result)}}`;

/** A reply to `subscribe` or `history` whose publications, and data that is text already, are spliced in as they are. */
export function encodePage(
  id: number,
  method: 'subscribe' | 'history',
  result: Omit<SubscribeResult, 'publications'>,
  publications: readonly PublicationText[],
): string {
  const { data, ...fields } = result;
  const rest = JSON.stringify(data instanceof JsonText ? fields : result);
  const parts = rest === '{}' ? [] : [rest.slice(1, -1)];
  if (data instanceof JsonText) parts.push(`"data":${data.text}`);
  if (publications.length > 0)
    parts.push(`"publications":[${publications.map((publication) => encodePublication(publication)).join(',')}]`);
  return `{"id":${id},"${method}":{${parts.join(',')}}}`;
}

export function encodeError(id: number, error: ErrorCode, message: string = error.message): string {
  return `{"id":${id},"error":${JSON.stringify({ code: error.code, message, temporary: error.temporary })}}`;
}

/** @param epoch only where clients may not know it yet: they take it over */
export function encodePublication({ data, offset, info }: PublicationText, epoch?: string): string {
  let text = `{"data":${oneLine(data)}`;
  if (info) text += `,"info":${oneLine(info)}`;
  if (offset) text += `,"offset":${offset}`;
  if (epoch) text += `,"epoch":${JSON.stringify(epoch)}`;
  return `${text}}`;
}

/** The beginning of every push of a channel, made once per room; `encodePush` completes it. */
export const pushHead = (channel: string): string => `{"push":{"channel":${JSON.stringify(channel)},`;

export const encodePush = (head: string, publication: PublicationText, epoch?: string): string =>
  `${head}"pub":${encodePublication(publication, epoch)}}}`;

export const encodePresencePush = (head: string, what: 'join' | 'leave', info: ClientInfo): string =>
  `${head}"${what}":${JSON.stringify({ info })}}}`;

/** A push outside of any channel. @param data JSON text */
export const encodeMessage = (data: string): string => `{"push":{"message":{"data":${oneLine(data)}}}}`;

export const encodeUnsubscribe = (channel: string, end: EndCode): string => `${pushHead(channel)}"unsubscribe":${JSON.stringify(end)}}}`;
