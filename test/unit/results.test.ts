/** The last line of `npm test` must never look better than the run was. */

import { expect, test } from 'vitest';
import { addResults, countResults } from '../support/results.ts';

const file = (status: string, ...statuses: string[]) => ({
  name: 'a.test.ts',
  status,
  assertionResults: statuses.map((each, index) => ({ status: each, fullName: `test ${index}` })),
});

test('counts by status', () =>
  expect(
    countResults({ testResults: [file('failed', 'passed', 'failed', 'skipped'), file('passed', 'passed', 'pending', 'todo')] }, 1),
  ).toEqual({
    passed: 2,
    failed: 1,
    skipped: ['test 2', 'test 1', 'test 2'],
  }));

test('a file that does not load is a failure', () =>
  expect(countResults({ testResults: [file('failed'), file('passed', 'passed')] }, 1).failed).toBe(1));
test('an error outside of any test is a failure', () =>
  expect(countResults({ testResults: [file('passed', 'passed')] }, 1).failed).toBe(1));
test('no test at all is a failure', () => expect(countResults({ testResults: [] }, 0).failed).toBe(1));
test('adds runs', () =>
  expect(
    addResults([
      { passed: 1, failed: 0, skipped: ['a'] },
      { passed: 2, failed: 3, skipped: ['a'] },
    ]),
  ).toEqual({ passed: 3, failed: 3, skipped: ['a', 'a'] }));
