/** Routes of the own account. */

import { changeMe, type ChangeMeNeeds } from '../actions/changeMe.ts';
import { readMe } from '../actions/readMe.ts';
import { Me, MePatch } from '../protocol/rest.ts';
import { userOf } from './guards.ts';
import { refusals, signedIn } from './routes.ts';
import type { Api } from './routes.ts';

const tags = ['me'];

export function meRoutes(app: Api, needs: ChangeMeNeeds): void {
  app.get(
    '/me',
    { schema: { tags, security: signedIn, summary: 'The own account', response: { 200: Me, ...refusals } } },
    async (request) => readMe(needs.sql, userOf(request).id),
  );

  app.patch(
    '/me',
    { schema: { tags, security: signedIn, summary: 'Change the own name or e-mail', body: MePatch, response: { 200: Me, ...refusals } } },
    async (request) => changeMe(needs, userOf(request).id, request.body),
  );
}
