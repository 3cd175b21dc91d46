/** The private server for those who run the hub: `/metrics`, `/metrics/node`, `/healthz`, `/readyz`. */

import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { AddressInfo } from 'node:net';
import type { IncomingMessage, ServerResponse } from 'node:http';

export interface OpsServerOptions {
  host: string;
  /** 0: any free port. */
  port: number;
  metrics: { page(): AsyncIterable<string>; nodePage(): AsyncIterable<string>; contentType: string };
  /** Undefined: give me new connections; else why not, such as `starting` or `draining`. */
  notReady(): string | undefined;
  onError(error: unknown): void;
}

/** Listens; rejects when the port is taken. `/healthz` answers as long as the event loop turns and asks nothing else. */
export async function startOpsServer(options: OpsServerOptions): Promise<{ port: number; close(): Promise<void> }> {
  const server = createServer({ headersTimeout: 5_000, requestTimeout: 5_000, keepAliveTimeout: 65_000, maxHeaderSize: 8_192 });
  server.on('request', (request, response) => {
    answer(options, request, response).catch((error: unknown) => {
      options.onError(error);
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' });
      response.end('failed; the log has the reason\n');
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  server.on('error', options.onError);
  const { port } = server.address() as AddressInfo;
  return {
    port,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeAllConnections();
      }),
  };
}

/** A scraper that ran out of patience is no failure of ours. */
function unlessLeft(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
}

async function answer(options: OpsServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const send = (status: number, body: string, type = 'text/plain; charset=utf-8'): void => {
    response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
    response.end(request.method === 'HEAD' ? undefined : body);
  };
  if (request.method !== 'GET' && request.method !== 'HEAD') return send(405, 'only GET\n');
  const path = request.url?.split('?', 1)[0];
  if (path === '/healthz') return send(200, 'ok\n');
  if (path === '/readyz') {
    const reason = options.notReady();
    return send(reason === undefined ? 200 : 503, `${reason ?? 'ready'}\n`);
  }
  const { metrics } = options;
  const page = { '/metrics': metrics.page, '/metrics/node': metrics.nodePage }[path ?? ''];
  if (page) {
    response.writeHead(200, { 'content-type': metrics.contentType, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
    if (request.method === 'HEAD') return void response.end();
    return pipeline(Readable.from(page()), response).catch(unlessLeft);
  }
  return send(404, 'here are /metrics, /metrics/node, /healthz and /readyz\n');
}
