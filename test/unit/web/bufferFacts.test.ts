import { expect, test } from 'vitest';
import { bufferFacts } from '../../../web/src/state/bufferFacts.ts';

const nn = '\u202f';

test('in peace the buffer says only how long the agent could be alone', () => {
  expect(bufferFacts({ 'agent.spool': 1, 'agent.spool_bytes': 0, 'agent.spool_age': 0, 'agent.spool_left': 86_400 })).toEqual([
    ['not yet at the hub', 'nothing'],
    ['can be alone for', `1${nn}d`],
  ]);
});

test('while it sends what it kept, and after losses, it says so', () => {
  expect(
    bufferFacts({
      'agent.spool': 600,
      'agent.spool_bytes': 1_048_576,
      'agent.spool_age': 605,
      'agent.spool_left': 3_600,
      'agent.dropped': 1,
    }),
  ).toEqual([
    ['not yet at the hub', `600 samples, 1.0${nn}MiB on disk`],
    ['oldest of them', `10${nn}min 5${nn}s`],
    ['can be alone for', `1${nn}h`],
    ['lost since its start', '1 sample'],
  ]);
});

test('an older agent sends less', () => expect(bufferFacts({ 'agent.cpu': 0.1 })).toEqual([]));
