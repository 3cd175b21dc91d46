/** Who this agent is: its key, and the host that the hub knows by it. */

import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** What the hub told at enrolment. */
export interface Enrolment {
  hostId: string;
  /** The room to publish into. */
  room: string;
  /** The hub's id: the audience of this agent's tokens. */
  hub: string;
}

interface Stored {
  /** Private key as JWK. */
  key: { kty: string; crv: string; x: string; d: string };
  /** SHA-256 of the enrolment token this key goes with; a new token means a new key. */
  tokenHash: string;
  enrolment?: Enrolment;
}

const fileName = 'identity.json';
const tokenLifeS = 300;

const hashOf = (token: string): string => createHash('sha256').update(token).digest('base64url');

/** Never leaves the state folder: no method gives the private key away. */
export class Identity {
  readonly #stored: Stored;
  readonly #key: KeyObject;

  private constructor(stored: Stored) {
    this.#stored = stored;
    this.#key = createPrivateKey({ key: stored.key, format: 'jwk' });
  }

  static create(token: string): Identity {
    const { privateKey } = generateKeyPairSync('ed25519');
    return new Identity({ key: privateKey.export({ format: 'jwk' }) as Stored['key'], tokenHash: hashOf(token) });
  }

  /** The identity kept in the folder, or undefined where there is none. Throws where it cannot be read or is damaged. */
  static load(stateDir: string): Identity | undefined {
    const path = join(stateDir, fileName);
    try {
      return new Identity(JSON.parse(readFileSync(path, 'utf8')) as Stored);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new Error(`${path} cannot be used (${(error as Error).message}); make it readable, or remove it to enrol again`, {
        cause: error,
      });
    }
  }

  get enrolment(): Enrolment | undefined {
    return this.#stored.enrolment;
  }

  /** Whether this key was made for, or enrolled by, that token. */
  belongsTo(token: string): boolean {
    return this.#stored.tokenHash === hashOf(token);
  }

  get publicKey(): object {
    return createPublicKey(this.#key).export({ format: 'jwk' });
  }

  enrolled(enrolment: Enrolment): Identity {
    return new Identity({ ...this.#stored, enrolment });
  }

  /** Writes it whole or not at all, readable by its owner alone. */
  save(stateDir: string): void {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    const path = join(stateDir, fileName);
    const descriptor = openSync(`${path}.new`, 'w', 0o600);
    try {
      writeSync(descriptor, `${JSON.stringify(this.#stored)}\n`);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(`${path}.new`, path);
  }

  /** The token of one connect, valid for five minutes. `now`: hub time in ms. Only once enrolled. */
  connectToken(now: number): string {
    if (!this.enrolment) throw new Error('not enrolled');
    const { hostId, hub } = this.enrolment;
    const iat = Math.floor(now / 1000);
    const part = (json: object): string => Buffer.from(JSON.stringify(json)).toString('base64url');
    const signed = `${part({ alg: 'EdDSA', typ: 'agent+jwt', kid: hostId })}.${part({
      sub: hostId,
      aud: hub,
      iat,
      exp: iat + tokenLifeS,
      jti: randomBytes(16).toString('base64url'),
    })}`;
    return `${signed}.${sign(null, Buffer.from(signed), this.#key).toString('base64url')}`;
  }
}

/** A UUIDv7 of now; Node before 26 has none of its own. */
export function newBoot(wallMs = Date.now()): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(wallMs, 0, 6);
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
