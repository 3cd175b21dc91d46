/** Compares what producers sent, what PostgreSQL holds and what viewers saw with what hostroom promises. */

/** One publication as its producer knows it. */
export interface Sent {
  host: string;
  boot: string;
  seq: number;
  /** Hub time; undefined while it was never stamped. */
  at: number | undefined;
  /** The hub said that it is committed. */
  acknowledged: boolean;
  /** The producer still keeps it, to send it again. */
  kept: boolean;
}

export interface Stored {
  host: string;
  boot: string;
  seq: number;
  at: number;
}

/** What a viewer of one host saw, in order; `mark`: it was told that something may be missing before what follows. */
export type Seen = { boot: string; seq: number } | { mark: true };

export interface Evidence {
  sent: readonly Sent[];
  /** As the product reads it. */
  stored: readonly Stored[];
  /** Rows as SQL counts them; no matter where undefined. */
  counted?: number;
  views: readonly (readonly Seen[])[];
  /** All has arrived: each producer's newest was published live, and viewers were given the time to see it. */
  settled?: boolean;
}

export interface Verdict {
  sent: number;
  acknowledged: number;
  stored: number;
  seen: number;
  marks: number;
  /** Promised and not there. Must be 0. */
  acknowledgedLost: number;
  /** Neither stored nor kept by the producer: dropped by a bound, which only some tests allow. */
  lost: number;
  /** Stored more than once. Must be 0. */
  duplicates: number;
  /** Rows that SQL counts beyond, or short of, what the product reads. Must be 0. */
  miscounted: number;
  /** Stored and never sent. Must be 0. */
  strangers: number;
  /** Neighbours by `at` of one boot whose `seq` does not ascend. Must be 0. */
  disordered: number;
  /** Stored with another time than the producer gave it last. Must be 0. */
  restamped: number;
  /** Holes in what a viewer saw, of which it was not told. Must be 0. */
  unmarkedGaps: number;
  /** Shown twice, or later than a newer one. Must be 0. */
  shownAgain: number;
  /** Shown and never sent. Must be 0. */
  invented: number;
  /** Viewers of a host whose last is not the newest of its boot, once all is settled. Must be 0. */
  behind: number;
  /** The first few of whatever is wrong, for people. */
  examples: string[];
}

const keyOf = ({ host, boot, seq }: { host: string; boot: string; seq: number }): string => `${host} ${boot} ${seq}`;
/** A boot is of one host alone. */
const viewKeyOf = ({ boot, seq }: { boot: string; seq: number }): string => `${boot} ${seq}`;
const maxExamples = 10;

/** Pure: the same evidence has the same verdict. */
export function judge({ sent, stored, counted, views, settled }: Evidence): Verdict {
  const examples: string[] = [];
  const wrong = (what: string): 1 => {
    if (examples.length < maxExamples) examples.push(what);
    return 1;
  };
  const rows = new Map<string, Stored>();
  let duplicates = 0;
  for (const row of stored) {
    const key = keyOf(row);
    if (rows.has(key)) duplicates += wrong(`stored twice: ${key}`);
    rows.set(key, row);
  }
  const known = new Set(sent.map(keyOf));
  let [acknowledgedLost, lost, restamped, strangers] = [0, 0, 0, 0];
  for (const one of sent) {
    const row = rows.get(keyOf(one));
    if (row && row.at !== one.at) restamped += wrong(`stored at ${row.at}, sent at ${one.at}: ${keyOf(one)}`);
    if (row) continue;
    if (one.acknowledged) acknowledgedLost += wrong(`acknowledged and lost: ${keyOf(one)}`);
    if (!one.kept) lost += 1;
  }
  for (const key of rows.keys()) if (!known.has(key)) strangers += wrong(`stored, never sent: ${key}`);
  const newest = new Map<string, number>();
  for (const { boot, seq } of sent) newest.set(boot, Math.max(seq, newest.get(boot) ?? 0));
  const shown = views.map((view) => judgeView(view, wrong));
  const sentKeys = new Set(sent.map(viewKeyOf));
  const invented = views.map((view) => countInvented(view, sentKeys, wrong)).reduce((a, b) => a + b, 0);
  const behind = settled ? views.map((view) => countBehind(view, newest, wrong)).reduce((a, b) => a + b, 0) : 0;
  return {
    sent: sent.length,
    acknowledged: sent.filter((one) => one.acknowledged).length,
    stored: stored.length,
    seen: sum(shown, 'seen'),
    marks: sum(shown, 'marks'),
    acknowledgedLost,
    lost,
    duplicates,
    miscounted: counted === undefined ? 0 : Math.abs(counted - stored.length),
    strangers,
    disordered: countDisorder([...rows.values()], wrong),
    restamped,
    unmarkedGaps: sum(shown, 'unmarkedGaps'),
    shownAgain: sum(shown, 'shownAgain'),
    invented,
    behind,
    examples,
  };
}

