/** Opens what decides who gets in, and how often: the directory of people, agents and rooms, the limits that replicas share. */

import { enrolFailures } from './api/agents.ts';
import { createLoginLimits, type LoginLimits } from './auth/loginLimits.ts';
import { createTries, type Tries } from './auth/tries.ts';
import { Directory } from './data/directory.ts';
import type { Sql } from './db/database.ts';
import type { Closers } from './lib/closers.ts';
import type { Metrics } from './ops/metrics.ts';
import { SharedSeats } from './relay/sharedSeats.ts';
import { SharedTries } from './relay/sharedTries.ts';
import type { Replication } from './replication.ts';

export interface Admission {
  directory: Directory;
  loginLimits: LoginLimits;
  enrolTries: Tries;
  /** Absent where there are no other replicas. */
  seats: SharedSeats | undefined;
}

export interface AdmissionOptions {
  sql: Sql;
  metrics: Metrics;
  closers: Closers;
  replication: Pick<Replication, 'link' | 'replica'>;
  /** Something failed that nobody waits for. */
  failed(error: unknown, what: string): void;
}

/** Pushes what it opens on `closers`. */
export function openAdmission({ sql, metrics, closers, replication: { link, replica }, failed }: AdmissionOptions): Admission {
  const directory = new Directory({ sql, asked: metrics.lookedUp, hearsOthers: () => !link?.isAway });
  // What was told while Redis was away has not been heard.
  link?.onBack(() => directory.forgetAll());
  const seats = link && new SharedSeats({ link, replica, failed });
  seats?.start();
  if (seats) closers.add('seats', () => seats.close());
  const shared = link && new SharedTries({ link, failed });
  return { directory, loginLimits: createLoginLimits({ shared }), enrolTries: createTries(enrolFailures, { shared }), seats };
}
