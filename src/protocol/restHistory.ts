/** The queries and answers of the REST interface about what hosts were doing. */

import Type from 'typebox';
import type { Static } from 'typebox';
import { Time } from './rest.ts';

const strict = { additionalProperties: false } as const;
const Gap = Type.Union([Type.Number(), Type.Null()]);

/** Buckets of a chart where nobody says how many. */
export const usualPoints = 1_000;
/** `metrics`: names and patterns with `*`, separated by commas. `from` inclusive, `to` exclusive; without `to`: until now. */
export const SeriesQuery = Type.Object(
  {
    metrics: Type.String({ minLength: 1, maxLength: 6_000 }),
    from: Time,
    to: Type.Optional(Time),
    points: Type.Optional(Type.Integer({ minimum: 1, maximum: 5_000, default: usualPoints })),
  },
  strict,
);
export type SeriesQuery = Static<typeof SeriesQuery>;
const Column = Type.Array(Gap);
/** Columns as long as `at`. A metric without any value in the range is left out. */
export const Series = Type.Object({
  /** What the buckets were read from; minutes not sealed yet always come from the samples themselves. */
  tier: Type.Union([Type.Literal('raw'), Type.Literal('10s'), Type.Literal('1m'), Type.Literal('1h')]),
  /** Length of a bucket in milliseconds. */
  step: Type.Integer(),
  /** The beginning of each bucket. */
  at: Type.Array(Time),
  /** By metric; null is a bucket without a sample. */
  series: Type.Record(Type.String(), Type.Object({ min: Column, avg: Column, max: Column })),
});
export type Series = Static<typeof Series>;

/** What history takes on disk, the finest tier first. */
export const Storage = Type.Object({
  tiers: Type.Array(
    Type.Object({
      /** `hot`: seconds that are not, or only just, in chunks; `raw`: chunks of every sample; the others: rollups. */
      tier: Type.Union([Type.Literal('hot'), Type.Literal('raw'), Type.Literal('10s'), Type.Literal('1m'), Type.Literal('1h')]),
      /** With indexes. */
      bytes: Type.Integer(),
      /** Milliseconds since 1970 UTC; null where there is nothing. */
      oldest: Type.Union([Type.Number(), Type.Null()]),
      /** Milliseconds for which it is kept, at least; null: until it is in chunks. */
      retention: Type.Union([Type.Number(), Type.Null()]),
    }),
  ),
});
export type Storage = Static<typeof Storage>;

const Kept = Type.Optional(Type.Union([Type.Integer({ minimum: 1 }), Type.Null()]));
/** Milliseconds by tier; null goes back to what is configured. */
export const RetentionChange = Type.Object({ raw: Kept, '10s': Kept, '1m': Kept, '1h': Kept }, strict);
export type RetentionChange = Static<typeof RetentionChange>;
