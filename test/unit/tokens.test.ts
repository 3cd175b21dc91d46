/** Tokens: what is taken, and the many things that are not. */

import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { expect, test } from 'vitest';
import { createAccessTokens } from '../../src/auth/accessToken.ts';
import { verifyAgentToken } from '../../src/auth/agentToken.ts';
import { createRefreshTokens } from '../../src/auth/refreshToken.ts';
import { deriveKeys } from '../../src/auth/secretKey.ts';
import { newId } from '../../src/lib/id.ts';
import type { PublicKey } from '../../src/protocol/rest.ts';

const hub = newId();
const nowMs = 1_800_000_000_000;
const nowS = nowMs / 1000;
const clock = { now: () => nowMs };
const keys = deriveKeys(new Uint8Array(32).fill(1));
const tokens = createAccessTokens({ keys, hub, clock });
const person = newId();
const session = newId();

const encode = (value: unknown): string => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const signed = (header: unknown, claims: unknown, key: KeyObject = keys.accessPrivate): string => {
  const body = `${encode(header)}.${encode(claims)}`;
  return `${body}.${sign(null, Buffer.from(body), key).toString('base64url')}`;
};
const goodHeader = { alg: 'EdDSA', typ: 'at+jwt' };
const goodClaims = {
  sub: person,
  sid: session,
  iss: `hostroom:${hub}`,
  aud: `hostroom:${hub}:people`,
  jti: newId(),
  iat: nowS,
  exp: nowS + 600,
};
const stranger = generateKeyPairSync('ed25519').privateKey;
const spki = keys.accessPublic.export({ type: 'spki', format: 'pem' }).toString();
const jwk = keys.accessPublic.export({ format: 'jwk' });
const hs256 = (secret: string): string => {
  const body = `${encode({ alg: 'HS256', typ: 'at+jwt' })}.${encode(goodClaims)}`;
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
};
const good = signed(goodHeader, goodClaims);
const [h = '', c = '', s = ''] = good.split('.');

test('an issued token is taken, and says who and which session', async () => {
  const { accessToken, expiresIn } = await tokens.issue(person, session);
  expect(await tokens.verify(accessToken)).toEqual({ person, session, expiresAt: nowMs + expiresIn * 1000 });
  expect(await tokens.verify(good)).toMatchObject({ person, session });
  // Another replica with the same secret.
  const other = createAccessTokens({ keys: deriveKeys(new Uint8Array(32).fill(1)), hub, clock });
  expect(await other.verify(good)).toMatchObject({ person });
});

test.each([
  ['5 s after its end', -600 - 5 + 1, 'taken'],
  ['6 s after its end', -600 - 6, 'expired'],
  ['a day after its end', -86_400, 'expired'],
  ['exactly at its end', -600, 'taken'],
  ['5 s before its beginning', 5, 'taken'],
  ['6 s before its beginning', 6, 'invalid'],
])('a token %s', async (_, shiftS, result) => {
  const verified = await tokens.verify(signed(goodHeader, { ...goodClaims, iat: nowS + shiftS, exp: nowS + shiftS + 600 }));
  expect(typeof verified === 'string' ? verified : 'taken').toBe(result);
});

