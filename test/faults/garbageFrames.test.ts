/** R21: frames that break the rules, of every kind and size: the right close code, no memory kept, nobody else notices. */

import { randomBytes } from 'node:crypto';
import { expect, onTestFinished } from 'vitest';
import { hostRoom } from '../../src/protocol/rooms.ts';
import { needs } from '../support/needs.ts';
import { clientFrame, tcp } from '../support/protocol.ts';
import { RawClient } from '../support/rawClient.ts';
import { randomOf, seedFor } from '../support/seed.ts';
import { collect, collectable } from '../support/faults/collect.ts';
import { startRig } from '../support/faults/rig.ts';
import { percentile, printFigures, sized } from '../support/faults/scale.ts';
import { until } from '../support/until.ts';

const rounds = sized(400, 10_000);
const atOnce = 20;
const cap = 64 * 1024;
const mebibyte = 2 ** 20;
const fin = 0x80;
const [continuation, text, binary, close, ping] = [0, 1, 2, 8, 9];

interface Case {
  bytes: Buffer;
  /** Undefined: any that the protocol knows. */
  code?: number;
}

type Random = () => number;
const below = (random: Random, end: number): number => Math.floor(random() * end);
const oneOf = <T>(random: Random, all: readonly T[]): T => all[below(random, all.length)]!;

/** Bytes that are no UTF-8, whatever stands around them. */
const noUtf8 = (random: Random): Buffer =>
  oneOf(random, [Buffer.from([0xff]), Buffer.from([0xc0, 0xaf]), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from([0xf5, 0x80, 0x80, 0x80])]);

/** The kinds of broken frames, each with the close code that RFC 6455 or the protocol gives it. */
const kinds: Record<string, (random: Random) => Case> = {
  oversized: (random) => ({
    bytes: clientFrame(fin | text, '', { length: cap + 1 + below(random, 2 ** (17 + below(random, 20))) }),
    code: 1009,
  }),
  'really sent, up to 1 MiB': (random) => ({
    bytes: clientFrame(fin | text, Buffer.alloc(cap + 1 + below(random, mebibyte), 0x20)),
    code: 1009,
  }),
  'oversized in fragments': (random) => {
    const part = Buffer.alloc(8 * 1024 + below(random, 8 * 1024), 0x20);
    const rest = Array.from({ length: 10 }, () => clientFrame(continuation, part));
    return { bytes: Buffer.concat([clientFrame(text, part), ...rest]), code: 1009 };
  },
  'bad UTF-8': (random) => ({ bytes: clientFrame(fin | text, Buffer.concat([Buffer.from('{"id":1'), noUtf8(random)])), code: 1007 }),
  'bad UTF-8 in fragments': (random) => ({
    bytes: Buffer.concat([clientFrame(text, '{"id":1'), clientFrame(fin | continuation, noUtf8(random))]),
    code: 1007,
  }),
  'reserved bits': (random) => ({ bytes: clientFrame(fin | text | oneOf(random, [0x10, 0x20, 0x40, 0x70]), '{}'), code: 1002 }),
  'reserved opcode': (random) => ({ bytes: clientFrame(fin | oneOf(random, [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]), 'x'), code: 1002 }),
  unmasked: () => ({ bytes: clientFrame(fin | text, '{}', { masked: false }), code: 1002 }),
  'control frame too long': (random) => ({ bytes: clientFrame(fin | ping, Buffer.alloc(126 + below(random, 1_000))), code: 1002 }),
  'control frame in fragments': () => ({ bytes: clientFrame(ping, 'x'), code: 1002 }),
  'continuation of nothing': () => ({ bytes: clientFrame(fin | continuation, 'x'), code: 1002 }),
  'message within a message': () => ({ bytes: Buffer.concat([clientFrame(text, '{'), clientFrame(fin | text, '}')]), code: 1002 }),
  'close with a forbidden code': (random) => {
    const code = oneOf(random, [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535]);
    return { bytes: clientFrame(fin | close, Buffer.from([code >> 8, code & 0xff])), code: 1002 };
  },
  'close of one byte': () => ({ bytes: clientFrame(fin | close, Buffer.from([3])), code: 1002 }),
  'close with bad UTF-8': (random) => ({
    bytes: clientFrame(fin | close, Buffer.concat([Buffer.from([3, 232]), noUtf8(random)])),
    code: 1007,
  }),
  'binary message': (random) => ({ bytes: clientFrame(fin | binary, randomBytes(below(random, 200))), code: 3501 }),
  'text that is no command': (random) => ({
    bytes: clientFrame(
      fin | text,
      oneOf(random, ['', '\n', 'null', '[]', '"x"', '{"id":1}', '{"id":1,"nothing":{}}', '{"id":-1,"connect":{}}', '['.repeat(50_000)]),
    ),
    code: 3501,
  }),
  'noise in a masked frame': (random) => ({ bytes: clientFrame(below(random, 256), randomBytes(below(random, 5_000))) }),
  noise: (random) => ({ bytes: randomBytes(1 + below(random, 20_000)) }),
};
const knownCodes = [1000, 1002, 1005, 1006, 1007, 1009, 3501];

