/** Makes a span of each REST request, and names its trace in the log. */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Span, Tracing } from '../ops/tracing.ts';

const spanOf = Symbol('span');
type Traced = FastifyRequest & { [spanOf]?: Span };

/** What a request leads to belongs to its trace; a caller that sends a traceparent goes on with its own. */
export function traceRequests(app: FastifyInstance, tracing: Tracing): void {
  app.addHook('onRequest', (request: Traced, _reply, done) => {
    // The route of a WebSocket stays open for days.
    if (request.ws) return done();
    const { traceparent } = request.headers;
    const route = request.routeOptions.url ?? 'no route';
    const attributes = { 'http.request.method': request.method, 'http.route': route, request: request.id };
    const span = tracing.start(`${request.method} ${route}`, typeof traceparent === 'string' ? traceparent : undefined, attributes);
    request[spanOf] = span;
    request.log = request.log.child({ trace: span.traceId });
    tracing.within(span, done);
  });
  app.addHook('onResponse', (request: Traced, reply, done) => {
    request[spanOf]?.end(reply.statusCode >= 500 ? new Error(`status ${reply.statusCode}`) : undefined);
    done();
  });
}
