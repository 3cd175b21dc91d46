/** Sets a password, or changes the one there is. */

import { PasswordInput } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { leastPasswordLength } from '../../../src/protocol/password.ts';
import { messageOf } from '../api.ts';
import { changePassword } from '../session.ts';

export interface PasswordFormProps {
  /** Whose password it is, for password managers. */
  email: string;
  hasPassword: boolean;
  onDone: () => void;
  label: string;
}

export function PasswordForm({ email, hasPassword, onDone, label }: PasswordFormProps) {
  const [current, setCurrent] = useState('');
  const [password, setPassword] = useState('');
  const [error, setError] = useState<string | null>(null);
  const [done, setDone] = useState(false);
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    setError(null);
    setDone(false);
    try {
      await changePassword(password, hasPassword ? current : undefined);
      setCurrent('');
      setPassword('');
      setDone(true);
      onDone();
    } catch (failure) {
      setError(messageOf(failure));
    }
  };
  return (
    <form className="form" onSubmit={(event) => void submit(event)}>
      <input type="email" autoComplete="username" value={email} readOnly hidden />
      {hasPassword && (
        <PasswordInput
          label="Current password"
          autoComplete="current-password"
          required
          value={current}
          onChange={(event) => setCurrent(event.currentTarget.value)}
        />
      )}
      <PasswordInput
        label="New password"
        description={`At least ${leastPasswordLength} characters`}
        autoComplete="new-password"
        required
        minLength={leastPasswordLength}
        maxLength={200}
        value={password}
        onChange={(event) => setPassword(event.currentTarget.value)}
      />
      {error && (
        <p className="error" role="alert">
          {error}
        </p>
      )}
      {done && (
        <p className="done" role="status">
          Password saved.
        </p>
      )}
      <button type="submit" className="button primary large">
        {label}
      </button>
    </form>
  );
}
