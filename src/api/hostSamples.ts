/** The route that streams a host's stored samples. */

import { Readable } from 'node:stream';
import Type from 'typebox';
import { samplesAsCsv, samplesAsNdjson } from '../actions/exportSamples.ts';
import { hostFor } from '../actions/hosts.ts';
import type { Sql } from '../db/database.ts';
import { AppError } from '../errors.ts';
import type { Clock } from '../lib/clock.ts';
import { IdParams, SamplesQuery } from '../protocol/rest.ts';
import { userOf } from './guards.ts';
import { refusals, signedIn } from './routes.ts';
import type { Api } from './routes.ts';

const Lines = Type.Unsafe<Readable>({ type: 'string' });

/** A client that leaves ends the reading; one that reads slowly slows it down. */
export function hostSampleRoutes(app: Api, { sql, clock }: { sql: Sql; clock: Clock }): void {
  const running = new Set<Readable>();
  app.addHook('preClose', async () => {
    for (const stream of running) stream.destroy();
  });

  app.get(
    '/hosts/:id/samples',
    {
      schema: {
        tags: ['hosts'],
        security: signedIn,
        summary: 'Stored samples, one per line, ascending',
        description:
          'NDJSON, each line a sample as in the room; with `Accept: text/csv` CSV. `from` inclusive, `to` exclusive; without `to`: until now.',
        params: IdParams,
        querystring: SamplesQuery,
        response: {
          200: {
            description: 'The samples.',
            content: { 'application/x-ndjson': { schema: Lines }, 'text/csv': { schema: Lines } },
          },
          ...refusals,
        },
      },
    },
    async (request, reply) => {
      const host = await hostFor(sql, userOf(request), request.params.id, 'host.read');
      const { from, to = Math.max(from, clock.now() + 1) } = request.query;
      if (to < from) throw new AppError('invalid', 'to: stands before from.');
      const asCsv = /\btext\/csv\b/i.test(request.headers.accept ?? '');
      const range = { host: host.id, from, to };
      // The answer to HEAD has no body, and must not cost the reading of one.
      const lines = request.method === 'HEAD' ? [] : asCsv ? samplesAsCsv(sql, range) : samplesAsNdjson(sql, range);
      const stream = Readable.from(lines, { objectMode: true, highWaterMark: 1 });
      running.add(stream);
      stream.once('close', () => running.delete(stream));
      return reply
        .type(asCsv ? 'text/csv; charset=utf-8' : 'application/x-ndjson')
        .header('x-accel-buffering', 'no')
        .send(stream);
    },
  );
}
