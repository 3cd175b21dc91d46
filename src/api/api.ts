/** The HTTP server: REST, its description, the web UI; not yet listening. */

import cookie from '@fastify/cookie';
import Fastify, { LogController } from 'fastify';
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ChangeMeNeeds } from '../actions/changeMe.ts';
import { newId } from '../lib/id.ts';
import type { Log } from '../ops/log.ts';
import type { Tracing } from '../ops/tracing.ts';
import type { Metrics } from '../ops/metrics.ts';
import { agentFileRoutes } from './agentFiles.ts';
import { agentRoutes } from './agents.ts';
import type { AgentNeeds } from './agents.ts';
import { authRoutes } from './auth.ts';
import type { AuthNeeds } from './auth.ts';
import { takeJsonOnly } from './body.ts';
import { groupRoutes } from './groups.ts';
import { groupTokenRoutes } from './groupTokens.ts';
import { guard } from './guards.ts';
import { refuseForeignPages, setSecurityHeaders } from './headers.ts';
import { hostSampleRoutes } from './hostSamples.ts';
import type { SampleNeeds } from './hostSamples.ts';
import { hostSeriesRoutes } from './hostSeries.ts';
import type { SeriesNeeds } from './hostSeries.ts';
import { hostRoutes } from './hosts.ts';
import type { HostRouteNeeds } from './hosts.ts';
import { hubRoutes } from './hub.ts';
import { answerRetries } from './idempotency.ts';
import { meRoutes } from './me.ts';
import { collectMethods } from './methods.ts';
import { describeApi } from './openapi.ts';
import { refuseUnread, sendProblem } from './problems.ts';
import { replicaRoutes } from './replicas.ts';
import type { ReplicaNeeds } from './replicas.ts';
import { roomRoutes } from './rooms.ts';
import type { RoomNeeds } from './rooms.ts';
import type { Api } from './routes.ts';
import { storageRoutes } from './storage.ts';
import type { StorageNeeds } from './storage.ts';
import { traceRequests } from './requestTraces.ts';
import { validatorCompiler } from './validate.ts';
import { serveWebUi } from './webUi.ts';

/** Every part that some route needs. `hub` is the hub's id, `version` the program's. */
export type ApiParts = AuthNeeds &
  AgentNeeds &
  ChangeMeNeeds &
  HostRouteNeeds &
  ReplicaNeeds &
  RoomNeeds &
  SampleNeeds &
  SeriesNeeds &
  StorageNeeds & {
    log: Log;
    metrics: Pick<Metrics, 'http' | 'error'>;
    /** Absent: no traces. */
    tracing?: Tracing;
    allowedOrigins: readonly string[];
    /** Whose X-Forwarded-For is believed. */
    trustedProxies: readonly string[];
    /** The built web UI. */
    webRoot: string;
    version: string;
    /** Runs before any route is added, for what has to see them all. */
    first?(app: FastifyInstance): Promise<void>;
  };

const bodyMaxBytes = 100 * 1024;

/** `listen` is the caller's. */
export async function createApi(parts: ApiParts): Promise<FastifyInstance> {
  const log: FastifyBaseLogger = parts.log;
  const app = Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request' }),
    genReqId: newId,
    trustProxy: parts.trustedProxies.length > 0 ? [...parts.trustedProxies] : false,
    bodyLimit: bodyMaxBytes,
    requestTimeout: 15_000,
    keepAliveTimeout: 65_000,
    forceCloseConnections: 'idle',
    http: { headersTimeout: 10_000, maxHeaderSize: 8_192, connectionsCheckingInterval: 2_000 },
    clientErrorHandler: refuseUnread,
    // Refusals of the router and of bodies that are no JSON look like all others.
    frameworkErrors: (error, request, reply) => void problem(error, request, reply),
  });
  const problem = (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply =>
    sendProblem(error, request, reply, (failure) => {
      parts.metrics.error('api');
      request.log.error({ err: failure, req: request }, 'a request failed');
    });
  app.server.maxHeadersCount = 100;
  app.setErrorHandler(problem);
  app.setValidatorCompiler(validatorCompiler);
  // The handlers say exactly what goes out; a schema of an answer describes, and drops nothing silently.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  takeJsonOnly(app);
  setSecurityHeaders(app, parts);
  refuseForeignPages(app, parts);
  countRequests(app, parts.metrics);
  if (parts.tracing) traceRequests(app, parts.tracing);

  const methods = collectMethods(app);
  await parts.first?.(app);
  await app.register(cookie);
  await describeApi(app, parts);
  await app.register(
    async (scope) => {
      const api = scope as unknown as Api;
      guard(scope, parts);
      answerRetries(scope);
      // Answers are for the one who asked, and true for a moment.
      scope.addHook('onRequest', async (_request, reply) => void reply.header('cache-control', 'no-store'));
      authRoutes(api, parts);
      for (const routes of [
        meRoutes,
        hostRoutes,
        hostSampleRoutes,
        hostSeriesRoutes,
        groupRoutes,
        groupTokenRoutes,
        roomRoutes,
        agentRoutes,
        hubRoutes,
        storageRoutes,
        replicaRoutes,
      ])
        routes(api, parts);
    },
    { prefix: '/api/v1' },
  );
  agentFileRoutes(app, parts);
  await serveWebUi(app, parts, methods);
  return app;
}

/** One line of the log and one observation per request, by the route's pattern. */
function countRequests(app: FastifyInstance, metrics: Pick<Metrics, 'http'>): void {
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none';
    const method = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$/.test(request.method) ? request.method : 'other';
    metrics.http(method, route, reply.statusCode, reply.elapsedTime / 1000);
    request.log.debug({ req: request, res: reply, user: request.user?.id, ms: Math.round(reply.elapsedTime * 10) / 10 }, 'request');
  });
}