const refused: [string, string][] = [
  ['empty', ''],
  ['no token', 'abc'],
  ['alg none', `${encode({ alg: 'none', typ: 'at+jwt' })}.${c}.`],
  ['alg None with signature', signed({ ...goodHeader, alg: 'None' }, goodClaims)],
  ['alg nOnE', signed({ ...goodHeader, alg: 'nOnE' }, goodClaims)],
  ['HS256 with the public key as PEM', hs256(spki)],
  ['HS256 with the public key as JWK', hs256(JSON.stringify(jwk))],
  ['ES256 with r = s = 0', `${encode({ alg: 'ES256', typ: 'at+jwt' })}.${c}.${Buffer.alloc(64).toString('base64url')}`],
  ['zero signature', `${h}.${c}.${Buffer.alloc(64).toString('base64url')}`],
  ['alg Ed448', signed({ ...goodHeader, alg: 'Ed448' }, goodClaims)],
  ['alg missing', signed({ typ: 'at+jwt' }, goodClaims)],
  ['a foreign key', signed(goodHeader, goodClaims, stranger)],
  ['typ of agents', signed({ ...goodHeader, typ: 'agent+jwt' }, goodClaims)],
  ['typ JWT', signed({ ...goodHeader, typ: 'JWT' }, goodClaims)],
  ['no typ', signed({ alg: 'EdDSA' }, goodClaims)],
  ['typ in capitals', signed({ ...goodHeader, typ: 'AT+JWT' }, goodClaims)],
  ['wrong issuer', signed(goodHeader, { ...goodClaims, iss: 'https://evil.example' })],
  ['no issuer', signed(goodHeader, { ...goodClaims, iss: undefined })],
  ['wrong audience', signed(goodHeader, { ...goodClaims, aud: hub })],
  ['audience as a list', signed(goodHeader, { ...goodClaims, aud: [goodClaims.aud] })],
  ['audience as a list of many', signed(goodHeader, { ...goodClaims, aud: [goodClaims.aud, 'x'] })],
  ['no exp', signed(goodHeader, { ...goodClaims, exp: undefined })],
  ['exp as text', signed(goodHeader, { ...goodClaims, exp: String(goodClaims.exp) })],
  ['exp 1e999', signed(goodHeader, JSON.stringify(goodClaims).replace(/"exp":\d+/, '"exp":1e999'))],
  ['exp null', signed(goodHeader, { ...goodClaims, exp: null })],
  ['nbf in the future', signed(goodHeader, { ...goodClaims, nbf: nowS + 60 })],
  ['iat in the future', signed(goodHeader, { ...goodClaims, iat: nowS + 60 })],
  ['exp far after iat', signed(goodHeader, { ...goodClaims, exp: nowS + 601 })],
  ['no jti', signed(goodHeader, { ...goodClaims, jti: undefined })],
  ['jti as a number', signed(goodHeader, { ...goodClaims, jti: 7 })],
  ['sub that is no id', signed(goodHeader, { ...goodClaims, sub: "' or 1=1 --" })],
  ['sid missing', signed(goodHeader, { ...goodClaims, sid: undefined })],
  ['kid as a path', signed({ ...goodHeader, kid: '../../dev/null' }, goodClaims)],
  ['kid as SQL', signed({ ...goodHeader, kid: "x' union select 'k" }, goodClaims)],
  ['kid of 4 KB', signed({ ...goodHeader, kid: 'k'.repeat(4096) }, goodClaims)],
  ['embedded jwk', signed({ ...goodHeader, jwk: createPublicKey(stranger).export({ format: 'jwk' }) }, goodClaims, stranger)],
  ['jku', signed({ ...goodHeader, jku: 'https://evil.example/jwks.json' }, goodClaims, stranger)],
  ['x5c', signed({ ...goodHeader, x5c: ['MIIB'] }, goodClaims, stranger)],
  ['x5u', signed({ ...goodHeader, x5u: 'https://evil.example' }, goodClaims)],
  ['crit unknown', signed({ ...goodHeader, crit: ['exp'], exp: 1 }, goodClaims)],
  ['b64 false', signed({ ...goodHeader, b64: false, crit: ['b64'] }, goodClaims)],
  ['zip', signed({ ...goodHeader, zip: 'DEF' }, goodClaims)],
  ['JWE with PBES2', `${encode({ alg: 'PBES2-HS512+A256KW', enc: 'A256GCM', p2c: 1e9, p2s: 'x' })}.AA.AA.AA.AA`],
  ['five parts', `${good}.AA.AA`],
  ['nested token', signed({ ...goodHeader, cty: 'JWT' }, good)],
  ['payload is no object', signed(goodHeader, [goodClaims])],
  ['payload is no JSON', signed(goodHeader, 'hello')],
  ['header is no object', signed([goodHeader], goodClaims)],
  ['header is no JSON', `${encode('{')}.${c}.${s}`],
  ['changed claims', `${h}.${encode({ ...goodClaims, sub: newId() })}.${s}`],
  ['white space before', ` ${good}`],
  ['white space after', `${good}\n`],
  ['padding', `${h}.${c}.${s}==`],
  ['plain base64', good.replaceAll('-', '+').replaceAll('_', '/').replace(/.$/, '+')],
  ['unused bits set', `${h}.${c}.${s.slice(0, -1)}${s.endsWith('A') ? 'B' : s.at(-1) === 'Q' ? 'R' : s.at(-1) === 'g' ? 'h' : 'x'}`],
  ['one megabyte', 'a'.repeat(1_000_000)],
  ['one megabyte in three parts', `${'a'.repeat(500_000)}.${'a'.repeat(500_000)}.${s}`],
  ['a NUL', `${h}.${c}.${s}\0`],
];

