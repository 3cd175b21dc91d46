/** The route by which agents enrol. */

import { enrolHost } from '../actions/enrolHost.ts';
import type { EnrolNeeds } from '../actions/enrolHost.ts';
import { EnrolRequest, Enrolled } from '../protocol/rest.ts';
import { refusals } from './routes.ts';
import type { Api } from './routes.ts';

export function agentRoutes(app: Api, needs: EnrolNeeds): void {
  app.post(
    '/agents/enrol',
    {
      config: { open: true },
      schema: {
        tags: ['agents'],
        summary: 'Give the public key of an agent for an enrolment token',
        description: 'Idempotent by token and key.',
        body: EnrolRequest,
        response: { 200: Enrolled, ...refusals },
      },
    },
    async (request, reply) => reply.header('cache-control', 'no-store').send(await enrolHost(needs, request.body)),
  );
}
