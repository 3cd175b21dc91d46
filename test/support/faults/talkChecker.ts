/** Compares what people posted into one conversation, what PostgreSQL holds and what readers saw with what hostroom promises. */

export interface Posted {
  key: string;
  /** The hub said that it is committed. */
  acknowledged: boolean;
}

export interface StoredMessage {
  offset: number;
  key: string;
}

/** What a reader saw, in order; `mark`: told that something may be missing before what follows. */
export type Read = StoredMessage | { mark: true };

export interface TalkEvidence {
  posted: readonly Posted[];
  /** By offset, ascending. */
  stored: readonly StoredMessage[];
  readers: readonly (readonly Read[])[];
}

export interface TalkVerdict {
  posted: number;
  stored: number;
  read: number;
  marks: number;
  /** Each of these must be 0. */
  faults: {
    /** Acknowledged and not stored. */
    lost: number;
    /** Stored under more than one offset. */
    doubled: number;
    /** Stored and never posted. */
    strangers: number;
    /** Offsets that nobody has. */
    holes: number;
    /** Read at another offset than PostgreSQL has it at. */
    displaced: number;
    /** Read again, or after a later one. */
    disordered: number;
    /** Not read, and not told of. */
    unmarkedGaps: number;
    /** Readers whose last is not the newest. */
    behind: number;
  };
}

/** Pure. All must have arrived, and every reader must have been there before the first message. */
export function judgeTalk({ posted, stored, readers }: TalkEvidence): TalkVerdict {
  const keys = new Set(posted.map(({ key }) => key));
  const byKey = Map.groupBy(stored, ({ key }) => key);
  const at = new Map(stored.map(({ offset, key }) => [offset, key]));
  const before = (stored[0]?.offset ?? 1) - 1;
  const newest = stored.at(-1)?.offset ?? before;
  const views = readers.map((view) => judgeReader(view, at, { before, newest }));
  const total = (name: keyof ReturnType<typeof judgeReader>): number => views.reduce((sum, view) => sum + view[name], 0);
  return {
    posted: posted.length,
    stored: stored.length,
    read: total('read'),
    marks: total('marks'),
    faults: {
      lost: posted.filter(({ key, acknowledged }) => acknowledged && !byKey.has(key)).length,
      doubled: byKey
        .values()
        .filter((rows) => rows.length > 1)
        .toArray().length,
      strangers: byKey
        .keys()
        .filter((key) => !keys.has(key))
        .toArray().length,
      holes: newest - before - at.size,
      displaced: total('displaced'),
      disordered: total('disordered'),
      unmarkedGaps: total('unmarkedGaps'),
      behind: total('behind'),
    },
  };
}

function judgeReader(view: readonly Read[], stored: ReadonlyMap<number, string>, { before, newest }: { before: number; newest: number }) {
  let [read, marks, displaced, disordered, unmarkedGaps] = [0, 0, 0, 0, 0];
  let last = before;
  let isMarked = false;
  for (const item of view) {
    if ('mark' in item) {
      marks += 1;
      isMarked = true;
      continue;
    }
    read += 1;
    if (stored.get(item.offset) !== item.key) displaced += 1;
    if (item.offset <= last) disordered += 1;
    else if (item.offset > last + 1 && !isMarked) unmarkedGaps += 1;
    last = Math.max(last, item.offset);
    isMarked = false;
  }
  return { read, marks, displaced, disordered, unmarkedGaps, behind: last === newest || isMarked ? 0 : 1 };
}
