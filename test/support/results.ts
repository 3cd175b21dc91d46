/** Counts what Vitest's JSON report says, so that several runs end in one line. */

import { readFileSync } from 'node:fs';

export interface Results {
  passed: number;
  failed: number;
  /** Full names, with the reason that `needs` put there. */
  skipped: string[];
}

interface Report {
  testResults: {
    name: string;
    status: string;
    assertionResults: { status: string; fullName: string }[];
  }[];
}

/**
 * Counts the tests of one run. A file that could not be loaded counts as one failure, so does a run that ended with `exitCode`
 * without a failed test (an error outside of any test) or without any test.
 */
export function countResults(report: Report, exitCode: number): Results {
  const tests = report.testResults.flatMap((file) => file.assertionResults);
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed'),
  );
  const failed = tests.filter(({ status }) => status === 'failed').length + broken.length;
  const passed = tests.filter(({ status }) => status === 'passed').length;
  const skipped = tests.filter(({ status }) => status !== 'passed' && status !== 'failed').map(({ fullName }) => fullName.trim());
  const unexplained = failed === 0 && (exitCode !== 0 || tests.length === 0);
  return { passed, failed: unexplained ? 1 : failed, skipped };
}

/** The same from the report's file; a run that wrote none counts as one failure. */
export function readResults(file: string, exitCode: number): Results {
  try {
    return countResults(JSON.parse(readFileSync(file, 'utf8')) as Report, exitCode);
  } catch (error) {
    console.error(`The test run left no report: ${String(error)}`);
    return { passed: 0, failed: 1, skipped: [] };
  }
}

export function addResults(all: readonly Results[]): Results {
  return {
    passed: all.reduce((sum, { passed }) => sum + passed, 0),
    failed: all.reduce((sum, { failed }) => sum + failed, 0),
    skipped: all.flatMap(({ skipped }) => skipped),
  };
}
