import { expect, test } from 'vitest';
import { sliceOf } from '../../../web/src/components/useSlice.ts';

test('only rows in sight, and room for all others', () => {
  const heights = [35, 30, 30, 30, 35, 30];
  expect(sliceOf(heights, 0, 1000)).toEqual({ first: 0, end: 6, above: 0, below: 0 });
  expect(sliceOf(heights, 66, 100)).toEqual({ first: 2, end: 4, above: 65, below: 65 });
  expect(sliceOf(heights, 5000, 6000)).toEqual({ first: 6, end: 6, above: 190, below: 0 });
  expect(sliceOf([], -300, 900)).toEqual({ first: 0, end: 0, above: 0, below: 0 });
});
