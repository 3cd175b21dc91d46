/** The route that streams a host's stored samples. */

import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import Type from 'typebox';
import { asNdjson, samplesAsCsv } from '../actions/exportSamples.ts';
import type { SampleRange } from '../actions/exportSamples.ts';
import { hostFor } from '../actions/hosts.ts';
import { readExtent } from '../data/extent.ts';
import type { HistoryParts } from '../data/history.ts';
import type { Sql } from '../db/database.ts';
import { AppError } from '../errors.ts';
import type { Clock } from '../lib/clock.ts';
import { IdParams, SamplesQuery } from '../protocol/rest.ts';
import { userOf } from './guards.ts';
import { refusals, signedIn } from './routes.ts';
import type { Api } from './routes.ts';

const Lines = Type.Unsafe<Readable>({ type: 'string' });

export interface SampleNeeds {
  sql: Sql;
  clock: Clock;
  history: HistoryParts;
}

/** A client that leaves ends the reading; one that reads slowly slows it down. */
export function hostSampleRoutes(app: Api, { sql, clock, history }: SampleNeeds): void {
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
          'NDJSON, each line a sample as in the room; with `Accept: text/csv` CSV. `from` inclusive, `to` exclusive; without `to`: until now. ' +
          'With `kind=processes` the process lists instead, as NDJSON only. ' +
          'The header `Hostroom-Range: from=…; to=…; first=…; last=…; samples=…` tells what is stored of it. ' +
          'A minute that cannot be read is left out, told in NDJSON by a line `{"kind":"fault","code":"corrupt","from":…,"to":…}` and counted in the trailer `Hostroom-Faults`.',
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
      const { from, to = Math.max(from, clock.now() + 1), kind = 'sample' } = request.query;
      if (to < from) throw new AppError('invalid', 'to: stands before from.');
      const asCsv = /\btext\/csv\b/i.test(request.headers.accept ?? '');
      if (asCsv && kind === 'processes') throw new AppError('invalid', 'kind: process lists have no columns; take NDJSON.');
      const range = { host: host.id, kind, from, to };
      void reply
        .type(asCsv ? 'text/csv; charset=utf-8' : 'application/x-ndjson')
        .header('x-accel-buffering', 'no')
        .header('hostroom-range', await describeRange(sql, range));
      // The answer to HEAD has no body, and must not cost the reading of one.
      if (request.method === 'HEAD') return reply.send(Readable.from([]));
      const parts = countFaults(history, reply);
      const stream = Readable.from(asCsv ? samplesAsCsv(parts, range) : asNdjson(parts, range), {
        objectMode: true,
        highWaterMark: 1,
      });
      running.add(stream);
      stream.once('close', () => running.delete(stream));
      return reply.send(stream);
    },
  );
}

/** Lets a reader know how far it has come: the time of a line stands between first and last. */
async function describeRange(sql: Sql, { host, kind, from, to }: SampleRange): Promise<string> {
  const { count, firstMs, lastMs } = await readExtent(sql, kind, host, from, to);
  const stored = count > 0 ? `; first=${firstMs}; last=${lastMs}` : '';
  return `from=${from}; to=${to}${stored}; ${kind === 'sample' ? 'samples' : 'lists'}=${count}`;
}

/** By then the head of the answer is long gone: a trailer says how many minutes are missing. */
function countFaults(history: HistoryParts, reply: FastifyReply): HistoryParts {
  let faults = 0;
  reply.trailer('hostroom-faults', async () => String(faults));
  return {
    ...history,
    corrupt(error, chunk) {
      faults++;
      history.corrupt?.(error, chunk);
    },
  };
}
