/** What the hub counts; the numbers are kept by whoever hands these functions in. */

export interface HubMetrics {
  /** Texts written, each client counting: pushes of rooms, replies with pushes to one client. */
  sent(kind: 'push' | 'reply', count: number): void;
  /** What did not go out: a publication heard before; otherwise members who missed something and were told to recover. */
  dropped(what: 'duplicate' | 'slow_client' | 'hole' | 'epoch', count: number): void;
  slowClosed(): void;
  recovered(result: 'recovered' | 'unrecovered'): void;
  /** Seconds from `hub.publish` or `hub.deliver` to the write into the sockets, once per room and turn. */
  deliverSeconds(seconds: number): void;
}

const nothing = (): void => undefined;
export const noMetrics: HubMetrics = { sent: nothing, dropped: nothing, slowClosed: nothing, recovered: nothing, deliverSeconds: nothing };
