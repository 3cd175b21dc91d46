/** Routes of the own account. */

import { changeMe } from '../actions/changeMe.ts';
import { readMe } from '../actions/readMe.ts';
import type { Sql } from '../db/database.ts';
import { Me, MePatch } from '../protocol/rest.ts';
import { userOf } from './guards.ts';
import { refusals, signedIn } from './routes.ts';
import type { Api } from './routes.ts';

const tags = ['me'];

export function meRoutes(app: Api, { sql }: { sql: Sql }): void {
  app.get(
    '/me',
    { schema: { tags, security: signedIn, summary: 'The own account', response: { 200: Me, ...refusals } } },
    async (request) => readMe(sql, userOf(request).id),
  );

  app.patch(
    '/me',
    { schema: { tags, security: signedIn, summary: 'Change the own name or e-mail', body: MePatch, response: { 200: Me, ...refusals } } },
    async (request) => changeMe(sql, userOf(request).id, request.body),
  );
}
