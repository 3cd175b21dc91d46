/** Serves the built web UI. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AppError } from '../errors.ts';
import { newNonce, pagePolicy } from './headers.ts';
import type { HeaderOptions } from './headers.ts';
import type { Methods } from './methods.ts';

export interface WebUiOptions extends HeaderOptions {
  /** Vite's output; need not be there yet. */
  webRoot: string;
}

const noncePlace = '__CSP_NONCE__';

/** Files as they are; every other path outside the API is the page, which knows its own addresses. */
export async function serveWebUi(app: FastifyInstance, options: WebUiOptions, methods: Methods): Promise<void> {
  const { webRoot } = options;
  const page = async (_request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const nonce = newNonce();
    const html = await readPage(join(webRoot, 'index.html'));
    return reply
      .type('text/html; charset=utf-8')
      .header('cache-control', 'no-cache')
      .header('content-security-policy', pagePolicy(options, nonce))
      .send(html.replaceAll(noncePlace, nonce));
  };

  await app.register(fastifyStatic, {
    root: webRoot,
    index: false,
    cacheControl: false,
    suppressWarning: true,
    schemaHide: true,
    setHeaders(reply, path) {
      // Vite puts a hash of the content into the names under assets.
      const isHashed = path.startsWith(join(webRoot, 'assets'));
      void reply.header('cache-control', isHashed ? 'public, max-age=31536000, immutable' : 'no-cache');
    },
  });
  app.get('/', { schema: { hide: true } }, page);
  app.get('/index.html', { schema: { hide: true } }, page);
  app.setNotFoundHandler(async (request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const isPage =
      (request.method === 'GET' || request.method === 'HEAD') &&
      !/^\/(api|assets|connection)(\/|$)/i.test(path) &&
      !/\.[a-z0-9]+$/i.test(path);
    if (isPage) return page(request, reply);
    const allowed = methods.at(path);
    if (allowed.length === 0) throw new AppError('not_found', `There is nothing at ${request.method} ${path.slice(0, 200)}.`);
    void reply.header('allow', allowed.join(', '));
    throw new AppError('method_not_allowed', `Use ${allowed.join(' or ')}.`);
  });
}

async function readPage(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return '<!doctype html><title>hostroom</title><p>The web UI is not built. Run <code>npm run build</code>, then reload this page.</p>\n';
  }
}
