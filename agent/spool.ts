/** Keeps what the agent published until the hub says it is committed. */

import type { AgentPublication } from '../src/protocol/kinds.ts';

type Kind = AgentPublication['kind'];

/** A publication as the sampler hands it over. */
export interface Draft {
  kind: Kind;
  boot: string;
  seq: number;
  /** Monotonic ms of the reading. */
  takenMs: number;
  /** Hub time; missing while no hub was reached since the start. */
  at: number | undefined;
  /** JSON of the fields of its kind without the outer braces, such as `"metrics":{…}`. */
  body: string;
}

export interface SpoolEntry extends Draft {
  /** On the way to the hub over the present connection, its answer still open. */
  inFlight: boolean;
}

/** What a link needs of a spool; a spool on disk keeps the same contract over restarts. */
export interface Spool {
  /** Keeps a publication; where the limit is reached the oldest of its kind is dropped, counted. */
  add(draft: Draft): SpoolEntry;
  /** All that is not committed, oldest first. */
  unacknowledged(): Iterable<SpoolEntry>;
  /** Lets go of what is committed or was refused for good. */
  forget(seq: number): void;
  readonly depth: number;
  /** Dropped by the limit since the start. */
  readonly dropped: number;
}

/** So many of each kind: ten minutes at the usual pace, with the process lists that belong to them. */
const limits: Record<Kind, number> = { sample: 600, processes: 120 };
/** A host with very many devices has large samples: beyond this the oldest go too. */
const maxBytes = 16 * 1024 * 1024;

export class MemorySpool implements Spool {
  /** By `seq`, which only grows: the order of insertion is that of age. */
  readonly #entries = new Map<number, SpoolEntry>();
  readonly #counts: Record<Kind, number> = { sample: 0, processes: 0 };
  #bytes = 0;
  #dropped = 0;

  add(draft: Draft): SpoolEntry {
    if (this.#counts[draft.kind] >= limits[draft.kind]) this.#dropOldest(draft.kind);
    this.#bytes += draft.body.length;
    while (this.#bytes > maxBytes && this.depth > 0) this.#dropOldest();
    const entry = { ...draft, inFlight: false };
    this.#entries.set(draft.seq, entry);
    this.#counts[draft.kind] += 1;
    return entry;
  }

  unacknowledged(): Iterable<SpoolEntry> {
    return this.#entries.values();
  }

  forget(seq: number): void {
    const entry = this.#entries.get(seq);
    if (!entry) return;
    this.#entries.delete(seq);
    this.#counts[entry.kind] -= 1;
    this.#bytes -= entry.body.length;
  }

  get depth(): number {
    return this.#entries.size;
  }

  get dropped(): number {
    return this.#dropped;
  }

  #dropOldest(kind?: Kind): void {
    for (const entry of this.#entries.values()) {
      if (kind !== undefined && entry.kind !== kind) continue;
      this.forget(entry.seq);
      this.#dropped += 1;
      return;
    }
  }
}

/** The publication as it goes over the wire. Only for stamped entries. */
export const textOf = ({ kind, at, seq, boot, body }: Draft): string =>
  `{"kind":"${kind}","at":${at},"seq":${seq},"boot":"${boot}",${body}}`;
