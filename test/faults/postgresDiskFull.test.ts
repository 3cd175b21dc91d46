/** R09: the disk of PostgreSQL fills up under load, and has room again later. */

import type { Page } from 'playwright-core';
import { expect, onTestFinished } from 'vitest';
import { makeRunFolder } from '../support/hostroom.ts';
import { needs } from '../support/needs.ts';
import { broken } from '../support/faults/checker.ts';
import { startRig, untilDelivered, type Rig } from '../support/faults/rig.ts';
import { percentile, printFigures, sized } from '../support/faults/scale.ts';
import { mountSmallDisk } from '../support/faults/smallDisk.ts';
import { launchBrowser, openPage } from '../support/page.ts';
import { until } from '../support/until.ts';

const agentCount = sized(40, 300);
const intervalMs = sized(250, 1_000);
const fullMs = sized(5_000, 60_000);
const megabyte = 1024 * 1024;

/** By a password, for the session of the rig is its own. */
async function openRoom(rig: Rig, host: string): Promise<Page> {
  const password = 'a long enough password';
  expect((await rig.person.call('PUT', '/auth/password', { password })).status).toBe(204);
  const me = (await (await rig.person.call('GET', '/me')).json()) as { email: string };
  const { page } = await openPage(await launchBrowser(onTestFinished));
  await page.goto(`${rig.hub.url}/hosts/${host}`);
  await page.getByLabel('E-mail').fill(me.email);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.locator('.strip').first().waitFor();
  return page;
}

needs('linux', 'mount', 'chromium').test(
  'the disk of PostgreSQL is full: the hub stays, the agents keep, all of it lands when there is room',
  async () => {
    const disk = mountSmallDisk(onTestFinished, `${makeRunFolder(onTestFinished, 'hostroom-disk-')}/disk`, 260 * megabyte);
    const rig = await startRig(onTestFinished, {
      postgresFolder: disk.folder,
      postgresSettings: { max_wal_size: '48MB', min_wal_size: '32MB' },
    });
    const agents = await rig.load(agentCount, { intervalMs });
    const viewer = await rig.view(agents.slice(0, 5).map((agent) => agent.host()!));
    await until(() => agents.every((agent) => agent.acknowledged >= 4), 'the load runs', 60_000);
    const page = await openRoom(rig, agents[0]!.host()!);
    const banner = page.locator('.banner', { hasText: 'cannot store' });
    expect(await banner.count()).toBe(0);
    disk.fill();
    // The disk has room for nothing, but files that were there may have some left.
    let acknowledged = 0;
    let lastAt = performance.now();
    const bannerAt = await until(
      async () => {
        const sum = agents.reduce((count, agent) => count + agent.acknowledged, 0);
        if (sum > acknowledged) lastAt = performance.now();
        acknowledged = sum;
        return (await banner.isVisible()) && performance.now();
      },
      'the page says so',
      120_000,
    );
    const bannerMs = Math.max(0, bannerAt - lastAt);
    expect(await rig.metric('hostroom_degraded', '{dependency="postgresql"}')).toBe(1);
    const fullAt = performance.now();
    viewer.takeLags();
    const seenBefore = viewer.seen;
    await until(() => performance.now() - fullAt > fullMs, 'it was full for long', fullMs + 60_000);
    expect(await banner.isVisible()).toBe(true);
    const seenFull = viewer.seen - seenBefore;
    const lags = viewer.takeLags();
    const backlog = agents.reduce((sum, agent) => sum + agent.depth, 0);
    expect(rig.isUp()).toBe(true);

    disk.free();
    // Without room for its log PostgreSQL itself may have given up.
    const hadStopped = !rig.postgres.isUp();
    if (hadStopped) await rig.postgres.start();
    const freedAt = performance.now();
    await until(() => agents.reduce((sum, agent) => sum + agent.depth, 0) <= agentCount * 3, 'the backlog is delivered', 120_000);
    const recoveryMs = performance.now() - freedAt;
    await banner.waitFor({ state: 'detached' });
    const bannerGoneMs = performance.now() - freedAt;
    for (const agent of agents) agent.stopSampling();
    await untilDelivered(agents);
    const verdict = await rig.verdict(agents, [viewer]);
    printFigures('R09 disk of PostgreSQL full', {
      agents: agentCount,
      fullMs,
      bannerMs: Math.round(bannerMs),
      bannerGoneMs: Math.round(bannerGoneMs),
      serverGaveUp: hadStopped,
      backlog,
      recoveryMs: Math.round(recoveryMs),
      seenWhileFull: seenFull,
      liveLagP99Ms: percentile(lags, 0.99),
      ...verdict,
    });
    expect(broken(verdict)).toEqual({});
    expect(verdict.lost).toBe(0);
    expect(backlog).toBeGreaterThan(agentCount);
    expect(seenFull).toBeGreaterThan(0);
    expect(rig.isUp()).toBe(true);
  },
  sized(240_000, 600_000),
);
