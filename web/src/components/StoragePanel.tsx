/** What history takes on the hub's disk, tier by tier; for admins. */

import { useEffect, useState } from 'react';
import type { Storage } from '../../../src/protocol/restHistory.ts';
import { call, messageOf } from '../api.ts';
import { useShared } from '../context.ts';
import { binary, duration, none, stamp } from '../lib/format.ts';

const tierWords: Record<Storage['tiers'][number]['tier'], string> = {
  hot: 'Newest seconds, not packed yet',
  raw: 'Every sample',
  '10s': '10 s averages',
  '1m': '1 min averages',
  '1h': '1 h averages',
};

export function StoragePanel() {
  const { live } = useShared();
  const [storage, setStorage] = useState<Storage | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    call<Storage>('GET', '/storage').then(setStorage, (failure: unknown) => setError(messageOf(failure)));
  }, []);
  return (
    <section className="panel" aria-label="Storage">
      <h2>Storage</h2>
      <p>
        What the history of all hosts takes on the hub’s disk. How long it is kept is set by <code>RETENTION_RAW</code>,{' '}
        <code>RETENTION_10S</code>, <code>RETENTION_1M</code> and <code>RETENTION_1H</code>, and shortened by{' '}
        <code>PUT /api/v1/storage/retention</code>.
      </p>
      {error && (
        <p className="error" role="alert">
          {error}
        </p>
      )}
      {storage && (
        <table className="storage-table">
          <thead>
            <tr>
              <th scope="col">tier</th>
              <th scope="col">kept for</th>
              <th scope="col">reaches back</th>
              <th scope="col">on disk</th>
            </tr>
          </thead>
          <tbody>
            {storage.tiers.map(({ tier, bytes, oldest, retention }) => (
              <tr key={tier}>
                <th scope="row">{tierWords[tier]}</th>
                <td>{retention === null ? none : keptFor(retention)}</td>
                <td title={oldest === null ? undefined : stamp(oldest)}>{oldest === null ? none : duration(live.now() - oldest)}</td>
                <td>{binary(bytes)}</td>
              </tr>
            ))}
          </tbody>
          <tfoot>
            <tr>
              <th scope="row">All</th>
              <td />
              <td />
              <td>{binary(storage.tiers.reduce((sum, { bytes }) => sum + bytes, 0))}</td>
            </tr>
          </tfoot>
        </table>
      )}
    </section>
  );
}

/** As the configuration counts them. */
const yearMs = 365.25 * 86_400_000;
const keptFor = (ms: number): string =>
  ms >= yearMs && ms % yearMs === 0 ? `${ms / yearMs} ${ms === yearMs ? 'year' : 'years'}` : duration(ms);
