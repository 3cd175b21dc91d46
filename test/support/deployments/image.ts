/** Makes an image's file system without a container engine: this Debian below an overlay, in which the Dockerfile's steps run. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, matchesGlob, relative, resolve } from 'node:path';
import { lastOf, type Stage } from './dockerfile.ts';

const checkout = resolve(import.meta.dirname, '../../..');

const rules = readFileSync(join(checkout, '.dockerignore'), 'utf8')
  .split('\n')
  .filter((line) => line.trim() !== '' && !line.startsWith('#'));

/** Whether the builder gets to see a path of the checkout: the last rule that fits it, or a folder above it, decides. */
function isSent(path: string): boolean {
  const words = path.split('/');
  const above = words.map((_, index) => words.slice(0, index + 1).join('/'));
  const last = rules.findLast((rule) => above.some((one) => one !== '' && matchesGlob(one, rule.replace(/^!/, ''))));
  return last === undefined || last.startsWith('!');
}

export interface Image {
  /** Where its root is mounted. */
  root: string;
  /** Runs a RUN line as the builder does: as root, by /bin/sh, in WORKDIR. */
  runStep(line: string): void;
  /** Does what COPY lines say; `from` gives the root of another stage. */
  copy(stage: Stage, from: (stage: string) => string): void;
  /** Does what COPY and RUN lines say, in their order. */
  build(stage: Stage): void;
  /** Mounts this machine's root at `/host`, read-only, as the DaemonSet of agents does. */
  mountHost(): void;
  /** From here on only /tmp and /data can be written, as with --read-only --tmpfs /tmp. */
  seal(): void;
  /** Runs an exec-form command as the image's user. */
  start(command: readonly string[], environment: Readonly<Record<string, string>>): ChildProcess;
}

/** Needs root and the right to mount. All mounts go with `whenDone`. */
export function makeImage(whenDone: (close: () => void) => void): Image {
  const folder = mkdtempSync(join(tmpdir(), 'hostroom-image-'));
  const [layer, root] = [join(folder, 'layer'), join(folder, 'root')];
  const mounted: string[] = [];
  const mount = (at: string, ...args: string[]): void => {
    mkdirSync(at, { recursive: true });
    execFileSync('mount', [...args, at], { stdio: 'pipe' });
    mounted.push(at);
  };
  whenDone(() => {
    for (const at of mounted.toReversed()) execFileSync('umount', ['-l', at]);
    rmSync(folder, { recursive: true, force: true });
  });
  mount(layer, '-t', 'tmpfs', 'hostroom-image');
  for (const name of ['upper', 'work']) mkdirSync(join(layer, name));
  mount(root, '-t', 'overlay', 'hostroom-image', '-o', `lowerdir=/,upperdir=${join(layer, 'upper')},workdir=${join(layer, 'work')}`);
  mount(join(root, 'proc'), '--rbind', '/proc');
  mount(join(root, 'dev'), '--rbind', '/dev');
  mkdirSync(join(root, 'app'), { recursive: true });
  // Where the official image has it.
  mkdirSync(join(root, 'usr/local/bin'), { recursive: true });
  copyFileSync(realpathSync(process.execPath), join(root, 'usr/local/bin/node'));
  const runStep = (line: string): void => {
    const command = line.replace(/--mount=\S+ /g, '');
    execFileSync('chroot', [root, '/bin/sh', '-c', `cd /app && ${command}`], { stdio: 'pipe', env: { ...process.env, PATH: inside } });
  };
  const copyLine = (rest: string, from: (stage: string) => string): void => {
    const words = rest.split(/\s+/);
    const other = words[0]?.startsWith('--from=') ? words.shift()?.slice('--from='.length) : undefined;
    // They are there already, by the step that made them.
    if (other === 'packages') return;
    const target = words.pop() ?? '';
    for (const source of words) {
      const path = join(other === undefined ? checkout : from(other), source);
      // Stages work in /app.
      const at = join(root, 'app', target === './' ? source : target);
      if (!existsSync(path)) throw new Error(`COPY ${rest}: ${path} is not there`);
      mkdirSync(dirname(at), { recursive: true });
      cpSync(path, at, { recursive: true, filter: (one) => other !== undefined || isSent(relative(checkout, one)) });
    }
  };
  const inside = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  return {
    root,
    runStep,
    copy(stage, from) {
      for (const { word, rest } of stage.instructions) if (word === 'COPY') copyLine(rest, from);
    },
    build(stage) {
      const none = (name: string): never => {
        throw new Error(`the stage ${stage.name} needs ${name}`);
      };
      for (const { word, rest } of stage.instructions) {
        if (word === 'COPY') copyLine(rest, none);
        else if (word === 'RUN') runStep(rest);
      }
    },
    mountHost() {
      const at = join(root, 'host');
      mount(at, '--rbind', '/');
      execFileSync('mount', ['--make-rslave', at]);
      execFileSync('mount', ['-o', 'remount,bind,ro', at]);
    },
    seal() {
      execFileSync('mount', ['-o', 'remount,ro', root]);
      mount(join(root, 'tmp'), '-t', 'tmpfs', '-o', 'mode=1777', 'hostroom-tmp');
      mount(join(root, 'data'), '-t', 'tmpfs', '-o', 'uid=10001,gid=10001', 'hostroom-data');
    },
    start: (command, environment) =>
      spawn('chroot', ['--userspec=10001:10001', '--groups=10001', root, ...inApp(command)], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH: inside, ...environment },
      }),
  };
}

/** `chroot` begins at the root and there is no shell to change that: Node does it itself. */
const inApp = ([, ...rest]: readonly string[]): string[] => [
  '/usr/local/bin/node',
  `--import=data:text/javascript,process.chdir('/app')`,
  ...rest.map((word) => (/^(src|agent)\//.test(word) ? `/app/${word}` : word)),
];

/** The words of an exec form such as `["node", "src/main.ts"]`. */
export const execForm = (stage: Stage, word: 'CMD' | 'HEALTHCHECK'): string[] => {
  const text = lastOf(stage, word) ?? '';
  return JSON.parse(text.slice(text.indexOf('['))) as string[];
};
