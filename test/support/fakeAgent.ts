/** An agent as the contract describes one, for tests that say themselves what it sends. */

import { generateKeyPairSync } from 'node:crypto';
import { SignJWT } from 'jose';
import { newId } from '../../src/lib/id.ts';
import { RawClient } from './rawClient.ts';

export class FakeAgent {
  readonly key = generateKeyPairSync('ed25519');
  readonly boot = newId();
  readonly #url: string;
  host = '';
  hub = '';
  #connection = 0;
  #seq = 0;
  #lastAt = 0;

  /** `url` is the hub's, such as `http://127.0.0.1:8080`. */
  constructor(url: string) {
    this.#url = url;
  }

  async enrol(token: string): Promise<this> {
    const answer = await fetch(`${this.#url}/api/v1/agents/enrol`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token, publicKey: this.key.publicKey.export({ format: 'jwk' }), name: 'fake', platform: { os: 'linux' } }),
    });
    if (answer.status !== 200) throw new Error(`enrol: ${answer.status} ${await answer.text()}`);
    const { hostId, hub } = (await answer.json()) as { hostId: string; hub: string };
    this.host = hostId;
    this.hub = hub;
    return this;
  }

  token(): Promise<string> {
    return new SignJWT({ jti: newId() })
      .setProtectedHeader({ alg: 'EdDSA', typ: 'agent+jwt', kid: this.host })
      .setSubject(this.host)
      .setAudience(this.hub)
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(this.key.privateKey);
  }

  /** @param url another replica's */
  async connect(url = this.#url): Promise<RawClient> {
    const data = { boot: this.boot, connection: ++this.#connection };
    return RawClient.connect(`${url.replace('http', 'ws')}/connection/websocket`, await this.token(), data);
  }

  /** The next sample, with these metrics. */
  sample(metrics: Record<string, number>, at = Math.max(Date.now(), this.#lastAt + 1)): object {
    this.#lastAt = at;
    return { kind: 'sample', at, seq: ++this.#seq, boot: this.boot, metrics };
  }
}