test.each(refused)('refused: %s', async (_, token) => {
  expect(await tokens.verify(token)).toBe('invalid');
});

test('refusing costs no time to speak of', async () => {
  const started = process.cpuUsage();
  const rounds = 20;
  for (let i = 0; i < rounds; i++) for (const [, token] of refused) await tokens.verify(token);
  const { user, system } = process.cpuUsage(started);
  // The promise is 5 ms each; a mean, so that a slow machine does not fail by chance.
  expect((user + system) / 1000 / rounds / refused.length).toBeLessThan(5);
});

const agentKey = generateKeyPairSync('ed25519');
const host = newId();
const publicKeyOf = async (id: string): Promise<PublicKey | null> =>
  id === host ? (agentKey.publicKey.export({ format: 'jwk' }) as PublicKey) : null;
const verifyAgent = (token: string) => verifyAgentToken(token, { hub, nowMs, publicKeyOf });
const agentHeader = { alg: 'EdDSA', typ: 'agent+jwt', kid: host };
const agentClaims = { sub: host, aud: hub, iat: nowS, exp: nowS + 300, jti: newId() };

test('an agent signs for itself and nobody else', async () => {
  const by = (header: object, claims: object, key = agentKey.privateKey) => verifyAgent(signed(header, claims, key));
  expect(await by(agentHeader, agentClaims)).toEqual({ host, expiresAt: nowMs + 300_000 });
  expect(await by(agentHeader, { ...agentClaims, iat: nowS - 400, exp: nowS - 100 })).toBe('expired');
  for (const wrong of [
    by(agentHeader, { ...agentClaims, exp: nowS + 301 }),
    by(agentHeader, { ...agentClaims, aud: newId() }),
    by(agentHeader, { ...agentClaims, aud: [hub] }),
    by(agentHeader, { ...agentClaims, sub: newId() }),
    by(agentHeader, { ...agentClaims, jti: undefined }),
    by({ ...agentHeader, kid: newId() }, agentClaims),
    by({ ...agentHeader, kid: newId() }, { ...agentClaims, sub: newId() }),
    by({ ...agentHeader, kid: '../../dev/null' }, agentClaims),
    by({ ...agentHeader, kid: undefined }, agentClaims),
    by({ ...agentHeader, typ: 'at+jwt' }, agentClaims),
    by(agentHeader, agentClaims, stranger),
  ])
    expect(await wrong).toBe('invalid');
  // Neither sort of token passes as the other.
  expect(await verifyAgent(good)).toBe('invalid');
  expect(await tokens.verify(signed(agentHeader, agentClaims, agentKey.privateKey))).toBe('invalid');
});

test('refresh tokens are recognised by their hub alone, and sealed successors open again', () => {
  const refresh = createRefreshTokens(keys);
  const { token, hash } = refresh.make(session);
  expect(refresh.read(token)).toEqual({ session, hash });
  expect(refresh.make(session).token).not.toBe(token);
  expect(refresh.read(`${token.slice(0, -2)}AA`)).toBeUndefined();
  expect(refresh.read('A'.repeat(86))).toBeUndefined();
  expect(refresh.read('')).toBeUndefined();
  expect(createRefreshTokens(deriveKeys(new Uint8Array(32).fill(2))).read(token)).toBeUndefined();
  const sealed = refresh.seal(token, session);
  expect(sealed.includes(token)).toBe(false);
  expect(refresh.unseal(sealed, session)).toBe(token);
  expect(() => refresh.unseal(sealed, newId())).toThrow();
});

test('keys come from the secret alone', () => {
  const again = deriveKeys(new Uint8Array(32).fill(1));
  expect(again.accessPublic.export({ format: 'jwk' })).toEqual(jwk);
  expect(again.refreshSeal).toEqual(keys.refreshSeal);
  expect(again.refreshSeal).not.toEqual(again.refreshMac);
  expect(createPrivateKey({ key: keys.accessPrivate.export({ type: 'pkcs8', format: 'pem' }) }).asymmetricKeyType).toBe('ed25519');
});
