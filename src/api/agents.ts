/** The route by which agents enrol. */

import { enrolHost } from '../actions/enrolHost.ts';
import type { EnrolNeeds } from '../actions/enrolHost.ts';
import { networkOf } from '../auth/loginLimits.ts';
import type { Tries } from '../auth/tries.ts';
import { AppError } from '../errors.ts';
import { EnrolRequest, Enrolled } from '../protocol/rest.ts';
import { refusals } from './routes.ts';
import type { Api } from './routes.ts';

/** Only tries that fail count, so that a whole rack may join from one address. */
export const enrolFailures = { name: 'enrol', tries: 60, perMs: 60_000 };

export interface AgentNeeds extends EnrolNeeds {
  /** By address, counted as `enrolFailures`. */
  enrolTries: Tries;
}

export function agentRoutes(app: Api, needs: AgentNeeds): void {
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
    async (request) => {
      const network = networkOf(request.ip);
      if (!(await needs.enrolTries.take(network)))
        throw new AppError('too_many_requests', 'Too many enrolments failed from this address; wait a minute.');
      const enrolled = await enrolHost(needs, request.body);
      needs.enrolTries.giveBack(network);
      return enrolled;
    },
  );
}
