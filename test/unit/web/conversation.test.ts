import { expect, test } from 'vitest';
import type { Message, TimelineItem } from '../../../src/protocol/kinds.ts';
import { Problem } from '../../../web/src/api.ts';
import { Outbox } from '../../../web/src/state/outbox.ts';
import type { OutboxOptions } from '../../../web/src/state/outbox.ts';
import { filledGaps, Timeline } from '../../../web/src/state/timeline.ts';
import { until } from '../../support/until.ts';

const message = (id: string, at: number, more: Partial<Message> = {}): Message => ({
  kind: 'message',
  id,
  room: 'r',
  author: { id: 'u', name: 'Mara' },
  text: id,
  at,
  createdAt: at,
  ...more,
});

const ids = (timeline: Timeline): string[] => timeline.get().items.map((item) => item.id);

test('stands in the order of the time spoken of, whichever way it came', () => {
  const timeline = new Timeline();
  timeline.add([message('c', 30), message('a', 10)]);
  timeline.add([message('b2', 20), message('b1', 20), message('a', 10)]);
  expect(ids(timeline)).toEqual(['a', 'b1', 'b2', 'c']);
});

test('an edit replaces, an older version does not come back', () => {
  const timeline = new Timeline();
  timeline.add([message('a', 10)]);
  timeline.add([message('a', 10, { text: 'new', editedAt: 50 })]);
  timeline.add([message('a', 10, { text: 'old' })]);
  expect((timeline.get().items[0] as Message).text).toBe('new');
});

test('what came live while the newest page was on its way stays', () => {
  const timeline = new Timeline();
  timeline.add([message('a', 10), message('d', 40)]);
  timeline.replace([message('b', 20), message('c', 30)], 'b');
  expect(ids(timeline)).toEqual(['b', 'c', 'd']);
  expect(timeline.get().older).toBe('b');
});

test('keeps three thousand and can fetch the rest again', () => {
  const timeline = new Timeline();
  timeline.addPage(
    Array.from({ length: 3_200 }, (_, index) => message(`m${String(index).padStart(5, '0')}`, index)),
    null,
  );
  timeline.add([message('n', 5_000)]);
  expect(timeline.get().items).toHaveLength(3_000);
  expect(timeline.get().older).toBe(timeline.get().items[0]!.id);
});

test('knows the ranges that were filled late', () => {
  const gap: TimelineItem = { kind: 'event', id: 'e', room: 'r', what: 'gap_filled', at: 5, until: 9, createdAt: 9, details: {} };
  expect(filledGaps([message('a', 1), gap])).toEqual([{ from: 5, to: 9 }]);
});

function outbox(over: Partial<OutboxOptions> & Pick<OutboxOptions, 'send'>) {
  const kept = new Map<string, string>();
  const timers: (() => void)[] = [];
  const options: OutboxOptions = {
    room: 'r',
    now: () => 1,
    storage: {
      getItem: (key) => kept.get(key) ?? null,
      setItem: (key, value) => void kept.set(key, value),
      removeItem: (key) => void kept.delete(key),
    },
    later: (run) => {
      timers.push(run);
      return () => void timers.splice(timers.indexOf(run), 1);
    },
    ...over,
  };
  return { box: new Outbox(options), kept, timers, options };
}

test('sends in order, keeps until acknowledged', async () => {
  const sent: string[] = [];
  const { box, kept } = outbox({ send: async ({ text }) => void sent.push(text) });
  box.post('one', undefined);
  box.post('two', 5);
  expect(box.get().map((item) => item.text)).toEqual(['one', 'two']);
  expect(kept.size).toBe(1);
  await until(() => box.get().length === 0);
  expect(sent).toEqual(['one', 'two']);
  expect(kept.size).toBe(0);
});

test('without a line it waits and sends again under the same key', async () => {
  const keys: string[] = [];
  let down = true;
  const { box, timers } = outbox({
    send: async ({ key }) => {
      keys.push(key);
      if (down) throw new Problem(0, 'network', 'The hub does not answer.');
    },
  });
  box.post('one', undefined);
  await until(() => timers.length === 1);
  expect(box.get()[0]!.state).toBe('waiting');
  down = false;
  box.wake();
  await until(() => box.get().length === 0);
  expect(keys).toHaveLength(2);
  expect(keys[0]).toBe(keys[1]);
});

test('a refusal stands with its reason; the ones behind it go on; a retry sends it again', async () => {
  const sent: string[] = [];
  let refuse = true;
  const { box } = outbox({
    send: async ({ text }) => {
      if (text === 'bad' && refuse) throw new Problem(403, 'forbidden', 'Your role does not allow this.');
      sent.push(text);
    },
  });
  box.post('bad', undefined);
  box.post('good', undefined);
  await until(() => sent.length === 1);
  await until(() => box.get().length === 1);
  expect(box.get()[0]).toMatchObject({ text: 'bad', state: 'failed', reason: 'Your role does not allow this.' });
  refuse = false;
  box.retry(box.get()[0]!.key);
  await until(() => box.get().length === 0);
  expect(sent).toEqual(['good', 'bad']);
});

test('what was unsent is sent after a reload', async () => {
  const first = outbox({ send: async () => Promise.reject(new Problem(0, 'network', 'away')) });
  first.box.post('kept', 7);
  await until(() => first.timers.length === 1);
  first.box.close();
  const sent: { text: string; at?: number }[] = [];
  const second = new Outbox({ ...first.options, send: async (draft) => void sent.push(draft) });
  await until(() => second.get().length === 0);
  expect(sent).toMatchObject([{ text: 'kept', at: 7 }]);
});

test('has an end: the fifty-first message is not taken', async () => {
  const { box } = outbox({ send: () => new Promise(() => {}) });
  for (let index = 0; index < 50; index += 1) expect(box.post(String(index), undefined)).toBe(true);
  expect(box.post('one too many', undefined)).toBe(false);
});
