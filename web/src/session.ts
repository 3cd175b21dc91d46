/** Who is signed in in this browser. */

import type { Me, SignedIn } from '../../src/protocol/rest.ts';
import { call, forget, plain, Problem, refresh, remember, whenSignedOut } from './api.ts';
import { Store } from './lib/store.ts';

export type Session = { state: 'unknown' } | { state: 'out' } | { state: 'in'; user: Me } | { state: 'unreachable'; reason: string };

export const session = new Store<Session>({ state: 'unknown' });

/** Only a hint, so that a browser that never signed in asks no question whose answer is "no". */
const hint = 'hostroom.signed-in';

function leave(): void {
  localStorage.removeItem(hint);
  session.set({ state: 'out' });
}

whenSignedOut(leave);

function enter(signedIn: SignedIn): void {
  localStorage.setItem(hint, 'yes');
  session.set({ state: 'in', user: signedIn.user });
}

/** Takes up the session of the refresh cookie, if there is one. */
export async function resume(): Promise<void> {
  if (localStorage.getItem(hint) === null) {
    session.set({ state: 'out' });
    return;
  }
  try {
    enter(await refresh());
  } catch (error) {
    if (error instanceof Problem && error.status === 401) leave();
    else session.set({ state: 'unreachable', reason: error instanceof Error ? error.message : String(error) });
  }
}

export async function signIn(login: string, password: string): Promise<void> {
  enter(remember(await plain<SignedIn>('POST', '/auth/login', { login, password })));
}

/** Signs in by the single-use token of a link. */
export async function signInByLink(token: string): Promise<void> {
  enter(remember(await plain<SignedIn>('POST', '/auth/sign-in-link', { token })));
}

export async function changePassword(password: string, current: string | undefined): Promise<void> {
  await call('PUT', '/auth/password', current === undefined ? { password } : { current, password });
  session.update((now) => (now.state === 'in' ? { state: 'in', user: { ...now.user, hasPassword: true } } : now));
}

export async function signOut(): Promise<void> {
  try {
    await plain('POST', '/auth/logout');
  } finally {
    forget();
    leave();
  }
}

/** Whether this person may add hosts to any group. */
export const mayAddHosts = (who: Session): boolean =>
  who.state === 'in' && (who.user.admin || who.user.groups.some(({ role }) => role === 'operator' || role === 'owner'));
