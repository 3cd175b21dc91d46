/** The frame around every page of a signed-in person. */

import { Modal } from '@mantine/core';
import { IconAlertTriangle, IconMenu2 } from '@tabler/icons-react';
import { createContext, type ReactNode, useContext, useState } from 'react';
import { useLocation } from 'wouter';
import { useShared } from '../context.ts';
import { useStore } from '../lib/store.ts';
import { Rail } from './Rail.tsx';
import { Toasts } from './Toasts.tsx';
import { shortcuts, useKeys } from './useKeys.ts';

const OpenRail = createContext<() => void>(() => {});

/** Opens the rail where it is a drawer; invisible where the rail stands anyway. */
export function RailButton() {
  const open = useContext(OpenRail);
  return (
    <button type="button" className="icon-button drawer-rail" aria-label="Rooms" onClick={open}>
      <IconMenu2 size={20} stroke={1.75} />
    </button>
  );
}

const isLoopback = (name: string): boolean =>
  name === 'localhost' || name.endsWith('.localhost') || name.startsWith('127.') || name === '[::1]';

export function PlainHttpBanner() {
  if (location.protocol !== 'http:' || isLoopback(location.hostname)) return null;
  return (
    <div className="banner" role="alert">
      <IconAlertTriangle size={16} stroke={1.75} />
      <span>This page comes over plain http: others on the way can read passwords and messages. Put the hub behind https.</span>
    </div>
  );
}

/** By the names of the hub's dependencies. */
const outages: Readonly<Record<string, string>> = {
  postgresql: 'The hub cannot store anything at present. Live values go on; agents keep their samples and bring them later.',
  redis: 'The replicas of the hub cannot reach each other at present: live values of some hosts come about two seconds late.',
};

function OutageBanner() {
  const { live } = useShared();
  const away = useStore(live.away);
  const isConnected = useStore(live.connection) === 'connected';
  const known = away.filter((name) => name in outages);
  if (!isConnected || known.length === 0) return null;
  return (
    <div className="banner" role="alert">
      <IconAlertTriangle size={16} stroke={1.75} />
      <span>{known.map((name) => outages[name]).join(' ')}</span>
    </div>
  );
}

export function Shell({ children }: { children: ReactNode }) {
  const { hosts } = useShared();
  const [railOpen, setRailOpen] = useState(false);
  const [helpOpen, setHelpOpen] = useState(false);
  const [path, navigate] = useLocation();

  const step = (by: 1 | -1): void => {
    const all = hosts.get().hosts;
    const here = all.findIndex((host) => path === `/hosts/${host.id}`);
    const next = here < 0 ? all[by === 1 ? 0 : all.length - 1] : all[here + by];
    if (next) navigate(`/hosts/${next.id}`);
  };
  useKeys({
    j: () => step(1),
    k: () => step(-1),
    '?': () => setHelpOpen(true),
    '/': () => {
      const own =
        document.querySelector<HTMLInputElement>('[data-find="page"]') ?? document.querySelector<HTMLInputElement>('[data-find="rail"]');
      if (own?.dataset['find'] === 'rail') setRailOpen(true);
      setTimeout(() => own?.focus());
    },
  });

  return (
    <OpenRail.Provider value={() => setRailOpen(true)}>
      <div className={railOpen ? 'shell rail-open' : 'shell'}>
        <div className="banners">
          <PlainHttpBanner />
          <OutageBanner />
        </div>
        <Rail onNavigate={() => setRailOpen(false)} />
        {railOpen && <div className="rail-shade" onClick={() => setRailOpen(false)} />}
        <main className="main">{children}</main>
        <Modal opened={helpOpen} onClose={() => setHelpOpen(false)} title="Keys" size="sm">
          <div className="keys">
            {shortcuts.map(([key, does]) => (
              <div key={key} style={{ display: 'contents' }}>
                <span>
                  <kbd>{key}</kbd>
                </span>
                <span>{does}</span>
              </div>
            ))}
          </div>
        </Modal>
        <Toasts />
      </div>
    </OpenRail.Provider>
  );
}
