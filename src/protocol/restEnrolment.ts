/** Shapes of the tokens by which many hosts of a group enrol. */

import Type, { type Static } from 'typebox';
import { Id, Time } from './rest.ts';

const strict = { additionalProperties: false };

/** `expiresAt`: ms since 1970 UTC, at most a year ahead. */
export const NewGroupToken = Type.Object({ uses: Type.Integer({ minimum: 1, maximum: 100_000 }), expiresAt: Time }, strict);
export type NewGroupToken = Static<typeof NewGroupToken>;

/** What is shown once: only a hash of the token is stored. */
export const MadeGroupToken = Type.Object({
  id: Type.String(),
  token: Type.String(),
  uses: Type.Integer(),
  expiresAt: Time,
  /** One line to paste into a root shell of a host. */
  command: Type.String(),
});
export type MadeGroupToken = Static<typeof MadeGroupToken>;

export const GroupToken = Type.Object({
  id: Type.String(),
  usesLeft: Type.Integer(),
  expiresAt: Time,
  createdBy: Type.Union([Id, Type.Null()]),
});
export type GroupToken = Static<typeof GroupToken>;
export const GroupTokens = Type.Object({ items: Type.Array(GroupToken), next: Type.Null() });

/** `tokenId`: the token's hash as hex. */
export const GroupTokenParams = Type.Object({ id: Id, tokenId: Type.String({ pattern: '^[0-9a-f]{64}$' }) }, strict);
