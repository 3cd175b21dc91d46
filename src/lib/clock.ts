/** Tells hub time: milliseconds since 1970 UTC by PostgreSQL's clock. */
export interface Clock {
  now(): number;
}

/** This machine's own clock, for programs without a database. */
export const systemClock: Clock = { now: () => Date.now() };
