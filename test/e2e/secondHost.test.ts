/** A second machine joins by the one line that the hub shows: a network and folders of its own, the real script, a real browser. */

import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { freePort } from '../../src/lib/freePort.ts';
import { makeNetwork, type OwnNetwork } from '../support/faults/netns.ts';
import { makeRunFolder, run, type Hostroom } from '../support/hostroom.ts';
import { needs } from '../support/needs.ts';
import { launchBrowser, openPage } from '../support/page.ts';
import { signInBy, type SignedIn } from '../support/signedIn.ts';
import { until } from '../support/until.ts';

interface Added {
  id: string;
  enrolment: { token: string; command: string };
}

interface Line {
  output(): string;
  /** As a closed terminal does it, to everything the line runs; throws with the output unless the agent stops in order. */
  stop(): Promise<void>;
  /** The exit code, when nothing of it runs any more. */
  ended: Promise<number | null>;
}

/** The other machine: what it installs stays in `folder` from line to line; it has no systemd. */
function machine(network: OwnNetwork, folder: string): (line: string) => Line {
  for (const name of ['opt', 'state', 'home']) mkdirSync(join(folder, name));
  return (line) => {
    writeFileSync(join(folder, 'line.sh'), line);
    // A network namespace brings a mount namespace, so these are seen in there alone.
    const prepare =
      'mount --bind "$1/opt" /opt && mount --bind "$1/state" /var/lib && mount -t tmpfs none /run && HOME="$1/home" exec sh "$1/line.sh"';
    const [program, ...args] = [...network.through, 'sh', '-c', prepare, 'sh', folder];
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env: { PATH: process.env['PATH'] } });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (part: string) => (output += part));
    const ended = new Promise<number | null>((done) => child.once('close', done));
    return {
      output: () => output,
      ended,
      async stop() {
        process.kill(-child.pid!, 'SIGTERM');
        await ended;
        expect(output).toContain('"agent stops"');
      },
    };
  };
}

async function startHub(dataDir: string, address: string): Promise<{ hub: Hostroom; person: SignedIn; publicUrl: string }> {
  const port = String(await freePort('0.0.0.0'));
  const publicUrl = `http://${address}:${port}`;
  const hub = await run(dataDir, { program: 'start', environment: { HOST: '0.0.0.0', PUBLIC_URL: publicUrl, PORT: port } });
  await hub.ready();
  const link = await until(() => hub.link(), 'a link');
  expect(link).toContain(`${publicUrl}/sign-in#`);
  expect(hub.output()).toContain('Plain http is served beyond this machine');
  return { hub, person: await signInBy(link, publicUrl), publicUrl };
}