needs('linux').test(
  `${rounds} connections send broken frames: each ends with the right code, and others talk on`,
  async () => {
    const seed = seedFor('garbage');
    const random = randomOf(seed);
    const rig = await startRig(onTestFinished, { environment: { ...collectable, LIMIT_HANDSHAKES: '1000000' } });
    const [agent] = await rig.load(1, { intervalMs: 250 });
    const url = `${rig.hub.url.replace('http', 'ws')}/connection/websocket`;
    const good = await RawClient.connect(url, await rig.token());
    const room = hostRoom(agent!.host()!);
    expect((await good.call('subscribe', { channel: room })).error).toBeUndefined();

    const faults: string[] = [];
    const codes: Record<string, number> = {};
    const roundTripsMs: number[] = [];
    const names = Object.keys(kinds);
    const one = async (round: number): Promise<void> => {
      const kind = names[round % names.length]!;
      const { bytes, code } = kinds[kind]!(random);
      const { socket, closeCode } = await tcp(rig.hub);
      const at = below(random, bytes.length);
      // Half of them arrive in two pieces.
      if (random() < 0.5) socket.write(bytes);
      else {
        socket.write(bytes.subarray(0, at));
        socket.write(bytes.subarray(at));
      }
      // Whatever noise was taken for, an end of writing ends it.
      if (code === undefined) socket.end();
      await until(() => closeCode() !== undefined, `an end of ${kind}`);
      const got = closeCode()!;
      socket.destroy();
      codes[got] = (codes[got] ?? 0) + 1;
      if (code === undefined ? !knownCodes.includes(got) : got !== code)
        faults.push(`${round} ${kind}: ${got}, not ${code ?? knownCodes.join()}`);
    };
    const usedBefore = await collect(rig.hub);
    const memory: number[] = [];
    for (let round = 0; round < rounds; round += atOnce) {
      if (round % (rounds / 10) < atOnce) memory.push(rig.hubMemory());
      const sentMs = performance.now();
      const answered = good.call('presence_stats', { channel: room });
      // oxlint-disable-next-line no-await-in-loop -- so many at once, no more
      await Promise.all(Array.from({ length: atOnce }, (_, n) => one(round + n)));
      // oxlint-disable-next-line no-await-in-loop -- as above
      expect((await answered).error).toBeUndefined();
      roundTripsMs.push(performance.now() - sentMs);
    }
    memory.push(rig.hubMemory());
    const keptMiB = ((await collect(rig.hub)) - usedBefore) / mebibyte;
    const seqs = good.publications(room).map(({ seq }) => seq as number);
    printFigures('R21 broken frames', {
      seed,
      connections: rounds,
      kinds: names.length,
      codes,
      countedTooBig: await rig.metric('hostroom_dropped_total', '{what="message_size"}'),
      memoryMiBByTenths: memory.map((bytes) => Math.round(bytes / mebibyte)),
      keptMiB: Math.round(keptMiB * 10) / 10,
      grownMiB: Math.round((memory.at(-1)! - memory[0]!) / mebibyte),
      othersSamples: seqs.length,
      roundOf20MsMedian: Math.round(percentile(roundTripsMs, 0.5)),
    });
    expect(faults).toEqual([]);
    expect(good.closed).toBeUndefined();
    expect(seqs).toEqual(Array.from({ length: seqs.length }, (_, n) => seqs[0]! + n));
    expect(rig.isUp()).toBe(true);
    expect(keptMiB).toBeLessThan(10);
    // What V8 lets wait for a collection, with the slack of its pages and of malloc.
    expect((memory.at(-1)! - memory[0]!) / mebibyte).toBeLessThan(150);
    await good.close();
    await until(async () => (await rig.metric('hostroom_connections', '{kind="user"}')) === 0, 'nobody is left');
  },
  sized(90_000, 900_000),
);
