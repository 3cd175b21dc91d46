/** The story of what an agent sends late: committed and counted, never shown live; one event tells of the closed gap. */

import { WriteError } from '../data/writer.ts';
import { Refusal } from '../hub/refusal.ts';
import { checkAgentPublication, checkBackfill, limits } from '../protocol/checks.ts';
import { errors } from '../protocol/codes.ts';
import type { AgentPublication, Event, LateWhy, LossWhy } from '../protocol/kinds.ts';
import { inTurn } from './agentSession.ts';
import type { AgentSession } from './agentSession.ts';
import { maxSkewMs, toRow, toText } from './ingestSample.ts';
import type { IngestParts } from './ingestSample.ts';

/** A backlog leaves half of the writer's queue to what is live. */
const queueShare = 0.5;

export interface Refused {
  at: number | null;
  kind: string | null;
  /** As in the table of error codes. */
  code: number;
}

export interface BackfillResult {
  /** Stored now or before. */
  committed: number;
  refused: Refused[];
}

export interface BackfillParts extends Pick<IngestParts, 'writer' | 'clock' | 'retentionRawMs'> {
  /** Told of every sample that was committed late, and of what is lost. */
  gaps: Pick<Gaps, 'filled' | 'lost'>;
}

/**
 * Commits what an agent kept, of whatever boot. Rejects as a whole, with an error that passes, when some of it could not be committed
 * now: sending all of it again is harmless.
 */
export async function backfill(parts: BackfillParts, session: AgentSession, data: unknown): Promise<BackfillResult> {
  if (session.replaced) throw new Refusal(errors.permissionDenied, 'a newer connection of this agent took its place');
  const { ok: call, fault } = checkBackfill(data);
  if (!call) throw new Refusal(errors.badRequest, fault);
  const { publications, why, dropped } = call;
  const texts = publications.map(toText);
  if (texts.reduce((bytes, text) => bytes + text.length, 0) > limits.backfillBytes) {
    throw new Refusal(errors.limitExceeded, `publications: more than ${limits.backfillBytes / 1024} KiB; send them in several calls`);
  }
  const result = await inTurn(session, publications.length, () => commitAll(parts, session, publications, texts, why));
  // Told twice only where this reply does not arrive.
  for (const loss of dropped) parts.gaps.lost(session, loss.from, loss.to, loss.samples, loss.why);
  return result;
}

async function commitAll(
  parts: BackfillParts,
  session: AgentSession,
  publications: unknown[],
  texts: string[],
  why: readonly LateWhy[],
): Promise<BackfillResult> {
  const nowMs = parts.clock.now();
  const refused: Refused[] = [];
  const expired: number[] = [];
  let committed = 0;
  const refuse = (publication: unknown, code: number): void => void refused.push({ ...nameOf(publication), code });

  await Promise.all(
    publications.map(async (data, index) => {
      const { ok: publication } = checkAgentPublication(data);
      if (!publication) return refuse(data, errors.badRequest.code);
      if (publication.at > nowMs + maxSkewMs) return refuse(data, errors.clock.code);
      if (publication.at < nowMs - parts.retentionRawMs) {
        if (publication.kind === 'sample') expired.push(publication.at);
        return refuse(data, errors.sampleExpired.code);
      }
      try {
        await parts.writer.add(toRow(session.host, publication, texts[index]!), queueShare);
      } catch (error) {
        if (!(error instanceof WriteError) || (error.fault !== 'data' && error.fault !== 'conflict')) {
          throw new Refusal(errors.internal, 'not all of it was committed; keep it and try again', { cause: error });
        }
        return refuse(data, errors.badRequest.code);
      }
      committed++;
      if (publication.kind === 'sample') parts.gaps.filled(session, publication.at, why);
    }),
  );
  for (const at of expired) parts.gaps.lost(session, at, at, 1, 'expired');
  return { committed, refused };
}

