/** A WebSocket for SDKs in Node that gives each message in a task of its own, as browsers do. */

import { WebSocket, type ClientOptions } from 'ws';

/**
 * By default `ws` emits all messages that arrived together at once. The centrifuge SDK then begins with the second before it is done with
 * the first, and shows a publication before the subscribe reply that stands in front of it.
 */
export class BrowserSocket extends WebSocket {
  constructor(url: string | URL, protocols?: string | string[], options?: ClientOptions) {
    super(url, protocols, { ...options, allowSynchronousEvents: false });
  }
}
