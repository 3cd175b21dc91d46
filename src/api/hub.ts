/** Routes about the hub itself, open to everyone. */

import type { Clock } from '../lib/clock.ts';
import { HubTime, Version } from '../protocol/rest.ts';
import type { Api } from './routes.ts';

const tags = ['hub'];

export function hubRoutes(app: Api, { clock, version }: { clock: Clock; version: string }): void {
  app.get(
    '/time',
    { config: { open: true }, schema: { tags, summary: 'Hub time, which agents set themselves by', response: { 200: HubTime } } },
    async () => ({ time: Math.round(clock.now()) }),
  );

  app.get('/version', { config: { open: true }, schema: { tags, summary: 'What runs here', response: { 200: Version } } }, async () => ({
    name: 'hostroom',
    version,
  }));
}
