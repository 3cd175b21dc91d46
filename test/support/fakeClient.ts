/** A client of the hub without a socket, which behaves as an SDK does and keeps what it saw. */

import type { Client } from '../../src/hub/client.ts';
import type { Hub } from '../../src/hub/hub.ts';
import type { Grant } from '../../src/hub/room.ts';
import type { Wire } from '../../src/hub/wire.ts';
import type { Frames } from '../../src/hub/frame.ts';
import type { Position } from '../../src/protocol/commands.ts';
import { encodePage } from '../../src/protocol/replies.ts';

/** What one subscription showed: publications in order, `fresh` where it began without recovery. */
export type Seen = { offset: number; epoch: string; data: unknown } | { fresh: Position };

export class FakeClient {
  readonly seen: Seen[] = [];
  readonly client: Client;
  readonly #hub: Hub;
  readonly #room: string;
  readonly #grant: Grant;
  position: Position | undefined;
  #subscribed = false;
  /** Set while it wishes to be subscribed. */
  wants = false;
  failures = 0;

  constructor(hub: Hub, id: string, room: string, grant: Grant) {
    this.#hub = hub;
    this.#room = room;
    this.#grant = grant;
    const wire = {
      isOpen: true,
      queuedBytes: 0,
      isMidMessage: false,
      write: (frames: Frames) => this.#read(frames),
      cork: () => undefined,
      uncork: () => undefined,
      onceDrained: () => undefined,
      close: () => undefined,
    };
    this.client = hub.add(id, { user: id, kind: 'user', maxFrameBytes: 1 }, wire as unknown as Wire);
  }

  async subscribe(): Promise<void> {
    this.wants = true;
    if (this.client.rooms.has(this.#room)) return;
    const position = this.position;
    const wish = { recover: position !== undefined, offset: position?.offset ?? 0, epoch: position?.epoch ?? '' };
    try {
      await this.#hub.subscribe(this.client, this.#room, this.#grant, wish, (joined) => {
        this.client.send(encodePage(1, 'subscribe', { ...joined.position, recovered: joined.recovered || undefined }, joined.publications));
      });
    } catch {
      this.failures++;
    }
  }

  unsubscribe(): void {
    this.wants = false;
    this.#subscribed = false;
    this.#hub.unsubscribe(this.client, this.#room);
  }

  #read({ payloads }: Frames): void {
    for (const line of payloads.flatMap((payload) => payload.toString().split('\n'))) this.#take(JSON.parse(line));
  }

  #take({ subscribe, push }: { subscribe?: Reply; push?: Push }): void {
    if (subscribe) {
      this.#subscribed = true;
      const { offset = 0, epoch = '', recovered, publications = [] } = subscribe;
      if (!recovered) this.seen.push({ fresh: { offset, epoch } });
      this.position = { offset, epoch };
      for (const publication of publications) this.#see(publication);
    } else if (push?.pub && this.#subscribed) {
      this.#see(push.pub);
    } else if (push?.unsubscribe) {
      this.#subscribed = false;
      // As SDKs do on 2500: at once, on the same connection.
      setImmediate(() => void (this.wants && this.subscribe()));
    }
  }

  #see({ offset, epoch = this.position!.epoch, data }: Publication): void {
    this.position = { offset, epoch };
    this.seen.push({ offset, epoch, data });
  }
}

interface Publication {
  offset: number;
  epoch?: string;
  data: unknown;
}

interface Reply extends Partial<Position> {
  recovered?: boolean;
  publications?: Publication[];
}

interface Push {
  pub?: Publication;
  unsubscribe?: object;
}
