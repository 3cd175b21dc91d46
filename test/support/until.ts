/** Resolves once `holds` is truthy, with its value; looks again every 10 ms and gives up with `what` after `withinMs`. */
export async function until<T>(
  holds: () => T | Promise<T>,
  what = String(holds),
  withinMs = 15_000,
): Promise<Exclude<T, false | null | undefined>> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const value = await holds();
    if (value) return value as Exclude<T, false | null | undefined>;
    if (performance.now() > deadline) throw new Error(`did not come true within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
