/** The one secret of the hub with the keys derived from it. */

import { createPrivateKey, createPublicKey, hkdfSync, randomBytes } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

export interface Keys {
  /** Ed25519, signs the access tokens of people. */
  accessPrivate: KeyObject;
  accessPublic: KeyObject;
  /** AES-256, hides a refresh token's successor for the grace time. */
  refreshSeal: Buffer;
  /** HMAC-SHA-256, tells genuine refresh tokens from made-up ones. */
  refreshMac: Buffer;
}

/** The same secret always gives the same keys, on every replica. */
export function deriveKeys(secret: Uint8Array): Keys {
  const derive = (purpose: string): Buffer => Buffer.from(hkdfSync('sha256', secret, 'hostroom', purpose, 32));
  const accessPrivate = ed25519(derive('access token v1'));
  return {
    accessPrivate,
    accessPublic: createPublicKey(accessPrivate),
    refreshSeal: derive('refresh seal v1'),
    refreshMac: derive('refresh mac v1'),
  };
}

/** The configured secret, or the one in `<dataDir>/secret.key`, made at the first start and readable by its owner only. */
export async function loadSecret(configured: Uint8Array | undefined, dataDir: string): Promise<Uint8Array> {
  if (configured) return configured;
  const path = join(dataDir, 'secret.key');
  const found = await readIfThere(path);
  if (found) return decode(found, path);
  await mkdir(dataDir, { recursive: true });
  // A file is written whole beside and then linked: of two starts at once one wins and both read the same.
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  const file = await open(draft, 'wx', 0o600);
  try {
    await file.writeFile(`${randomBytes(32).toString('base64')}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  try {
    await link(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(draft, { force: true });
  }
  return decode(await readFile(path, 'utf8'), path);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function decode(text: string, path: string): Uint8Array {
  const secret = Buffer.from(text.trim(), 'base64');
  if (secret.length < 32)
    throw new Error(`${path} holds no key. Restore it from a backup, or remove it: everyone then has to sign in again.`);
  return secret;
}

/** RFC 8410: the fixed beginning of a PKCS #8 Ed25519 key, then the seed. */
const ed25519 = (seed: Buffer): KeyObject =>
  createPrivateKey({ key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]), format: 'der', type: 'pkcs8' });