/** What must be 0 whatever happens, as far as it is not. */
export function broken(verdict: Verdict): Partial<Verdict> {
  const { acknowledgedLost, duplicates, miscounted, strangers, disordered, restamped } = verdict;
  const { unmarkedGaps, shownAgain, invented, behind } = verdict;
  const stored = { acknowledgedLost, duplicates, miscounted, strangers, disordered, restamped };
  const musts = { ...stored, unmarkedGaps, shownAgain, invented, behind };
  const found = Object.fromEntries(Object.entries(musts).filter(([, count]) => count > 0));
  return Object.keys(found).length > 0 ? { ...found, examples: verdict.examples } : {};
}

type Wrong = (what: string) => 1;

function countDisorder(rows: readonly Stored[], wrong: Wrong): number {
  const last = new Map<string, Stored>();
  let disordered = 0;
  for (const row of rows.toSorted((a, b) => a.at - b.at || a.seq - b.seq)) {
    const boot = `${row.host} ${row.boot}`;
    const before = last.get(boot);
    if (before && row.seq <= before.seq)
      disordered += wrong(`seq ${row.seq} at ${row.at} after seq ${before.seq} at ${before.at}: ${boot}`);
    last.set(boot, row);
  }
  return disordered;
}

function judgeView(view: readonly Seen[], wrong: Wrong): { seen: number; marks: number; unmarkedGaps: number; shownAgain: number } {
  const newest = new Map<string, number>();
  let [seen, marks, unmarkedGaps, shownAgain] = [0, 0, 0, 0];
  let boot: string | undefined;
  let isMarked = true;
  for (const item of view) {
    if ('mark' in item) {
      marks += 1;
      isMarked = true;
      continue;
    }
    seen += 1;
    const before = newest.get(item.boot);
    const isExpected = item.boot === boot && item.seq === (before ?? 0) + 1;
    if (before !== undefined && item.seq <= before) shownAgain += wrong(`shown again: ${item.boot} ${item.seq} after ${before}`);
    else if (!isExpected && !isMarked) unmarkedGaps += wrong(`not told of the hole before ${item.boot} ${item.seq} (after ${before})`);
    newest.set(item.boot, Math.max(item.seq, before ?? 0));
    boot = item.boot;
    isMarked = false;
  }
  return { seen, marks, unmarkedGaps, shownAgain };
}

function countInvented(view: readonly Seen[], sent: ReadonlySet<string>, wrong: Wrong): number {
  let invented = 0;
  for (const item of view) if (!('mark' in item) && !sent.has(viewKeyOf(item))) invented += wrong(`shown, never sent: ${viewKeyOf(item)}`);
  return invented;
}

/** A view that ends with a mark was told where to look. */
function countBehind(view: readonly Seen[], newest: ReadonlyMap<string, number>, wrong: Wrong): number {
  const last = view.at(-1);
  if (!last || 'mark' in last || last.seq >= (newest.get(last.boot) ?? 0)) return 0;
  return wrong(`a viewer stays at ${viewKeyOf(last)} before ${newest.get(last.boot)}`);
}

const sum = <K extends string>(list: readonly Record<K, number>[], key: K): number => list.reduce((total, one) => total + one[key], 0);
