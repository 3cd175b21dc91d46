/** The route of charts: a host's metrics in columns. */

import { hostFor } from '../actions/hosts.ts';
import { readSeries } from '../actions/readSeries.ts';
import type { SeriesParts } from '../actions/readSeries.ts';
import type { Sql } from '../db/database.ts';
import { IdParams } from '../protocol/rest.ts';
import { Series, SeriesQuery, usualPoints } from '../protocol/restHistory.ts';
import { leaving } from './leaving.ts';
import { userOf } from './guards.ts';
import { refusals, signedIn } from './routes.ts';
import type { Api } from './routes.ts';

export interface SeriesNeeds {
  sql: Sql;
  series: SeriesParts;
}

export function hostSeriesRoutes(app: Api, { sql, series }: SeriesNeeds): void {
  app.get(
    '/hosts/:id/series',
    {
      schema: {
        tags: ['hosts'],
        security: signedIn,
        summary: 'Metrics over time, for charts',
        description:
          '`metrics` is a comma list of names and patterns, in which `*` stands for any characters (`net.*.receive`). `from` inclusive, `to` exclusive; without `to`: until now. ' +
          'The answer has at most `points` buckets of `step` milliseconds, aligned to hub time, from the tier it names; `null` is a gap.',
        params: IdParams,
        querystring: SeriesQuery,
        response: { 200: Series, ...refusals },
      },
    },
    async (request, reply) => {
      const host = await hostFor(sql, userOf(request), request.params.id, 'host.read');
      const { metrics, from, to = Math.max(from, series.clock.now()) + 1, points = usualPoints } = request.query;
      const wish = { host: host.id, metrics, from, to, points };
      const { grid, table } = await readSeries(series, wish, leaving(reply));
      const { tier, stepMs, startMs, count } = grid;
      const at = Array.from({ length: count }, (_, i) => startMs + i * stepMs);
      return reply.send({ tier, step: stepMs, at, series: Object.fromEntries(table.columns()) });
    },
  );
}
