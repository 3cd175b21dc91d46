/** After a sign-in by link: choose a password, or go on without one for now. */

import { Brand } from '../components/parts.tsx';
import { PasswordForm } from '../components/PasswordForm.tsx';

export function SetPassword({ email, onDone }: { email: string; onDone: () => void }) {
  return (
    <main className="entrance">
      <div className="entrance-box">
        <Brand />
        <h1>Set a password</h1>
        <p className="lead">
          The link you came by works only once. With a password you can sign in again, as <b>{email}</b>.
        </p>
        <PasswordForm email={email} hasPassword={false} onDone={onDone} label="Set password" />
        <p style={{ marginTop: 14 }}>
          <button type="button" className="button" onClick={onDone}>
            Later
          </button>
        </p>
      </div>
    </main>
  );
}
