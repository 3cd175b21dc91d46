/** Tells people which of the things the hub stands on are away. */

import type { Client } from '../hub/client.ts';
import type { Hub } from '../hub/hub.ts';
import type { Degraded } from '../protocol/kinds.ts';
import { encodeMessage } from '../protocol/replies.ts';

export interface OutageParts {
  hub: Pick<Hub, 'tell'>;
  /** Dependencies by name: true while away. The same source as that of the metric. */
  degraded(): Readonly<Record<string, boolean>>;
  everyMs?: number;
}

/** Each replica speaks to its own clients: what it lacks, others may have. */
export class Outages {
  readonly #parts: OutageParts;
  #away: readonly string[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: OutageParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#timer = setInterval(() => this.#look(), this.#parts.everyMs ?? 500);
  }

  /** For a person who has just connected: later changes come by themselves. */
  connected(client: Client): void {
    if (client.identity.kind === 'user' && this.#away.length > 0) client.send(this.#text());
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const away = Object.entries(this.#parts.degraded())
      .filter(([, isAway]) => isAway)
      .map(([name]) => name)
      .toSorted();
    if (away.join() === this.#away.join()) return;
    this.#away = away;
    this.#parts.hub.tell(this.#text());
  }

  #text(): string {
    return encodeMessage(JSON.stringify({ kind: 'degraded', away: this.#away } satisfies Degraded));
  }
}
