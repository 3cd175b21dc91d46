/** One host in the fleet's list. */

import { memo } from 'react';
import { Link } from 'wouter';
import type { Host } from '../../../src/protocol/rest.ts';
import { age, celsius, decimal, middle, none, percent, rate, shortDuration } from '../lib/format.ts';
import { type Status, statusOf, statusWords } from '../state/status.ts';
import { Glyph, Meter, Spark } from './parts.tsx';

export interface Shaped {
  host: Host;
  status: Status;
  newest: number | null;
}

export function shapeOf(host: Host, now: number): Shaped {
  const newest = host.summary.at ?? host.lastSampleAt;
  return { host, newest, status: statusOf(host.status, newest, now, 'fleet') };
}

function whyOf({ status, newest }: Shaped, now: number): string {
  if (status === 'unknown') return 'No sample yet';
  if (newest === null || status === 'ok') return '';
  return status === 'stale' ? `No sample for ${age(now - newest)}` : `Offline · ${shortDuration(now - newest)}`;
}

const figure = (value: number | null, dead: boolean, format: (value: number) => string): string =>
  dead || value === null ? none : format(value);

export const FleetRow = memo(function FleetRow({ host, status, newest, now, trail }: Shaped & { now: number; trail: Float32Array }) {
  const { summary } = host;
  const why = whyOf({ host, status, newest }, now);
  const dead = status === 'offline' || status === 'unknown';
  return (
    <Link href={`/hosts/${host.id}`} className={`fleet-row ${status}`} role="row" aria-label={`${host.name}, ${statusWords[status]}`}>
      <span className="left host-name" role="cell" title={host.name}>
        <Glyph status={status} />
        <span>
          {middle(host.name, 24)}
          {why !== '' && <small className="why">{why}</small>}
        </span>
      </span>
      <span className="left why wide-only" role="cell">
        {why}
      </span>
      <span className="figure fades" role="cell">
        {!dead && <Spark values={trail} version={now} width={76} height={20} filled />}
        <b>{figure(summary.cpu, dead, percent)}</b>
      </span>
      <span className="figure fades wide-only" role="cell">
        {!dead && summary.memory !== null && <Meter ratio={summary.memory} />}
        <b>{figure(summary.memory, dead, (value) => percent(value, 0))}</b>
      </span>
      <span className="figure fades wide-only" role="cell">
        {!dead && summary.disk !== null && <Meter ratio={summary.disk} />}
        <b>{figure(summary.disk, dead, (value) => percent(value, 0))}</b>
      </span>
      <span className="fades wide-only" role="cell">
        {figure(summary.receive, dead, rate)}
      </span>
      <span className="fades wide-only" role="cell">
        {figure(summary.transmit, dead, rate)}
      </span>
      <span className="fades wide-only" role="cell">
        {figure(summary.load, dead, decimal)}
      </span>
      <span className="fades wide-only" role="cell">
        {figure(summary.temperature, dead, celsius)}
      </span>
      <span className="fades wide-only" role="cell">
        {figure(summary.uptime, dead, (value) => shortDuration(value * 1000))}
      </span>
      <span className="age" role="cell">
        {dead || newest === null ? none : age(now - newest)}
      </span>
    </Link>
  );
});
