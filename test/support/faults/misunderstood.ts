/** What replicas could not make sense of in each other's words, by their own count. */

const kinds = ['relay_record', 'notice', 'replica_row', 'presence_entry'];

/** By what it was, without what is 0; {} too where the hub does not answer, as one that has just ended. */
export async function misunderstoodBy(opsUrl: string): Promise<Record<string, number>> {
  const metrics = await readMetrics(opsUrl);
  const counts = kinds.map((kind): [string, number] => [kind, metrics(`hostroom_dropped_total{what="${kind}"}`)]);
  return Object.fromEntries(counts.filter(([, count]) => count > 0));
}

/** The value of a series now by its name with its labels; 0 where it is not there. */
export async function readMetrics(opsUrl: string): Promise<(series: string) => number> {
  const text = await fetch(`${opsUrl}/metrics`).then(
    (answer) => answer.text(),
    () => '',
  );
  const lines = text.split('\n');
  return (series) =>
    Number(
      lines
        .find((line) => line.startsWith(`${series} `))
        ?.split(' ')
        .at(-1) ?? 0,
    );
}
