/** Routes of groups. */

import { may } from '../auth/permissions.ts';
import { listGroups, listMembers, roleInGroup } from '../data/groups.ts';
import type { Sql } from '../db/database.ts';
import { AppError } from '../errors.ts';
import { Groups, IdParams, Members, PageQuery } from '../protocol/rest.ts';
import { fleetRoom } from '../protocol/rooms.ts';
import { userOf } from './guards.ts';
import { refusals, signedIn, toPage, toSlice } from './routes.ts';
import type { Api } from './routes.ts';

export interface GroupNeeds {
  sql: Sql;
  /** Ids of the users who are in the room now. */
  present(room: string): Promise<ReadonlySet<string>>;
}

const tags = ['groups'];

export function groupRoutes(app: Api, { sql, present }: GroupNeeds): void {
  app.get(
    '/groups',
    {
      schema: {
        tags,
        security: signedIn,
        summary: 'The groups one has a role in',
        querystring: PageQuery,
        response: { 200: Groups, ...refusals },
      },
    },
    async (request) => toPage(await listGroups(sql, userOf(request), toSlice(request.query)), request.query),
  );

  app.get(
    '/groups/:id/members',
    {
      schema: {
        tags,
        security: signedIn,
        summary: 'Who has a role in the group',
        params: IdParams,
        querystring: PageQuery,
        response: { 200: Members, ...refusals },
      },
    },
    async (request) => {
      const { id } = request.params;
      const role = await roleInGroup(sql, userOf(request), id);
      if (!may('group.read', role)) throw new AppError('not_found', 'There is no such group, or you may not see it.');
      const { items, next } = toPage(await listMembers(sql, id, toSlice(request.query)), request.query);
      const here = await present(fleetRoom(id));
      return { items: items.map(({ role: theirs, ...user }) => ({ user, role: theirs, present: here.has(user.id) })), next };
    },
  );
}
