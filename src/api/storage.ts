/** The routes about what history takes on disk. */

import { changeRetention } from '../actions/changeRetention.ts';
import type { RetentionNeeds } from '../actions/changeRetention.ts';
import { readStorage } from '../actions/readStorage.ts';
import { RetentionChange, Storage } from '../protocol/restHistory.ts';
import { userOf } from './guards.ts';
import type { SeriesNeeds } from './hostSeries.ts';
import { leaving } from './leaving.ts';
import { Nothing, refusals, signedIn } from './routes.ts';
import type { Api } from './routes.ts';

export interface StorageNeeds extends Pick<SeriesNeeds, 'series'> {
  retention: RetentionNeeds;
}

export function storageRoutes(app: Api, { series, retention }: StorageNeeds): void {
  app.get(
    '/storage',
    {
      schema: {
        tags: ['hub'],
        security: signedIn,
        summary: 'Disk used by tier of history',
        description: 'For admins. Seconds wait in `hot` until they are chunks.',
        response: { 200: Storage, ...refusals },
      },
    },
    async (request, reply) => readStorage(series, userOf(request), leaving(reply)),
  );

  app.put(
    '/storage/retention',
    {
      schema: {
        tags: ['hub'],
        security: signedIn,
        summary: 'Keep tiers of history for a shorter time',
        description: 'For admins. From two hours up to what is configured, in milliseconds; what falls out of it is dropped at once.',
        body: RetentionChange,
        response: { 204: Nothing, ...refusals },
      },
    },
    async (request, reply) => {
      await changeRetention(retention, userOf(request), request.body);
      return reply.code(204).send(null);
    },
  );
}
