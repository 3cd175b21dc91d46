/** What every answer carries for the browser's sake, and which pages may change anything. */

import { randomBytes } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { AppError } from '../errors.ts';

export interface HeaderOptions {
  publicUrl: string;
  allowedOrigins: readonly string[];
}

/** Nothing may be loaded or framed: right for everything that is not a page. */
const closedPolicy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'";

/** Sets the security headers of every answer that has no policy of its own. */
export function setSecurityHeaders(app: FastifyInstance, { publicUrl }: HeaderOptions): void {
  const isHttps = publicUrl.startsWith('https:');
  // Browsers ignore it elsewhere, with a complaint in the console.
  const heedsOpener = isHttps || /^http:\/\/(localhost|127(\.\d+){3}|\[::1\])(:|$)/.test(publicUrl);
  app.addHook('onRequest', async (request, reply) => {
    void reply.headers({
      'x-request-id': request.id,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin',
      'x-frame-options': 'DENY',
      'content-security-policy': closedPolicy,
      'permissions-policy': 'camera=(), geolocation=(), microphone=()',
    });
    if (heedsOpener) void reply.header('cross-origin-opener-policy', 'same-origin');
    if (isHttps) void reply.header('strict-transport-security', 'max-age=31536000; includeSubDomains');
  });
}

/** The policy of the web UI's page; `nonce` lets its style sheets in that are made at run time. */
export function pagePolicy({ publicUrl, allowedOrigins }: HeaderOptions, nonce: string): string {
  // An IPv6 address is no valid source; at such an address 'self' covers the socket too.
  const named = [...new Set([publicUrl, ...allowedOrigins])].filter((origin) => !origin.includes('['));
  const sockets = named.map((origin) => origin.replace(/^http/, 'ws'));
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    `connect-src 'self' ${sockets.join(' ')}`,
    "font-src 'self'",
    "manifest-src 'self'",
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ].join('; ');
}

export const newNonce = (): string => randomBytes(16).toString('base64url');

const safeMethods = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Refuses `foreign_origin` for a change asked by a page of another site. Programs that are no browsers send neither header and pass.
 * `Origin` decides where it is there, because a rebound name is "same-origin" to the browser.
 */
export function refuseForeignPages(app: FastifyInstance, { allowedOrigins }: HeaderOptions): void {
  app.addHook('onRequest', async (request) => {
    if (!safeMethods.has(request.method)) refuseForeignPage(request, allowedOrigins);
  });
}

function refuseForeignPage(request: FastifyRequest, allowedOrigins: readonly string[]): void {
  const { origin, 'sec-fetch-site': site } = request.headers;
  const isOwn = origin === undefined ? site === undefined || site === 'same-origin' || site === 'none' : allowedOrigins.includes(origin);
  if (!isOwn) throw new AppError('foreign_origin', 'Open the web UI at its own address, or name this origin in ALLOWED_ORIGINS.');
}
