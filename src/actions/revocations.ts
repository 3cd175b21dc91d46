/** Tells all replicas of rights that ended or changed, so that each acts on those connected to it. */

import type { Directory } from '../data/directory.ts';
import type { Hub } from '../hub/hub.ts';
import { closes } from '../protocol/codes.ts';
import type { Notice, Notices } from '../relay/notices.ts';
import type { SampleStream } from '../streams/samples.ts';
import type { AgentPresence } from './agentPresence.ts';
import type { RoomParts } from './enterRoom.ts';
import type { FleetBoard } from './fleet.ts';
import { emptyRooms, endSessions, recheckRooms } from './revoke.ts';

export interface RevocationParts {
  hub: Hub;
  directory: Directory;
  notices: Pick<Notices, 'on' | 'tell'>;
  rooms: RoomParts;
  presence: Pick<AgentPresence, 'end'>;
  fleet: Pick<FleetBoard, 'forget'>;
  samples: Pick<SampleStream, 'forget'>;
  /** Something nobody waits for failed. */
  failed(error: unknown, what: string): void;
}

/** Each acts here at once and on the other replicas as soon as they hear of it. Never throws. */
export interface Revocations {
  sessionsEnded(sessions: readonly string[]): void;
  /** Their name, roles, or being an admin. */
  personChanged(person: string): void;
  /** @param order connections of the agent announced before it have the old key */
  keyReplaced(host: string, order: number): void;
  hostDeleted(host: string): void;
}

type Acts = { [K in 'sessionsEnded' | 'rolesChanged' | 'hostChanged' | 'hostKey' | 'hostDeleted']: (notice: Notice<K>) => void };

export function revocations({ hub, directory, notices, rooms, presence, fleet, samples, failed }: RevocationParts): Revocations {
  // The directory first: whoever is closed may come back within the same moment.
  const acts: Acts = {
    sessionsEnded: ({ sessions }) => {
      directory.sessionsEnded(sessions);
      endSessions(hub, sessions);
    },
    rolesChanged: ({ person }) => {
      directory.personChanged(person);
      recheckRooms(rooms, hub, person).catch((error: unknown) => failed(error, 'taking a changed person into account'));
    },
    hostChanged: ({ host }) => directory.hostChanged(host),
    hostKey: ({ host, order }) => {
      directory.hostChanged(host);
      presence.end(host, closes.permissionDenied, order);
    },
    hostDeleted: ({ host }) => {
      directory.hostChanged(host);
      presence.end(host, closes.permissionDenied);
      emptyRooms(hub, host);
      fleet.forget(host);
      samples.forget(host);
    },
  };
  notices.on('sessionsEnded', acts.sessionsEnded);
  notices.on('rolesChanged', acts.rolesChanged);
  notices.on('hostChanged', acts.hostChanged);
  notices.on('hostKey', acts.hostKey);
  notices.on('hostDeleted', acts.hostDeleted);

  const everywhere = <N extends Notice>(act: (notice: N) => void, notice: N): void => {
    act(notice);
    notices.tell(notice);
  };
  return {
    sessionsEnded: (sessions) => everywhere(acts.sessionsEnded, { kind: 'sessionsEnded', sessions: [...sessions] }),
    personChanged: (person) => everywhere(acts.rolesChanged, { kind: 'rolesChanged', person }),
    keyReplaced: (host, order) => everywhere(acts.hostKey, { kind: 'hostKey', host, order }),
    hostDeleted: (host) => everywhere(acts.hostDeleted, { kind: 'hostDeleted', host }),
  };
}