/** By `npm run hub -- --sign-in-link`, while the hub runs. */
async function newLink(dataDir: string, publicUrl: string): Promise<string> {
  const printing = await run(dataDir, { args: ['--sign-in-link'], environment: { PUBLIC_URL: publicUrl } });
  expect((await printing.ended).code, printing.output()).toBe(0);
  return until(() => /^http\S+\/sign-in#\S+$/m.exec(printing.output())?.[0], 'a fresh link');
}

needs('linux', 'root', 'ip', 'nft', 'netns', 'chromium').test(
  'the line of a new host, run on another machine, turns its page into charts; again it updates; a new token makes it new',
  async () => {
    const network = makeNetwork(onTestFinished);
    const folder = makeRunFolder(onTestFinished);
    const { hub, person, publicUrl } = await startHub(join(folder, 'data'), network.outside);
    const onMachine = machine(network, folder);

    const browser = await launchBrowser(onTestFinished);
    const { page, complaints } = await openPage(browser);
    await page.goto(await newLink(join(folder, 'data'), publicUrl));
    await page.getByRole('button', { name: 'Later' }).click();

    const added = (await (await person.call('POST', '/hosts', { name: 'second one' })).json()) as Added;
    await page.goto(`${publicUrl}/hosts/${added.id}`);
    await page.getByText('Waiting for the first sample').waitFor();
    const first = onMachine(added.enrolment.command);
    await until(() => page.locator('.strip canvas').first().isVisible(), 'charts', 60_000).catch((error: Error) => {
      throw new Error(`${error.message}\n${first.output()}\n${complaints.join('\n')}`);
    });
    await page.getByRole('heading', { name: 'second one' }).waitFor();
    expect(complaints).toEqual([]);
    expect(first.output()).toContain('It runs here until Ctrl-C');
    const mine = async (): Promise<number[]> => (await person.samples(added.id)).map(({ at }) => at);
    await until(async () => (await mine()).length > 2, 'samples are stored');
    // The other machine's interface, not this one's.
    const names = Object.keys((await person.samples(added.id)).at(-1)!.metrics).filter((name) => name.startsWith('net.'));
    expect(
      names.every((name) => /^net\.hr\d+x\d+i\./.test(name)),
      names.join(),
    ).toBe(true);
    expect(names.length).toBeGreaterThan(0);

    expect((await person.call('PATCH', `/hosts/${added.id}`, { name: 'renamed' })).status).toBe(200);
    await page.getByRole('heading', { name: 'renamed' }).waitFor();
    await first.stop();

    const update = onMachine(added.enrolment.command.replace(/ENROLMENT_TOKEN=\S+ /, ''));
    const before = (await mine()).length;
    await until(async () => (await mine()).length > before + 1, 'the updated agent is the same host');
    await update.stop();

    const used = onMachine(added.enrolment.command);
    const atUsed = (await mine()).length;
    await until(async () => (await mine()).length > atUsed + 1, 'a token that was used already changes nothing');
    await used.stop();

    const again = (await (await person.call('POST', '/hosts', { name: 'third' })).json()) as Added;
    const renewed = onMachine(again.enrolment.command);
    await until(async () => (await person.samples(again.id)).length > 0, 'with a new token it is another host');

    expect((await person.call('DELETE', `/hosts/${again.id}`)).status).toBe(204);
    await until(() => /does not know this host any more.*enrol it again/.test(renewed.output()), 'the agent tells that it was deleted');
    await renewed.stop();

    const removal = onMachine(`curl -fsSL ${publicUrl}/agent.sh | sh -s -- --uninstall`);
    expect(await removal.ended).toBe(0);
    expect(spawnSync('find', [join(folder, 'opt'), join(folder, 'state'), '-mindepth', '1'], { encoding: 'utf8' }).stdout).toBe('');
    hub.signal('SIGINT');
    expect((await hub.ended).code).toBe(0);
  },
  240_000,
);

needs('linux', 'root', 'ip', 'nft', 'netns').test(
  'a token that is wrong, a hub that is away, and plain http unasked: each is told, and nothing runs on',
  async () => {
    const network = makeNetwork(onTestFinished);
    const folder = makeRunFolder(onTestFinished);
    const { hub, person, publicUrl } = await startHub(join(folder, 'data'), network.outside);
    const onMachine = machine(network, folder);

    const wrong = onMachine(`curl -fsSL ${publicUrl}/agent.sh | INSECURE=1 ENROLMENT_TOKEN=${'x'.repeat(43)} sh`);
    expect(await wrong.ended).toBe(78);
    expect(wrong.output()).toMatch(/refused the enrolment token.*Make a new one in the hub/);

    const { enrolment } = (await (await person.call('POST', '/hosts', { name: 'second' })).json()) as Added;
    const open = onMachine(enrolment.command.replace('INSECURE=1 ', ''));
    expect(await open.ended).toBe(78);
    expect(open.output()).toContain('set INSECURE=1');

    hub.signal('SIGINT');
    await hub.ended;
    const away = onMachine(enrolment.command);
    await away.ended;
    expect(away.output()).toMatch(/curl: .*connect/i);
    const script = readFileSync(join(import.meta.dirname, '../../agent/install.sh'), 'utf8');
    writeFileSync(join(folder, 'kept.sh'), script);
    const kept = onMachine(`HUB_URL=${publicUrl} INSECURE=1 sh '${join(folder, 'kept.sh')}'`);
    expect(await kept.ended).toBe(1);
    expect(kept.output()).toContain(`the agent could not be fetched from ${publicUrl}/agent.tgz`);
  },
  120_000,
);
