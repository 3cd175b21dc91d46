/** Sign in by password, or by the single-use link that the hub prints. */

import { PasswordInput, TextInput } from '@mantine/core';
import { type FormEvent, useEffect, useRef, useState } from 'react';
import { messageOf, Problem } from '../api.ts';
import { Brand } from '../components/parts.tsx';
import { PlainHttpBanner } from '../components/Shell.tsx';
import { signIn, signInByLink } from '../session.ts';

/** Takes the token out of the address at once, so that it stays in no history. */
function takeLinkToken(): string | null {
  const token = location.hash.slice(1);
  if (location.pathname !== '/sign-in' || token === '') return null;
  history.replaceState(null, '', '/sign-in');
  return token;
}

export function SignIn({ onSignedIn }: { onSignedIn: (byLink: boolean) => void }) {
  const [login, setLogin] = useState('');
  const [password, setPassword] = useState('');
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  /** Of a link that was not used yet; it is kept while the hub cannot take it. */
  const [link, setLink] = useState(takeLinkToken);
  const hasTried = useRef(false);

  const attempt = async (run: () => Promise<void>, byLink: boolean): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      await run();
      onSignedIn(byLink);
    } catch (failure) {
      setError(messageOf(failure));
      if (failure instanceof Problem && failure.isFinal) setLink(null);
    } finally {
      setBusy(false);
    }
  };

  useEffect(() => {
    if (hasTried.current || link === null) return;
    // Once: the token is good for one use.
    hasTried.current = true;
    void attempt(() => signInByLink(link), true);
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [link]);

  const submit = (event: FormEvent): void => {
    event.preventDefault();
    void attempt(() => signIn(login, password), false);
  };

  return (
    <>
      <PlainHttpBanner />
      <main className="entrance">
        <div className="entrance-box">
          <Brand />
          <h1>Sign in</h1>
          <p className="lead">{busy && link !== null ? 'Signing in by link…' : 'To the rooms of your hosts.'}</p>
          <form className="form" onSubmit={submit}>
            <TextInput
              label="E-mail"
              name="email"
              type="email"
              autoComplete="username"
              required
              autoFocus
              size="sm"
              value={login}
              onChange={(event) => setLogin(event.currentTarget.value)}
            />
            <PasswordInput
              label="Password"
              name="password"
              autoComplete="current-password"
              required
              value={password}
              onChange={(event) => setPassword(event.currentTarget.value)}
            />
            {error && (
              <p className="error" role="alert">
                {error}
              </p>
            )}
            {error && link !== null && (
              <button type="button" className="button large" disabled={busy} onClick={() => void attempt(() => signInByLink(link), true)}>
                Try the link again
              </button>
            )}
            <button type="submit" className="button primary large" disabled={busy}>
              Sign in
            </button>
            <p className="quiet">
              No password yet? The hub prints a sign-in link when it starts; <code>npm run hub -- --sign-in-link</code> makes another.
            </p>
          </form>
        </div>
      </main>
    </>
  );
}
