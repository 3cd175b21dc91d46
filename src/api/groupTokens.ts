/** Routes of tokens by which many hosts of a group enrol. */

import { endGroupToken, listGroupTokens, makeGroupToken, type GroupTokenNeeds } from '../actions/groupTokens.ts';
import { IdParams } from '../protocol/rest.ts';
import { GroupTokenParams, GroupTokens, MadeGroupToken, NewGroupToken } from '../protocol/restEnrolment.ts';
import { installCommand } from './agentPackage.ts';
import { userOf } from './guards.ts';
import { Nothing, refusals, signedIn, type Api } from './routes.ts';

const tags = ['groups'];
const path = '/groups/:id/enrolment-tokens';

export function groupTokenRoutes(app: Api, needs: GroupTokenNeeds & { publicUrl: string }): void {
  app.post(
    path,
    {
      schema: {
        tags,
        security: signedIn,
        summary: 'Make a token by which many hosts enrol',
        description: 'Needs operator. Each use makes a host. The token is shown once.',
        params: IdParams,
        body: NewGroupToken,
        response: { 201: MadeGroupToken, ...refusals },
      },
    },
    async (request, reply) => {
      const made = await makeGroupToken(needs, userOf(request), request.params.id, request.body);
      return reply.code(201).send({ ...made, command: installCommand(needs.publicUrl, made.token) });
    },
  );

  app.get(
    path,
    {
      schema: {
        tags,
        security: signedIn,
        summary: 'The tokens of the group that still work',
        description: 'Needs operator. Without the tokens themselves, which nobody keeps.',
        params: IdParams,
        response: { 200: GroupTokens, ...refusals },
      },
    },
    async (request) => ({ items: await listGroupTokens(needs, userOf(request), request.params.id), next: null }),
  );

  app.delete(
    `${path}/:tokenId`,
    {
      schema: {
        tags,
        security: signedIn,
        summary: 'End a token',
        description: 'Needs operator. Hosts that enrolled with it stay.',
        params: GroupTokenParams,
        response: { 204: Nothing, ...refusals },
      },
    },
    async (request, reply) => {
      await endGroupToken(needs, userOf(request), request.params.id, request.params.tokenId);
      return reply.code(204).send(null);
    },
  );
}
