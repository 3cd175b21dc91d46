/** Hands out the agent to machines that join. */

import type { FastifyInstance } from 'fastify';
import { agentScript, packAgent } from './agentPackage.ts';
import type { AgentPackage } from './agentPackage.ts';

/** `/agent.sh` installs, `/agent.tgz` is what it installs; both are open, since they hold no secret. */
export function agentFileRoutes(app: FastifyInstance, { publicUrl }: { publicUrl: string }): void {
  let packed: Promise<AgentPackage> | undefined;
  // Packed at the first request, kept unless it failed.
  const pack = (): Promise<AgentPackage> => {
    const packing = packed ?? packAgent();
    packed = packing;
    packing.catch(() => {
      packed = undefined;
    });
    return packing;
  };

  app.get('/agent.sh', { schema: { hide: true } }, async (_request, reply) =>
    reply
      .type('text/x-shellscript; charset=utf-8')
      .header('cache-control', 'no-cache')
      .send(await agentScript(publicUrl)),
  );

  app.get('/agent.tgz', { schema: { hide: true } }, async (_request, reply) =>
    reply
      .type('application/gzip')
      .header('cache-control', 'no-cache')
      .send((await pack()).tarball),
  );
}
