/** Newline-separated JSON, parsed while it arrives. */

/** Calls `take` with the values of each chunk that came in; a broken last line is an error. */
export async function readNdjson<T>(body: ReadableStream<Uint8Array>, take: (values: T[]) => void): Promise<void> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    const lines = (rest + decoder.decode(value, { stream: !done })).split('\n');
    rest = done ? '' : lines.pop()!;
    const values = lines.filter((line) => line.trim() !== '').map((line) => JSON.parse(line) as T);
    if (values.length > 0) take(values);
    if (done) return;
  }
}