function nameOf(data: unknown): Pick<Refused, 'at' | 'kind'> {
  const { at, kind } = (data ?? {}) as Partial<AgentPublication>;
  return { at: typeof at === 'number' ? at : null, kind: typeof kind === 'string' ? kind : null };
}

interface Range {
  fromMs: number;
  toMs: number;
  samples: number;
}

interface Gap {
  late: Range;
  lost: Range;
  why: Set<LateWhy>;
  lostWhy: Set<LossWhy>;
  openedMs: number;
  timer: NodeJS.Timeout;
}

const noRange = (): Range => ({ fromMs: Infinity, toMs: -Infinity, samples: 0 });

function extend(range: Range, fromMs: number, toMs: number, samples: number): void {
  range.fromMs = Math.min(range.fromMs, fromMs);
  range.toMs = Math.max(range.toMs, toMs);
  range.samples += samples;
}

/**
 * What the event of a gap tells. `details`: `samples` that came late between `fromMs` and `toMs`, and `why`; where some are lost, `lost`
 * of them from `lostFrom` to `lostUntil`, and `lostWhy`. Reasons are a comma list. Where all are lost, both ranges are the same.
 */
export interface ClosedGap {
  host: string;
  fromMs: number;
  toMs: number;
  details: Event['details'];
}

export interface GapOptions {
  /** Posts the event of one closed gap. */
  closed(gap: ClosedGap): Promise<unknown>;
  failed(error: unknown): void;
  /** A gap counts as closed when nothing more came for so long, or at last after `maxOpenMs`. */
  quietMs?: number;
  maxOpenMs?: number;
}

/** Merges what came late or was lost, call by call, into one gap per host. At most one per host with samples on their way. */
export class Gaps {
  readonly #gaps = new Map<string, Gap>();
  readonly #options: Required<GapOptions>;

  constructor(options: GapOptions) {
    const { quietMs = 10_000, maxOpenMs = 600_000 } = options;
    this.#options = { ...options, quietMs, maxOpenMs };
  }

  filled(session: AgentSession, atMs: number, why: readonly LateWhy[]): void {
    const gap = this.#open(session.host);
    extend(gap.late, atMs, atMs, 1);
    for (const one of why) gap.why.add(one);
  }

  lost(session: AgentSession, fromMs: number, toMs: number, samples: number, why: LossWhy): void {
    const gap = this.#open(session.host);
    extend(gap.lost, fromMs, toMs, samples);
    gap.lostWhy.add(why);
  }

  /** Closes all gaps now; resolves when they are told of. */
  async close(): Promise<void> {
    await Promise.all([...this.#gaps.keys()].map((host) => this.#close(host)));
  }

  #open(host: string): Gap {
    const { quietMs, maxOpenMs } = this.#options;
    let gap = this.#gaps.get(host);
    if (gap) {
      if (performance.now() - gap.openedMs < maxOpenMs) gap.timer.refresh();
      return gap;
    }
    const timer = setTimeout(() => void this.#close(host), quietMs);
    gap = { late: noRange(), lost: noRange(), why: new Set(), lostWhy: new Set(), openedMs: performance.now(), timer };
    this.#gaps.set(host, gap);
    return gap;
  }

  async #close(host: string): Promise<void> {
    const gap = this.#gaps.get(host);
    if (!gap) return;
    clearTimeout(gap.timer);
    this.#gaps.delete(host);
    const { late, lost, why, lostWhy } = gap;
    const { fromMs, toMs } = late.samples > 0 ? late : lost;
    const details: Event['details'] = { samples: late.samples };
    if (why.size > 0) details['why'] = [...why].join(',');
    if (lost.samples > 0) {
      const { samples, fromMs: lostFrom, toMs: lostUntil } = lost;
      Object.assign(details, { lost: samples, lostFrom, lostUntil, lostWhy: [...lostWhy].join(',') });
    }
    await this.#options.closed({ host, fromMs, toMs, details }).catch((error: unknown) => this.#options.failed(error));
  }
}
