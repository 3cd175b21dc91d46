/** Which page stands at which address. */

import { lazy, Suspense, useEffect, useState } from 'react';
import { Redirect, Route, Switch, useLocation } from 'wouter';
import { Shell } from './components/Shell.tsx';
import { type Shared, SharedContext } from './context.ts';
import { useStore } from './lib/store.ts';
import { Live } from './live.ts';
import { Fleet } from './pages/Fleet.tsx';
import { NotFound } from './pages/NotFound.tsx';
import { Room } from './pages/Room.tsx';
import { SetPassword } from './pages/SetPassword.tsx';
import { SignIn } from './pages/SignIn.tsx';
import { resume, session } from './session.ts';
import { HostList } from './state/hosts.ts';

const Account = lazy(() => import('./pages/Account.tsx'));
const Replicas = lazy(() => import('./pages/Replicas.tsx'));
const AddHost = lazy(() => import('./pages/AddHost.tsx').then(({ AddHost: page }) => ({ default: page })));

export function App() {
  const who = useStore(session);
  const [path, navigate] = useLocation();
  const [asksPassword, setAsksPassword] = useState(false);
  const byLink = path === '/sign-in' && location.hash !== '';

  useEffect(() => {
    // A link signs in anew, whoever was signed in before.
    if (session.get().state !== 'unknown') return;
    if (byLink) session.set({ state: 'out' });
    else void resume();
  }, [byLink]);

  const signedIn = (usedLink: boolean): void => {
    const now = session.get();
    setAsksPassword(usedLink && now.state === 'in' && !now.user.hasPassword);
    navigate(wantedPage() ?? '/', { replace: true });
  };

  if (who.state === 'unknown') return null;
  if (who.state === 'unreachable') return <Unreachable reason={who.reason} />;
  if (who.state === 'out') return <SignIn onSignedIn={signedIn} />;
  if (asksPassword) return <SetPassword email={who.user.email} onDone={() => setAsksPassword(false)} />;
  return <SignedIn key={who.user.id} groups={who.user.groups.map((group) => group.id)} />;
}

/** The page someone came for before having to sign in. */
const wantedPage = (): string | null =>
  location.pathname === '/sign-in' || location.pathname === '/' ? null : location.pathname + location.search;

function SignedIn({ groups }: { groups: string[] }) {
  const [shared, setShared] = useState<Shared | null>(null);
  useEffect(() => {
    const live = new Live(`${location.origin.replace(/^http/u, 'ws')}/connection/websocket`);
    const hosts = new HostList(live);
    for (const id of groups) hosts.followGroup(id);
    live.connect();
    setShared({ live, hosts });
    return () => {
      hosts.close();
      live.close();
    };
    // Groups that come later are followed when their first host is listed.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);
  if (!shared) return null;
  return (
    <SharedContext.Provider value={shared}>
      <Shell>
        <Suspense fallback={<div className="page" />}>
          <Switch>
            <Route path="/" component={Fleet} />
            <Route path="/hosts/new" component={AddHost} />
            <Route path="/hosts/:id">{({ id }) => <Room key={id} hostId={id} />}</Route>
            <Route path="/account" component={Account} />
            <Route path="/replicas" component={Replicas} />
            <Route path="/sign-in">
              <Redirect to="/" replace />
            </Route>
            <Route>
              <NotFound />
            </Route>
          </Switch>
        </Suspense>
      </Shell>
    </SharedContext.Provider>
  );
}

const retryMs = 2_000;

/** The hub does not answer: tries again by itself. */
function Unreachable({ reason }: { reason: string }) {
  useEffect(() => {
    const timer = setInterval(() => void resume(), retryMs);
    return () => clearInterval(timer);
  }, []);
  return (
    <main className="entrance">
      <p className="lead" role="status">
        {reason} Trying again…
      </p>
    </main>
  );
}
