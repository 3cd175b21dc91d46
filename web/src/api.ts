/** Typed calls of the hub's REST interface. */

import type { Problem as ProblemBody, SignedIn } from '../../src/protocol/rest.ts';

/** A refusal of the hub, or the lack of an answer (`status` 0). */
export class Problem extends Error {
  readonly status: number;
  /** Stable, from the hub; `network` when nothing was answered. */
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = 'Problem';
    this.status = status;
    this.code = code;
  }

  /** Trying the same again is pointless. */
  get isFinal(): boolean {
    return this.status >= 400 && this.status < 500 && ![401, 408, 429].includes(this.status);
  }
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** The access token stays in memory; what survives a reload is the refresh cookie, which scripts cannot read. */
let access: { token: string; expiresAt: number } | undefined;
let refreshing: Promise<SignedIn> | undefined;
let onSignedOut: () => void = () => {};

/** Called when the hub no longer knows this session. */
export function whenSignedOut(run: () => void): void {
  onSignedOut = run;
}

export function remember(signedIn: SignedIn): SignedIn {
  access = { token: signedIn.accessToken, expiresAt: performance.now() + signedIn.expiresIn * 1000 };
  return signedIn;
}

export function forget(): void {
  access = undefined;
}

/** A new access token by the refresh cookie; calls at the same time share one request. */
export function refresh(): Promise<SignedIn> {
  refreshing ??= plain<SignedIn>('POST', '/auth/refresh')
    .then(remember)
    .catch((error: unknown) => {
      if (error instanceof Problem && error.status === 401) {
        forget();
        onSignedOut();
      }
      throw error;
    })
    .finally(() => {
      refreshing = undefined;
    });
  return refreshing;
}

/** A token for the socket that is valid for a while yet. */
export async function accessToken(): Promise<string> {
  const marginMs = 30_000;
  if (access && access.expiresAt - performance.now() > marginMs) return access.token;
  return (await refresh()).accessToken;
}

async function request(
  method: Method,
  path: string,
  init: { body?: unknown; token?: string; headers?: Record<string, string>; signal?: AbortSignal },
) {
  const headers = new Headers(init.headers);
  if (init.body !== undefined) headers.set('content-type', 'application/json');
  if (init.token) headers.set('authorization', `Bearer ${init.token}`);
  try {
    return await fetch(`/api/v1${path}`, {
      method,
      headers,
      body: init.body === undefined ? undefined : JSON.stringify(init.body),
      credentials: 'same-origin',
      signal: init.signal,
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new Problem(0, 'network', 'The hub does not answer.');
  }
}

async function problemOf(response: Response): Promise<Problem> {
  const text = await response.text();
  try {
    const body = JSON.parse(text) as ProblemBody;
    return new Problem(response.status, body.code, body.detail || body.title);
  } catch {
    // A proxy in between answered with a page of its own.
    return new Problem(response.status, 'unknown', `The hub answered ${response.status}.`);
  }
}

async function read<T>(response: Response): Promise<T> {
  if (!response.ok) throw await problemOf(response);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** A call that needs no session. */
export async function plain<T>(method: Method, path: string, body?: unknown): Promise<T> {
  return read<T>(await request(method, path, { body }));
}

/** A call as the person signed in; an expired token is renewed once. */
async function authorised(
  method: Method,
  path: string,
  init: { body?: unknown; headers?: Record<string, string>; signal?: AbortSignal } = {},
) {
  const response = await request(method, path, { ...init, token: await accessToken() });
  if (response.status !== 401) return response;
  forget();
  return request(method, path, { ...init, token: await accessToken() });
}

export async function call<T>(
  method: Method,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
  signal?: AbortSignal,
): Promise<T> {
  return read<T>(await authorised(method, path, { body, headers, signal }));
}

/** The body of an answer as it arrives. */
export async function stream(path: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  const response = await authorised('GET', path, { headers: { accept: 'application/x-ndjson' }, signal });
  if (!response.ok) throw await problemOf(response);
  if (!response.body) throw new Problem(response.status, 'network', 'The hub answered without a body.');
  return response.body;
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
