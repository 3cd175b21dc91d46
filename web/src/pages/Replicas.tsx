/** The processes that are this hub, as they are now; for admins. */

import { type FormEvent, useEffect, useState } from 'react';
import type { Replica, ReplicaList } from '../../../src/protocol/restCluster.ts';
import { call, messageOf } from '../api.ts';
import { RailButton } from '../components/Shell.tsx';
import { toast } from '../components/Toasts.tsx';
import { useShared } from '../context.ts';
import { count, decimal, duration, nn, none, stamp } from '../lib/format.ts';

/** New and draining replicas are to be seen within two seconds. */
const everyMs = 1_000;

export default function Replicas() {
  const { live } = useShared();
  const [list, setList] = useState<ReplicaList | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const leaving = new AbortController();
    const read = async (): Promise<void> => {
      try {
        const answer = await call<Omit<ReplicaList, 'pending'> & Partial<ReplicaList>>(
          'GET',
          '/replicas',
          undefined,
          undefined,
          leaving.signal,
        );
        // While an update rolls, a replica of the version before may answer, which tells nothing of these.
        setList({ ...answer, pending: answer.pending ?? [] });
        setError(null);
      } catch (failure) {
        if (!leaving.signal.aborted) setError(messageOf(failure));
      }
      if (!leaving.signal.aborted) timer = setTimeout(() => void read(), everyMs);
    };
    void read();
    return () => {
      leaving.abort();
      clearTimeout(timer);
    };
  }, []);
  const all = list?.items ?? [];
  return (
    <>
      <header className="head">
        <RailButton />
        <h1>Replicas</h1>
        <span className="grow" />
        {list?.scalable && <ScaleForm now={all.filter(({ draining }) => !draining).length} />}
      </header>
      <div className="page">
        <div className="column wide" style={{ marginTop: 24 }}>
          {error && (
            <p className="error" role="alert">
              {error}
            </p>
          )}
          {list && (
            <div className="table-scroll">
              <table className="storage-table replica-table">
                <thead>
                  <tr>
                    <th scope="col">replica</th>
                    <th scope="col">state</th>
                    <th scope="col">version</th>
                    <th scope="col">agents</th>
                    <th scope="col">people</th>
                    <th scope="col">rooms</th>
                    <th scope="col">messages</th>
                    <th scope="col">loop lag</th>
                    <th scope="col">up for</th>
                  </tr>
                </thead>
                <tbody>
                  {all.map((replica) => (
                    <Line key={replica.id} replica={replica} now={live.now()} />
                  ))}
                  {list.pending.map(({ name, node }) => (
                    <tr key={name} data-state="pending">
                      <th scope="row" title={node === '' ? 'waits for a node' : `on ${node}`}>
                        {name}
                      </th>
                      <td colSpan={8}>{node === '' ? 'waits for a node' : 'pod is being started'}</td>
                    </tr>
                  ))}
                </tbody>
                {all.length > 1 && (
                  <tfoot>
                    <tr>
                      <th scope="row">{`${all.length} replicas`}</th>
                      <td />
                      <td />
                      <td>{sum(all, ({ connections }) => connections.agent)}</td>
                      <td>{sum(all, ({ connections }) => connections.user)}</td>
                      <td />
                      <td>{perSecond(all.reduce((total, { messagesPerSecond }) => total + messagesPerSecond, 0))}</td>
                      <td />
                      <td />
                    </tr>
                  </tfoot>
                )}
              </table>
            </div>
          )}
        </div>
      </div>
    </>
  );
}

function Line({ replica, now }: { replica: Replica; now: number }) {
  const { name, node, version, connections, rooms, messagesPerSecond, loopLagMs, startedAt, self } = replica;
  return (
    <tr data-state={stateOf(replica)}>
      <th scope="row" title={node === '' ? replica.id : `${replica.id} on ${node}`}>
        {name} {self && <span className="tag">answers you</span>}
      </th>
      <td>{stateOf(replica)}</td>
      <td>{version}</td>
      <td>{count(connections.agent)}</td>
      <td>{count(connections.user)}</td>
      <td>{count(rooms)}</td>
      <td>{perSecond(messagesPerSecond)}</td>
      <td>{`${decimal(loopLagMs)}${nn}ms`}</td>
      <td title={stamp(startedAt)}>{now > startedAt ? duration(now - startedAt) : none}</td>
    </tr>
  );
}

const stateOf = ({ ready, draining }: Replica): 'ready' | 'draining' | 'starting' => (draining ? 'draining' : ready ? 'ready' : 'starting');
const perSecond = (value: number): string => `${decimal(value)}/s`;
const sum = (all: readonly Replica[], of: (replica: Replica) => number): string =>
  count(all.reduce((total, replica) => total + of(replica), 0));

/** Asks Kubernetes for another number of replicas. */
function ScaleForm({ now }: { now: number }) {
  const [wanted, setWanted] = useState('');
  const scale = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    try {
      await call('PUT', '/replicas/scale', { replicas: Number(wanted) });
      setWanted('');
    } catch (failure) {
      toast(messageOf(failure));
    }
  };
  return (
    <form className="scale-form" onSubmit={(event) => void scale(event)}>
      <input
        type="number"
        min={1}
        max={1000}
        required
        aria-label="Number of replicas"
        placeholder={String(now)}
        value={wanted}
        onChange={(event) => setWanted(event.target.value)}
      />
      <button type="submit" className="button">
        Scale
      </button>
    </form>
  );
}
