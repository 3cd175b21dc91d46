/** One's own account: appearance, password, sessions, sign out. */

import { useMantineColorScheme } from '@mantine/core';
import { useEffect, useState } from 'react';
import { Link } from 'wouter';
import type { Sessions } from '../../../src/protocol/rest.ts';
import { call, messageOf } from '../api.ts';
import { PasswordForm } from '../components/PasswordForm.tsx';
import { StoragePanel } from '../components/StoragePanel.tsx';
import { RailButton } from '../components/Shell.tsx';
import { toast } from '../components/Toasts.tsx';
import { stamp } from '../lib/format.ts';
import { useStore } from '../lib/store.ts';
import { session, signOut } from '../session.ts';
import type { Scheme } from '../theme.ts';

const schemes: readonly Scheme[] = ['auto', 'dark', 'light'];

/** `Firefox on Linux` out of a User-Agent. */
export function browserOf(agent: string): string {
  const name = /Firefox|Edg|OPR|Chrome|Safari|curl/u.exec(agent)?.[0] ?? 'Unknown browser';
  const system = /Android|iPhone|iPad|Windows|Mac OS|Linux/u.exec(agent)?.[0];
  const known: Record<string, string> = { Edg: 'Edge', OPR: 'Opera' };
  return `${known[name] ?? name}${system ? ` on ${system}` : ''}`;
}

export default function Account() {
  const who = useStore(session);
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const [sessions, setSessions] = useState<Sessions['items']>([]);
  const read = (): void => {
    call<Sessions>('GET', '/auth/sessions').then(
      ({ items }) => setSessions(items),
      (failure: unknown) => toast(messageOf(failure)),
    );
  };
  useEffect(read, []);
  const end = async (id: string): Promise<void> => {
    try {
      await call('DELETE', `/auth/sessions/${id}`);
      read();
    } catch (failure) {
      toast(messageOf(failure));
    }
  };
  if (who.state !== 'in') return null;
  return (
    <>
      <header className="head">
        <RailButton />
        <h1>Account</h1>
        <span className="grow" />
        <button type="button" className="button" onClick={() => void signOut().catch((failure: unknown) => toast(messageOf(failure)))}>
          Sign out
        </button>
      </header>
      <div className="page">
        <div className="column" style={{ marginTop: 24 }}>
          <section className="panel" style={{ borderTop: 0, paddingTop: 0 }}>
            <h2>{who.user.name}</h2>
            <p>{who.user.email}</p>
          </section>
          <section className="panel">
            <h2>Appearance</h2>
            <div className="segments" role="group" aria-label="Colour scheme" style={{ width: 'fit-content' }}>
              {schemes.map((scheme) => (
                <button type="button" key={scheme} aria-pressed={colorScheme === scheme} onClick={() => setColorScheme(scheme)}>
                  {scheme === 'auto' ? 'As the system' : scheme === 'dark' ? 'Dark' : 'Light'}
                </button>
              ))}
            </div>
          </section>
          <section className="panel">
            <h2>{who.user.hasPassword ? 'Change password' : 'Set a password'}</h2>
            <PasswordForm
              email={who.user.email}
              hasPassword={who.user.hasPassword}
              onDone={read}
              label={who.user.hasPassword ? 'Change password' : 'Set password'}
            />
          </section>
          {who.user.admin && <StoragePanel />}
          {who.user.admin && (
            <section className="panel">
              <h2>Replicas</h2>
              <p>
                The processes that are this hub, with their connections and their state: <Link href="/replicas">see all replicas</Link>.
              </p>
            </section>
          )}
          <section className="panel">
            <h2>Signed in</h2>
            {sessions.map((one) => (
              <div className="session-row" key={one.id}>
                <div title={one.agent}>
                  {browserOf(one.agent)} <small>{one.address}</small>
                </div>
                <small className="seen" title={`until ${stamp(one.expiresAt)}`}>{`used ${stamp(one.usedAt)}`}</small>
                {one.current ? (
                  <span className="tag">this browser</span>
                ) : (
                  <button type="button" className="button" onClick={() => void end(one.id)}>
                    Sign out
                  </button>
                )}
              </div>
            ))}
          </section>
        </div>
      </div>
    </>
  );
}
