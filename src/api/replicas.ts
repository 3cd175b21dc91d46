/** The routes about the hub's replicas, for admins. */

import type { FastifyRequest } from 'fastify';
import { AppError } from '../errors.ts';
import type { ReplicaRow } from '../relay/replicaRows.ts';
import { ReplicaList, Scale } from '../protocol/restCluster.ts';
import { userOf } from './guards.ts';
import { refusals, signedIn } from './routes.ts';
import type { Api } from './routes.ts';

export interface ReplicaNeeds {
  replicas: {
    /** The id of this process. */
    readonly self: string;
    /** As they are now. */
    rows(): Promise<ReplicaRow[]>;
    /** Those that Kubernetes has made and does not delete; the node is empty until there is one. */
    readonly pods: readonly { name: string; node: string }[];
    /** Asks for another number of replicas; throws AppError busy when that was refused. Undefined where nobody may. */
    scale: ((replicas: number) => Promise<void>) | undefined;
  };
}

export function replicaRoutes(app: Api, { replicas }: ReplicaNeeds): void {
  app.get(
    '/replicas',
    {
      schema: {
        tags: ['hub'],
        security: signedIn,
        summary: 'The processes that are this hub',
        description: 'For admins. A new one, or one that is about to stop, is seen within two seconds.',
        response: { 200: ReplicaList, ...refusals },
      },
    },
    async (request) => {
      admitAdmin(request);
      const rows = await replicas.rows();
      return {
        items: rows.map((row) => ({
          ...row,
          startedAt: Math.round(row.startedAt),
          at: Math.round(row.at),
          self: row.id === replicas.self,
        })),
        next: null,
        pending: replicas.pods.filter(({ name }) => rows.every((row) => row.name !== name)).map(({ name, node }) => ({ name, node })),
        scalable: replicas.scale !== undefined,
      };
    },
  );

  app.put(
    '/replicas/scale',
    {
      schema: {
        tags: ['hub'],
        security: signedIn,
        summary: 'Ask Kubernetes for another number of replicas',
        description: 'For admins, in Kubernetes, where SCALE_CONTROL is on. An autoscaler may change the number again.',
        body: Scale,
        response: { 200: Scale, ...refusals },
      },
    },
    async (request) => {
      admitAdmin(request);
      if (!replicas.scale) throw new AppError('conflict', 'This hub may not scale itself: that needs Kubernetes and SCALE_CONTROL=on.');
      await replicas.scale(request.body.replicas);
      return { replicas: request.body.replicas };
    },
  );
}

function admitAdmin(request: FastifyRequest): void {
  if (!userOf(request).admin) throw new AppError('forbidden', 'The replicas are for admins.');
}
