/** Asks the hub over HTTP for small JSON answers. */

import { request as httpRequest, type ClientRequest, type RequestOptions } from 'node:http';

const patienceMs = 10_000;
const maxAnswerBytes = 64 * 1024;

/** The hub answered, but not with success. `code` is the stable one of its problem document. */
export class HubRefusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, detail: string) {
    super(`${status} ${detail}`);
    this.name = 'HubRefusal';
    this.status = status;
    this.code = code;
  }
}

/** Starts a request by the URL's own protocol; TLS is loaded only where it is used. */
export async function start(url: URL, options: RequestOptions): Promise<ClientRequest> {
  if (url.protocol === 'http:') return httpRequest(url, options);
  const { request } = await import('node:https');
  return request(url, options);
}

/** The parsed answer. Rejects with `HubRefusal`, or with the network's error. */
export async function askHub(url: string, body?: object): Promise<unknown> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const request = await start(new URL(url), {
    method: text === undefined ? 'GET' : 'POST',
    agent: false,
    signal: AbortSignal.timeout(patienceMs),
    headers: {
      accept: 'application/json',
      ...(text !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
    },
  });
  const [status, answer] = await new Promise<[number, string]>((resolve, reject) => {
    request.on('error', reject);
    request.on('response', (response) => {
      let received = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        received += part;
        if (received.length > maxAnswerBytes) request.destroy(new Error('the answer is too long to come from a hub'));
      });
      response.on('error', reject);
      response.on('end', () => resolve([response.statusCode ?? 0, received]));
    });
    request.end(text);
  });
  const json = parse(answer);
  if (status >= 200 && status < 300 && json !== undefined) return json;
  const problem = typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : {};
  const detail =
    problem['detail'] ?? problem['title'] ?? (json === undefined ? 'the answer is not that of a hub; check HUB_URL' : 'refused');
  throw new HubRefusal(status, typeof problem['code'] === 'string' ? problem['code'] : '', String(detail).slice(0, 300));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
