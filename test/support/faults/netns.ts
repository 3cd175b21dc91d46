/** A network of its own for processes, behind a firewall that can drop either direction. For root on Linux. */

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { findTool } from '../tools.ts';

export interface OwnNetwork {
  /** Where what runs outside is reached from inside. */
  outside: string;
  /** Put before a command it runs inside. */
  through: readonly string[];
  /** Drops silently what arrives inside (`in`), what leaves it (`out`), or both. */
  drop(direction: 'in' | 'out' | 'both'): void;
  heal(): void;
}

const run = (program: string, ...args: string[]): void => {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
};
let networks = 0;

/** Undone when the test is over, and by the system at the latest when nothing runs in it. */
export function makeNetwork(whenDone: (close: () => void) => void): OwnNetwork {
  const [ip, nft] = [findTool('ip')!, findTool('nft')!];
  sweep(ip);
  networks += 1;
  // Names are of the whole machine, and an interface's has 15 letters at most.
  const name = `hr${process.pid}x${networks}`;
  // Of the range for documentation and tests, which routes nowhere.
  const block = (process.pid * 7 + networks) % 64;
  const [outside, inside] = [`192.0.2.${block * 4 + 1}`, `192.0.2.${block * 4 + 2}`];
  run(ip, 'netns', 'add', name);
  // Takes the pair of interfaces along.
  whenDone(() => run(ip, 'netns', 'del', name));
  run(ip, 'link', 'add', `${name}o`, 'type', 'veth', 'peer', 'name', `${name}i`, 'netns', name);
  run(ip, 'addr', 'add', `${outside}/30`, 'dev', `${name}o`);
  run(ip, 'link', 'set', `${name}o`, 'up');
  const through = [ip, 'netns', 'exec', name] as const;
  const within = (...args: string[]): void => run(ip, 'netns', 'exec', name, ...args);
  within(ip, 'addr', 'add', `${inside}/30`, 'dev', `${name}i`);
  within(ip, 'link', 'set', `${name}i`, 'up');
  within(ip, 'link', 'set', 'lo', 'up');
  const heal = (): void => within(nft, 'flush', 'ruleset');
  return {
    outside,
    through,
    heal,
    drop(direction) {
      heal();
      within(nft, 'add', 'table', 'inet', 'faults');
      for (const hook of direction === 'both' ? ['input', 'output'] : [direction === 'in' ? 'input' : 'output']) {
        within(nft, `add chain inet faults ${hook} { type filter hook ${hook} priority 0 ; policy drop ; }`);
        within(nft, `add rule inet faults ${hook} iif lo accept`.replace('iif', hook === 'input' ? 'iif' : 'oif'));
      }
    },
  };
}

/** Removes those of runs that were killed. */
function sweep(ip: string): void {
  const listed = execFileSync(ip, ['netns', 'list'], { encoding: 'utf8' });
  for (const [name, pid] of listed.matchAll(/^hr(\d+)x\d+/gm)) {
    if (!existsSync(`/proc/${pid}`)) run(ip, 'netns', 'del', name);
  }
}

/** Whether this machine lets us make one: a container may be root and still not be allowed to. */
export function canMakeNetworks(): boolean {
  const undo: (() => void)[] = [];
  try {
    makeNetwork((close) => undo.push(close)).drop('both');
    return true;
  } catch {
    return false;
  } finally {
    for (const step of undo) step();
  }
}
