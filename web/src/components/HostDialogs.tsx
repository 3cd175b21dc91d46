/** Dialogs about one host: rename, delete, connect its agent again. */

import { Modal, TextInput } from '@mantine/core';
import { type FormEvent, useCallback, useEffect, useState } from 'react';
import type { Enrolment, Host } from '../../../src/protocol/rest.ts';
import { call, messageOf } from '../api.ts';
import { useShared } from '../context.ts';
import { Command } from './Command.tsx';

export type HostDialog = 'rename' | 'delete' | 'install';

interface DialogProps {
  host: { id: string; name: string };
  onClose: () => void;
}

export function HostDialogs({ open, host, onClose, onDeleted }: DialogProps & { open: HostDialog | null; onDeleted: () => void }) {
  return (
    <>
      <Modal opened={open === 'rename'} onClose={onClose} title="Rename host">
        <Rename host={host} onClose={onClose} />
      </Modal>
      <Modal opened={open === 'delete'} onClose={onClose} title={`Delete ${host.name}?`}>
        <Delete host={host} onClose={onClose} onDeleted={onDeleted} />
      </Modal>
      <Modal opened={open === 'install'} onClose={onClose} title="Install the agent" size="lg">
        <Install host={host} onClose={onClose} />
      </Modal>
    </>
  );
}

function Rename({ host, onClose }: DialogProps) {
  const { hosts } = useShared();
  const [name, setName] = useState(host.name);
  const [error, setError] = useState<string | null>(null);
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    try {
      await call<Host>('PATCH', `/hosts/${host.id}`, { name: name.trim() });
      hosts.rename(host.id, name.trim());
      onClose();
    } catch (failure) {
      setError(messageOf(failure));
    }
  };
  return (
    <form onSubmit={(event) => void submit(event)}>
      <TextInput
        label="Name"
        data-autofocus
        maxLength={100}
        required
        value={name}
        error={error}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <div className="dialog-actions">
        <button type="button" className="button" onClick={onClose}>
          Cancel
        </button>
        <button type="submit" className="button primary" disabled={name.trim() === '' || name.trim() === host.name}>
          Rename
        </button>
      </div>
    </form>
  );
}

function Delete({ host, onClose, onDeleted }: DialogProps & { onDeleted: () => void }) {
  const { hosts } = useShared();
  const [typed, setTyped] = useState('');
  const [error, setError] = useState<string | null>(null);
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    try {
      await call('DELETE', `/hosts/${host.id}`);
      hosts.remove(host.id);
      onDeleted();
    } catch (failure) {
      setError(messageOf(failure));
    }
  };
  return (
    <form onSubmit={(event) => void submit(event)}>
      <p>Its agent is shut out, and its charts and its conversation are removed for good.</p>
      <TextInput
        mt={12}
        label={`Type ${host.name} to confirm`}
        data-autofocus
        autoComplete="off"
        value={typed}
        error={error}
        onChange={(event) => setTyped(event.currentTarget.value)}
      />
      <div className="dialog-actions">
        <button type="button" className="button" onClick={onClose}>
          Cancel
        </button>
        <button type="submit" className="button danger" disabled={typed !== host.name}>
          Delete host
        </button>
      </div>
    </form>
  );
}

function Install({ host }: DialogProps) {
  const [enrolment, setEnrolment] = useState<Enrolment | null>(null);
  const [error, setError] = useState<string | null>(null);
  const renew = useCallback(async () => setEnrolment(await call<Enrolment>('POST', `/hosts/${host.id}/enrolment`)), [host.id]);
  useEffect(() => {
    renew().catch((failure: unknown) => setError(messageOf(failure)));
  }, [renew]);
  if (error) return <p>{error}</p>;
  return (
    <>
      <p style={{ marginBottom: 12 }}>Run this on the machine. An agent that was connected under this name before is replaced.</p>
      {enrolment && <Command enrolment={enrolment} onRenew={renew} />}
    </>
  );
}
