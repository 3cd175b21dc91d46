/** Seeds of random tests: printed, so that a failure can be repeated with `SEED=…`. */

export function seedFor(what: string): number {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`${what}: SEED=${seed}`);
  return seed;
}
