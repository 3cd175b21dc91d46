/** The route that tells what history takes on disk. */

import { readStorage } from '../actions/readStorage.ts';
import { Storage } from '../protocol/restHistory.ts';
import { userOf } from './guards.ts';
import type { SeriesNeeds } from './hostSeries.ts';
import { leaving } from './leaving.ts';
import { refusals, signedIn } from './routes.ts';
import type { Api } from './routes.ts';

export function storageRoutes(app: Api, { series }: Pick<SeriesNeeds, 'series'>): void {
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
}
