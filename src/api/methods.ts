/** Tells a path that is there but takes other methods from one that is not there. */

import type { FastifyInstance } from 'fastify';

export interface Methods {
  /** The methods that the path takes; empty where there is no such path. */
  at(path: string): string[];
}

/** Knows every route of the REST interface that is added to `app` afterwards. */
export function collectMethods(app: FastifyInstance): Methods {
  const routes: { pattern: RegExp; methods: string[] }[] = [];
  app.addHook('onRoute', ({ url, method }) => {
    if (!url.startsWith('/api/')) return;
    const pattern = new RegExp(`^${url.replace(/:[^/]+/g, '[^/]+')}$`);
    routes.push({ pattern, methods: [method].flat() });
  });
  return {
    at: (path) => [...new Set(routes.filter(({ pattern }) => pattern.test(path)).flatMap(({ methods }) => methods))].sort(),
  };
}
