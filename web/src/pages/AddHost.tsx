/** Adds a host: a name, one command, then its charts by themselves. */

import { NativeSelect, TextInput } from '@mantine/core';
import { type FormEvent, useEffect, useState } from 'react';
import { useLocation } from 'wouter';
import type { AddedHost, Enrolment, Groups } from '../../../src/protocol/rest.ts';
import { call, messageOf } from '../api.ts';
import { Waiting } from '../components/Waiting.tsx';
import { RailButton } from '../components/Shell.tsx';
import { useShared } from '../context.ts';
import { useStore } from '../lib/store.ts';
import { mayAddHosts, session } from '../session.ts';
import { NotFound } from './NotFound.tsx';
import { toast } from '../components/Toasts.tsx';

type Group = Groups['items'][number];

const mayAdd = (group: Group): boolean => group.role === 'operator' || group.role === 'owner';

export function AddHost() {
  const { hosts } = useShared();
  const { hosts: all, ready } = useStore(hosts);
  const who = useStore(session);
  const [, navigate] = useLocation();
  const [groups, setGroups] = useState<Group[]>([]);
  const [group, setGroup] = useState('');
  const [name, setName] = useState('');
  const [error, setError] = useState<string | null>(null);
  const [added, setAdded] = useState<(AddedHost & { madeAt: number }) | null>(null);
  const isFirst = ready && all.filter((host) => host.id !== added?.id).length === 0;

  useEffect(() => {
    call<Groups>('GET', '/groups?limit=200').then(
      ({ items }) => {
        const own = items.filter(mayAdd);
        setGroups(own);
        setGroup(own[0]?.id ?? '');
        for (const { id } of own) hosts.followGroup(id);
      },
      (failure: unknown) => setError(messageOf(failure)),
    );
  }, [hosts]);

  // The first sample turns the page into the room.
  const here = added && all.find((host) => host.id === added.id);
  const hasSample = here !== undefined && here !== null && (here.summary.at ?? here.lastSampleAt) !== null;
  useEffect(() => {
    if (!added || !hasSample) return;
    toast(`${added.name} is live.`);
    navigate(`/hosts/${added.id}`, { replace: true });
  }, [added, hasSample, navigate]);

  if (!mayAddHosts(who))
    return <NotFound what="Hosts are added by an operator of a group. Nothing is shared with you yet, or this page is not for you." />;

  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    setError(null);
    try {
      const host = await call<AddedHost>('POST', '/hosts', { name: name.trim(), ...(group ? { group } : {}) });
      setAdded({ ...host, madeAt: Date.now() });
      void hosts.refresh();
    } catch (failure) {
      setError(messageOf(failure));
    }
  };

  const renew = async (): Promise<void> => {
    if (!added) return;
    const enrolment = await call<Enrolment>('POST', `/hosts/${added.id}/enrolment`);
    setAdded({ ...added, enrolment, madeAt: Date.now() });
  };

  return (
    <>
      <header className="head drawer-rail" style={{ height: 'auto' }}>
        <RailButton />
      </header>
      <div className="page">
        <div className="column">
          <h1>{isFirst ? 'Add your first host' : added ? `Add ${added.name}` : 'Add a host'}</h1>
          <p className="lead">
            {added
              ? 'Run this on the machine you want to watch. Its charts appear here on their own.'
              : 'Give it a name. You get one command to run on the machine.'}
          </p>
          {added ? (
            <Waiting
              enrolment={added.enrolment}
              madeAt={added.madeAt}
              onRenew={renew}
              enrolled={here?.status === 'online' || (here?.inventory ?? null) !== null}
            />
          ) : (
            <form className="form" onSubmit={(event) => void submit(event)}>
              <TextInput
                label="Name"
                placeholder="fra-api-1"
                required
                maxLength={100}
                autoFocus
                value={name}
                onChange={(event) => setName(event.currentTarget.value)}
              />
              {groups.length > 1 && (
                <NativeSelect
                  label="Group"
                  value={group}
                  onChange={(event) => setGroup(event.currentTarget.value)}
                  data={groups.map(({ id, name: label }) => ({ value: id, label }))}
                />
              )}
              {error && (
                <p className="error" role="alert">
                  {error}
                </p>
              )}
              <button type="submit" className="button primary large" disabled={name.trim() === ''}>
                Make the command
              </button>
            </form>
          )}
        </div>
      </div>
    </>
  );
}
