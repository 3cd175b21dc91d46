/** The story of what an agent sends late: committed and counted, never shown live; one event tells of the closed gap. */

import { WriteError } from '../data/writer.ts';
import { Refusal } from '../hub/refusal.ts';
import { checkAgentPublication, checkBackfill, limits } from '../protocol/checks.ts';
import { errors } from '../protocol/codes.ts';
import type { AgentPublication } from '../protocol/kinds.ts';
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
  /** Told of every sample that was committed late. */
  filled(session: AgentSession, atMs: number): void;
}

/**
 * Commits what an agent kept, of whatever boot. Rejects as a whole, with an error that passes, when some of it could not be committed
 * now: sending all of it again is harmless.
 */
export async function backfill(parts: BackfillParts, session: AgentSession, data: unknown): Promise<BackfillResult> {
  if (session.replaced) throw new Refusal(errors.permissionDenied, 'a newer connection of this agent took its place');
  const { ok: publications, fault } = checkBackfill(data);
  if (!publications) throw new Refusal(errors.badRequest, fault);
  const texts = publications.map(toText);
  if (texts.reduce((bytes, text) => bytes + text.length, 0) > limits.backfillBytes) {
    throw new Refusal(errors.limitExceeded, `publications: more than ${limits.backfillBytes / 1024} KiB; send them in several calls`);
  }
  return inTurn(session, publications.length, () => commitAll(parts, session, publications, texts));
}

async function commitAll(parts: BackfillParts, session: AgentSession, publications: unknown[], texts: string[]): Promise<BackfillResult> {
  const nowMs = parts.clock.now();
  const refused: Refused[] = [];
  let committed = 0;
  const refuse = (publication: unknown, code: number): void => void refused.push({ ...nameOf(publication), code });

  await Promise.all(
    publications.map(async (data, index) => {
      const { ok: publication } = checkAgentPublication(data);
      if (!publication) return refuse(data, errors.badRequest.code);
      if (publication.at > nowMs + maxSkewMs) return refuse(data, errors.clock.code);
      if (publication.at < nowMs - parts.retentionRawMs) return refuse(data, errors.sampleExpired.code);
      try {
        await parts.writer.add(toRow(session.host, publication, texts[index]!), queueShare);
      } catch (error) {
        if (!(error instanceof WriteError) || (error.fault !== 'data' && error.fault !== 'conflict')) {
          throw new Refusal(errors.internal, 'not all of it was committed; keep it and try again', { cause: error });
        }
        return refuse(data, errors.badRequest.code);
      }
      committed++;
      if (publication.kind === 'sample') parts.filled(session, publication.at);
    }),
  );
  return { committed, refused };
}

function nameOf(data: unknown): Pick<Refused, 'at' | 'kind'> {
  const { at, kind } = (data ?? {}) as Partial<AgentPublication>;
  return { at: typeof at === 'number' ? at : null, kind: typeof kind === 'string' ? kind : null };
}

interface Gap {
  fromMs: number;
  toMs: number;
  samples: number;
  openedMs: number;
  timer: NodeJS.Timeout;
}

export interface GapOptions {
  /** Posts the event of one closed gap. */
  closed(gap: { host: string; fromMs: number; toMs: number; samples: number }): Promise<unknown>;
  failed(error: unknown): void;
  /** A gap counts as closed when nothing more came for so long, or at last after `maxOpenMs`. */
  quietMs?: number;
  maxOpenMs?: number;
}

/** Merges what came late, call by call, into one gap per host. At most one per host with samples on their way. */
export class Gaps {
  readonly #gaps = new Map<string, Gap>();
  readonly #options: Required<GapOptions>;

  constructor(options: GapOptions) {
    const { quietMs = 10_000, maxOpenMs = 600_000 } = options;
    this.#options = { ...options, quietMs, maxOpenMs };
  }

  add(session: AgentSession, atMs: number): void {
    const { quietMs, maxOpenMs } = this.#options;
    const gap = this.#gaps.get(session.host);
    if (!gap) {
      const timer = setTimeout(() => void this.#close(session.host), quietMs);
      this.#gaps.set(session.host, { fromMs: atMs, toMs: atMs, samples: 1, openedMs: performance.now(), timer });
      return;
    }
    gap.fromMs = Math.min(gap.fromMs, atMs);
    gap.toMs = Math.max(gap.toMs, atMs);
    gap.samples++;
    if (performance.now() - gap.openedMs < maxOpenMs) gap.timer.refresh();
  }

  /** Closes all gaps now; resolves when they are told of. */
  async close(): Promise<void> {
    await Promise.all([...this.#gaps.keys()].map((host) => this.#close(host)));
  }

  async #close(host: string): Promise<void> {
    const gap = this.#gaps.get(host);
    if (!gap) return;
    clearTimeout(gap.timer);
    this.#gaps.delete(host);
    const { fromMs, toMs, samples } = gap;
    await this.#options.closed({ host, fromMs, toMs, samples }).catch((error: unknown) => this.#options.failed(error));
  }
}
