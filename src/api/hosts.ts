/** Routes of hosts. */

import { addHost, deleteHost, enrolAgain, hostFor, renameHost } from '../actions/hosts.ts';
import type { EnrolmentToken, HostNeeds } from '../actions/hosts.ts';
import { storedSummary } from '../actions/enterRoom.ts';
import { listHostsFor } from '../data/hosts.ts';
import type { HostRow } from '../data/hosts.ts';
import type { HostSummary } from '../protocol/kinds.ts';
import { AddedHost, Enrolment, Host, HostPatch, Hosts, IdParams, NewHost, PageQuery } from '../protocol/rest.ts';
import type { Enrolment as EnrolmentAnswer, Host as HostAnswer } from '../protocol/rest.ts';
import { installCommand } from './agentPackage.ts';
import { userOf } from './guards.ts';
import { Nothing, refusals, signedIn, toPage, toSlice } from './routes.ts';
import type { Api } from './routes.ts';

/** What is known of hosts beyond the database. */
export interface LiveHosts {
  /** Undefined where no agent of the host was here since the start. */
  summary(host: string): HostSummary | undefined;
  recentCpu(host: string): { at: number; values: (number | null)[] } | null;
}

export interface HostRouteNeeds extends HostNeeds {
  publicUrl: string;
  live: LiveHosts;
  /** Told of a host that is no more: its agent and its viewers have to go. */
  hostDeleted(host: HostRow): void;
}

const tags = ['hosts'];

export function hostRoutes(app: Api, needs: HostRouteNeeds): void {
  const { sql, live } = needs;
  const toEnrolment = ({ token, expiresAt }: EnrolmentToken): EnrolmentAnswer => ({
    token,
    expiresAt,
    command: installCommand(needs.publicUrl, token),
  });

  app.get(
    '/hosts',
    {
      schema: { tags, security: signedIn, summary: 'The hosts one may see', querystring: PageQuery, response: { 200: Hosts, ...refusals } },
    },
    async (request) => {
      const rows = await listHostsFor(sql, userOf(request), toSlice(request.query));
      const { items, next } = toPage(rows, request.query);
      return { items: items.map((row) => toHost(row, live)), next };
    },
  );

  app.post(
    '/hosts',
    {
      schema: {
        tags,
        security: signedIn,
        summary: 'Make a host that waits for its agent',
        description: 'Needs operator. The command enrols the agent once, within 15 minutes.',
        body: NewHost,
        response: { 201: AddedHost, ...refusals },
      },
    },
    async (request, reply) => {
      const { enrolment, ...host } = await addHost(needs, userOf(request), request.body);
      return reply.code(201).send({ ...host, enrolment: toEnrolment(enrolment) });
    },
  );

  app.get(
    '/hosts/:id',
    { schema: { tags, security: signedIn, summary: 'One host', params: IdParams, response: { 200: Host, ...refusals } } },
    async (request) => toHost(await hostFor(sql, userOf(request), request.params.id, 'host.read'), live),
  );

  app.patch(
    '/hosts/:id',
    {
      schema: {
        tags,
        security: signedIn,
        summary: 'Rename a host',
        description: 'Needs operator.',
        params: IdParams,
        body: HostPatch,
        response: { 200: Host, ...refusals },
      },
    },
    async (request) => toHost(await renameHost(needs, userOf(request), request.params.id, request.body.name), live),
  );

  app.delete(
    '/hosts/:id',
    {
      schema: {
        tags,
        security: signedIn,
        summary: 'Delete a host, its conversation and its history',
        description: 'Needs operator. Its agent is closed and cannot come back.',
        params: IdParams,
        response: { 204: Nothing, ...refusals },
      },
    },
    async (request, reply) => {
      await deleteHost(needs, userOf(request), request.params.id);
      return reply.code(204).send(null);
    },
  );

  app.post(
    '/hosts/:id/enrolment',
    {
      schema: {
        tags,
        security: signedIn,
        summary: 'A fresh enrolment for a host',
        description: 'Needs operator. The agent that uses it takes the place of the one before.',
        params: IdParams,
        response: { 201: Enrolment, ...refusals },
      },
    },
    async (request, reply) => {
      const enrolment = await enrolAgain(needs, userOf(request), request.params.id);
      return reply.code(201).send(toEnrolment(enrolment));
    },
  );
}

function toHost({ online, ...row }: HostRow, live: LiveHosts): HostAnswer {
  const summary = live.summary(row.id) ?? storedSummary({ online, lastSampleAt: row.lastSampleAt });
  const lastSampleAt = Math.max(summary.at ?? 0, row.lastSampleAt ?? 0) || null;
  const isOnline = summary.status === 'online';
  return {
    ...row,
    status: summary.status,
    onlineSince: isOnline ? row.onlineSince : null,
    lastSampleAt,
    summary,
    recentCpu: live.recentCpu(row.id),
  };
}
