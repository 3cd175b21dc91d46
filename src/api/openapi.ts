/** Describes the REST interface by itself: `/openapi.json`, with a page at `/docs`. */

import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';

/** Before the routes: it collects them as they are added. */
export async function describeApi(app: FastifyInstance, options: { version: string; publicUrl: string }): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'hostroom',
        version: options.version,
        description:
          'Times are integer milliseconds since 1970 UTC. Errors are application/problem+json with a stable `code`. Lists are paged: `next` of one page is `after` of the following. A change may carry an Idempotency-Key of 1 to 64 characters: a retry with it within ten minutes gets the answer of the first try.',
      },
      servers: [{ url: options.publicUrl }],
      components: { securitySchemes: { accessToken: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
    },
  });
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: true,
    uiConfig: { layout: 'BaseLayout', deepLinking: true, persistAuthorization: false },
  });
  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) =>
    reply.header('cache-control', 'no-cache').send(app.swagger()),
  );
}
