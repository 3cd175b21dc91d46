/** A person signed in to a running hub by its one-time link. */

import { expect } from 'vitest';
import type { Sample } from '../../src/protocol/kinds.ts';

export interface SignedIn {
  accessToken: string;
  refreshToken: string;
  call(method: string, path: string, body?: unknown): Promise<Response>;
  hosts(): Promise<{ id: string; name: string; status: string }[]>;
  /** All raw samples of the host, oldest first. */
  samples(host: string): Promise<Sample[]>;
}

/** Uses the link up; `url` is the hub's. */
export async function signInBy(link: string, url: string): Promise<SignedIn> {
  const answer = await useLink(link, url);
  expect(answer.status, await answer.clone().text()).toBe(200);
  const { accessToken } = (await answer.json()) as { accessToken: string };
  const refreshToken = /=([^;]+)/.exec(answer.headers.getSetCookie()[0] ?? '')?.[1] ?? '';
  const call: SignedIn['call'] = (method, path, body) => {
    const headers = { authorization: `Bearer ${accessToken}` };
    if (body === undefined) return fetch(`${url}/api/v1${path}`, { method, headers });
    const sent = { headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify(body) };
    return fetch(`${url}/api/v1${path}`, { method, ...sent });
  };
  return {
    accessToken,
    refreshToken,
    call,
    hosts: async () => ((await (await call('GET', '/hosts')).json()) as { items: { id: string; name: string; status: string }[] }).items,
    async samples(host) {
      const text = await (await call('GET', `/hosts/${host}/samples?from=0&to=${Date.now() + 3_600_000}`)).text();
      return text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Sample)
        .filter(({ kind }) => kind === 'sample');
    },
  };
}

/** What the hub answers to the link. */
export function useLink(link: string, url: string): Promise<Response> {
  return fetch(`${url}/api/v1/auth/sign-in-link`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token: link.split('#')[1] }),
  });
}
