/** How the agent of a host is: what waits in its buffer, and how long it can be without the hub. */

import { useStore } from '../lib/store.ts';
import { bufferFacts } from '../state/bufferFacts.ts';
import type { HostRoom } from '../state/hostRoom.ts';
import { useVersion } from './Tables.tsx';

export function AgentFacts({ room }: { room: HostRoom }) {
  useVersion(room.samples, 1_000);
  const inventory = useStore(room.state)?.inventory;
  const facts = bufferFacts(room.samples.latest?.metrics ?? {});
  if (facts.length === 0) return null;
  return (
    <section className="section agent-facts" aria-label="Agent">
      <h3>
        Agent<span>{inventory?.agentVersion ?? ''}</span>
      </h3>
      <dl>
        {facts.map(([term, text]) => (
          <div key={term}>
            <dt>{term}</dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
