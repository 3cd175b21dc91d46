/** Turns the rounds of the fan-out benchmark into the figures and goals that people read. */

import { ratioOf, show, showSpread, spreadOf, table } from '../support/statistics.ts';
import type { Measured, Scenario } from './scenarios.ts';

/** Rounds by scenario and peer; a round that failed is absent. */
export type Rounds = Map<string, Map<string, Measured[]>>;

type Field = keyof Measured;

const our = 'hostroom';
const loaded = ['S1r', 'S1w', 'S1w40', 'S2', 'S4', 'G7a', 'G7b'];
const columns: { title: string; field: Field; of: readonly string[] }[] = [
  { title: 'CPU µs per delivery', field: 'cpuUsPerDelivery', of: loaded },
  { title: 'share of a core', field: 'coreShare', of: ['S2', 'S4'] },
  { title: 'deliveries/s', field: 'deliveriesPerSecond', of: loaded },
  { title: 'p50 µs', field: 'p50Us', of: loaded },
  { title: 'p99 µs', field: 'p99Us', of: loaded },
  { title: 'KiB per connection', field: 'kibPerConnection', of: ['S3'] },
  { title: 'peak RSS KiB', field: 'rssPeakKiB', of: ['G7a', 'G7b'] },
  { title: 'load busy', field: 'loadBusy', of: loaded },
];

const valuesOf = (rounds: Rounds, scenario: string, peer: string, field: Field): number[] =>
  (rounds.get(scenario)?.get(peer) ?? []).map((measured) => measured[field]);

/** One table per scenario: median (min–max) of all rounds. */
export function figures(scenario: Scenario, rounds: Rounds, missing: ReadonlyMap<string, string>): string {
  const shown = columns.filter(({ of }) => of.includes(scenario.name));
  const rows = [...(rounds.get(scenario.name) ?? new Map<string, Measured[]>())].map(([peer]) => [
    peer,
    ...shown.map(({ field }) => showSpread(spreadOf(valuesOf(rounds, scenario.name, peer, field)))),
  ]);
  for (const [peer, how] of missing) rows.push([peer, `not installed: ${how}`]);
  return `${scenario.name}: ${scenario.title}\n\n${table(['peer', ...shown.map(({ title }) => title)], rows)}\n`;
}

interface Goal {
  name: string;
  scenario: string;
  field: Field;
  /** Ratio to the same field of a peer in the same round, or of another scenario of ours; absent: the value itself. */
  against?: { peer?: string; scenario?: string };
  most?: number;
  least?: number;
}

/** docs/performance.md says where they come from. */
const goals: readonly Goal[] = [
  { name: 'G1', scenario: 'S1r', field: 'cpuUsPerDelivery', against: { peer: 'kernel floor' }, most: 1.6 },
  { name: 'G1', scenario: 'S1r', field: 'cpuUsPerDelivery', against: { peer: 'socket.io' }, most: 0.6 },
  { name: 'G1', scenario: 'S1r', field: 'cpuUsPerDelivery', against: { peer: 'Nchan' }, most: 1.1 },
  { name: 'G1', scenario: 'S1r', field: 'cpuUsPerDelivery', against: { peer: 'NATS' }, most: 0.7 },
  { name: 'G2', scenario: 'S1w', field: 'cpuUsPerDelivery', against: { peer: 'socket.io' }, most: 0.2 },
  { name: 'G2', scenario: 'S1w', field: 'cpuUsPerDelivery', against: { peer: 'Nchan' }, most: 0.25 },
  { name: 'G2', scenario: 'S1w', field: 'cpuUsPerDelivery', against: { peer: 'NATS' }, most: 0.6 },
  { name: 'G2', scenario: 'S1w', field: 'deliveriesPerSecond', least: 600_000 },
  { name: 'G3', scenario: 'S1w40', field: 'cpuUsPerDelivery', against: { peer: 'coalescing floor' }, most: 1.5 },
  { name: 'G3', scenario: 'S1w40', field: 'cpuUsPerDelivery', against: { peer: 'NATS' }, most: 0.6 },
  { name: 'G3', scenario: 'S1w40', field: 'deliveriesPerSecond', least: 2_500_000 },
  { name: 'G4', scenario: 'S2', field: 'coreShare', most: 0.07 },
  { name: 'G4', scenario: 'S2', field: 'coreShare', against: { peer: 'socket.io' }, most: 0.6 },
  { name: 'G4', scenario: 'S2', field: 'coreShare', against: { peer: 'Nchan' }, most: 0.9 },
  { name: 'G4', scenario: 'S2', field: 'p99Us', most: 25_000 },
  { name: 'G5', scenario: 'S4', field: 'cpuUsPerDelivery', against: { peer: 'socket.io' }, most: 0.5 },
  { name: 'G5', scenario: 'S4', field: 'cpuUsPerDelivery', against: { peer: 'Nchan' }, most: 0.35 },
  { name: 'G5', scenario: 'S4', field: 'p99Us', most: 45_000 },
  { name: 'G6', scenario: 'S3', field: 'kibPerConnection', most: 10 },
  { name: 'G6', scenario: 'S3', field: 'kibPerConnection', against: { peer: 'socket.io' }, most: 0.7 },
  { name: 'G7', scenario: 'G7b', field: 'p99Us', against: { scenario: 'G7a' }, most: 1.15 },
  { name: 'G8', scenario: 'S1r', field: 'p99Us', against: { peer: 'socket.io' }, most: 0.7 },
  { name: 'G8', scenario: 'S1r', field: 'p99Us', against: { peer: 'Nchan' }, most: 1.1 },
];

/** The cap of one client's queue, 1 MiB, and 4 MB beside it. */
const stalledKiB = 1_024 + 4_000_000 / 1_024;

/** One line per goal with the ratio of the rounds and whether the median meets it. */
export function verdicts(rounds: Rounds): string {
  const rows = goals.map(({ name, scenario, field, against, most, least }) => {
    const ours = valuesOf(rounds, scenario, our, field);
    const theirs = against && valuesOf(rounds, against.scenario ?? scenario, against.peer ?? our, field);
    const spread = theirs === undefined ? spreadOf(ours) : ratioOf(ours, theirs);
    const wanted = most === undefined ? `≥ ${show(least ?? 0)}` : `≤ ${show(most)}`;
    return [
      name,
      scenario,
      `${field}${against ? ` ÷ ${against.peer ?? against.scenario ?? ''}` : ''}`,
      wanted,
      showSpread(spread),
      verdict(spread.median, most, least),
    ];
  });
  const peaks = ['G7a', 'G7b'].map((scenario) => valuesOf(rounds, scenario, our, 'rssPeakKiB'));
  const more = spreadOf((peaks[1] ?? []).map((peak, round) => peak - (peaks[0]?.[round] ?? NaN)));
  rows.push(['G7', 'G7b', 'peak RSS KiB beyond G7a', `≤ ${show(stalledKiB)}`, showSpread(more), verdict(more.median, stalledKiB)]);
  return table(['goal', 'scenario', 'what', 'wanted', 'median (min–max)', ''], rows);
}

function verdict(value: number, most = Infinity, least = -Infinity): string {
  if (!Number.isFinite(value)) return 'not measured';
  return value <= most && value >= least ? 'met' : 'missed';
}
