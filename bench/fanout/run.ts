/**
 * `npm run bench -- fanout`: what a delivery costs, against other servers on the same machine in the same minutes.
 * Options: --rounds=3 --seconds=N --peers=hostroom,NATS --scenarios=S1r,S1w
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Peer } from './peer.ts';
import { coalescingFloor, kernelFloor } from './peers/floor.ts';
import { hostroom } from './peers/hostroom.ts';
import { nats } from './peers/nats.ts';
import { nchan } from './peers/nchan.ts';
import { plainWs } from './peers/plainWs.ts';
import { socketIo } from './peers/socketIo.ts';
import { figures, type Rounds, verdicts } from './report.ts';
import { measure, type Measured, type Scenario, scenarios } from './scenarios.ts';

const peers: readonly Peer[] = [hostroom, kernelFloor, coalescingFloor, nchan, nats, socketIo, plainWs];

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string' },
    peers: { type: 'string' },
    scenarios: { type: 'string' },
  },
});
const chosen = <T extends { name: string }>(all: readonly T[], names: string | undefined): T[] =>
  all.filter(({ name }) => names === undefined || names.toLowerCase().split(',').includes(name.toLowerCase()));

const missing = new Map(
  chosen(peers, values.peers).flatMap((peer) => (peer.missing() === undefined ? [] : [[peer.name, peer.missing() ?? '']])),
);
const present = chosen(peers, values.peers).filter(({ name }) => !missing.has(name));
const wanted = chosen(scenarios, values.scenarios);
const rounds: Rounds = new Map();

/** The floors keep no state to speak of, and only servers with queues of their own can be hurt by a stalled reader. */
function takesPart(peer: Peer, scenario: Scenario): boolean {
  if (scenario.name.startsWith('G7')) return peer === hostroom || peer === plainWs || peer === socketIo;
  if (scenario.pair) return peer.startPair !== undefined;
  if (scenario.name === 'S2' || scenario.name === 'S3') return peer !== kernelFloor && peer !== coalescingFloor;
  return peer !== coalescingFloor || scenario.window > 0;
}

function keep(scenario: Scenario, peer: Peer, measured: Measured): void {
  const byPeer = rounds.get(scenario.name) ?? new Map<string, Measured[]>();
  rounds.set(scenario.name, byPeer.set(peer.name, [...(byPeer.get(peer.name) ?? []), measured]));
}

for (let round = 1; round <= Number(values.rounds); round++) {
  for (const scenario of wanted) {
    for (const peer of present.filter((each) => takesPart(each, scenario))) {
      process.stderr.write(`round ${round}: ${scenario.name} ${peer.name}\n`);
      try {
        keep(scenario, peer, await measure(peer, scenario, Math.min(scenario.seconds, Number(values.seconds ?? scenario.seconds))));
      } catch (error) {
        // One spoilt run must not cost the others.
        console.log(`${peer.name} ${scenario.name}, round ${round}: ${String(error)}`);
        process.exitCode = 1;
      }
    }
  }
}

const file = resolve(import.meta.dirname, '..', '..', '.cache', 'bench', 'fanout.json');
mkdirSync(resolve(file, '..'), { recursive: true });
writeFileSync(file, JSON.stringify(Object.fromEntries([...rounds].map(([name, byPeer]) => [name, Object.fromEntries(byPeer)])), null, 2));
for (const scenario of wanted) console.log(`\n${figures(scenario, rounds, missing)}`);
console.log(verdicts(rounds));
