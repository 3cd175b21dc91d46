/** The story of a sample: shown at once, acknowledged when it is committed. */

import { WriteError } from '../data/writer.ts';
import type { SampleRow } from '../data/samples.ts';
import type { Hub } from '../hub/hub.ts';
import { Refusal } from '../hub/refusal.ts';
import type { Clock } from '../lib/clock.ts';
import { checkAgentPublication } from '../protocol/checks.ts';
import { errors } from '../protocol/codes.ts';
import type { AgentPublication, Sample } from '../protocol/kinds.ts';
import { hostRoom } from '../protocol/rooms.ts';
import type { SampleStream } from '../streams/samples.ts';
import type { Span, Tracing } from '../ops/tracing.ts';
import { inTurn } from './agentSession.ts';
import type { AgentSession } from './agentSession.ts';

/** How far a live sample may be from hub time. */
export const maxSkewMs = 60_000;

/** What keeps a sample: resolves when it is committed. */
export interface Committing {
  add(row: SampleRow, share?: number): Promise<void>;
}

export interface IngestParts {
  hub: Pick<Hub, 'publish'>;
  writer: Committing;
  stream: SampleStream;
  clock: Clock;
  retentionRawMs: number;
  /** Absent: no traces. */
  tracing?: Tracing;
  /** Told of every live sample, once. */
  observe(session: AgentSession, sample: Sample): void;
}

/**
 * Takes what an agent published into its own room. Throws a Refusal at once when it is not valid; the promise resolves when it is
 * committed, by this call or an earlier one, and rejects with a Refusal when it will not be.
 */
export function ingestSample(parts: IngestParts, session: AgentSession, data: unknown): Promise<void> {
  const publication = admit(parts, session, data);
  const text = toText(data);
  const heard = parts.stream.find(session.host, publication.boot, publication.seq);
  if (heard !== undefined) refuseOther(publication, heard);

  parts.stream.add(session.host, publication, text);
  const span = parts.tracing?.isChosen()
    ? parts.tracing.start('sample', undefined, { host: session.host, seq: publication.seq })
    : undefined;
  parts.hub.publish(hostRoom(session.host), { data: text, offset: publication.seq, epoch: publication.boot, trace: span?.traceparent });
  if (heard === undefined && publication.kind === 'sample') parts.observe(session, publication);
  const committed = inTurn(session, 1, () => parts.writer.add(toRow(session.host, publication, text))).catch(refuse);
  return span ? ended(span, committed) : committed;
}

/** The span of a sample ends with its commit. */
async function ended(span: Span, committed: Promise<void>): Promise<void> {
  try {
    await committed;
    span.end();
  } catch (error) {
    span.end(error);
    throw error;
  }
}

/** Everything that speaks against a live publication: its shape, its boot, its time. */
function admit(parts: IngestParts, session: AgentSession, data: unknown): AgentPublication {
  if (session.replaced) throw new Refusal(errors.permissionDenied, 'a newer connection of this agent took its place');
  const { ok: publication, fault } = checkAgentPublication(data);
  if (!publication) throw new Refusal(errors.badRequest, fault);
  const { kind, at, seq, boot } = publication;
  if (boot !== session.boot) {
    throw new Refusal(errors.badRequest, 'boot: is not the one announced at connect; send older ones by rpc backfill');
  }
  const nowMs = parts.clock.now();
  // What was heard before is a resend: its time was right when it was new, and stays as it is.
  const heard = parts.stream.reaches(session.host, boot, seq);
  if (at > nowMs + maxSkewMs || (at < nowMs - maxSkewMs && !heard)) throw clockRefusal(nowMs);
  if (at < nowMs - parts.retentionRawMs) throw new Refusal(errors.sampleExpired, 'expired: older than the hub keeps samples');
  const last = session.last[kind];
  if (seq > last.seq) {
    if (at <= last.at) throw new Refusal(errors.badRequest, 'at: must be later than that of the sample before');
    session.last[kind] = { seq, at };
  }
  return publication;
}

/** A resend says what was said before; the same `seq` at another time would be stored beside it. */
function refuseOther({ at }: AgentPublication, heard: string): void {
  if ((JSON.parse(heard) as AgentPublication).at !== at)
    throw new Refusal(errors.badRequest, 'seq: was used for a publication of another time; count on within the boot');
}

export const clockRefusal = (nowMs: number): Refusal => new Refusal(errors.clock, `clock: hub time is ${nowMs}`);

export const toRow = (host: string, { kind, at, boot, seq }: AgentPublication, frame: string): SampleRow => ({
  host,
  kind,
  at,
  boot,
  seq,
  frame,
});

/** The JSON of a publication in one line; hostile nesting in an unknown field is the sender's fault, not ours. */
export function toText(data: unknown): string {
  try {
    return JSON.stringify(data);
  } catch (error) {
    throw new Refusal(errors.badRequest, 'data: nests too deeply', { cause: error });
  }
}

/** The writer's answer as the wire has it: what passes is temporary, so that the agent keeps the sample. */
function refuse(error: unknown): never {
  if (!(error instanceof WriteError)) throw error;
  switch (error.fault) {
    case 'data':
      throw new Refusal(errors.badRequest, 'data: PostgreSQL cannot store it', { cause: error });
    case 'conflict':
      throw new Refusal(errors.badRequest, 'at: another publication of this host has this time', { cause: error });
    case 'full':
    case 'away':
    case 'closed':
      throw new Refusal(errors.internal, `not committed (${error.fault}); keep it and try again`, { cause: error });
  }
}
