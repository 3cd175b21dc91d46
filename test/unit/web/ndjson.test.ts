import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readNdjson } from '../../../web/src/lib/ndjson.ts';

const streamOf = (chunks: Uint8Array[]): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });

test('reads the same values however the bytes are cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ text: fc.string({ unit: 'grapheme' }) }), { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      async (values, cuts) => {
        const bytes = new TextEncoder().encode(values.map((value) => `${JSON.stringify(value)}\n`).join(''));
        const chunks: Uint8Array[] = [];
        for (let from = 0, turn = 0; from < bytes.length; turn += 1) {
          chunks.push(bytes.subarray(from, from + cuts[turn % cuts.length]!));
          from += cuts[turn % cuts.length]!;
        }
        const read: unknown[] = [];
        await readNdjson(streamOf(chunks), (more) => read.push(...more));
        expect(read).toEqual(values);
      },
    ),
  );
});

test('a last line without its newline counts, a broken one is an error', async () => {
  const read: unknown[] = [];
  await readNdjson(streamOf([new TextEncoder().encode('{"a":1}\n\n{"a":2}')]), (more) => read.push(...more));
  expect(read).toEqual([{ a: 1 }, { a: 2 }]);
  await expect(readNdjson(streamOf([new TextEncoder().encode('{"a":1}\n{"a":')]), () => {})).rejects.toThrow(SyntaxError);
});
