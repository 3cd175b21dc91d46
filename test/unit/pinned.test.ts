/** The way onto the pinned Node, where npm lost its link. */

import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

/** A project whose pinned Node has the given version, and is a script that tells how it was called. */
function project(version: string): string {
  const root = mkdtempSync(join(tmpdir(), 'hostroom pinned-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const folder = join(root, 'node_modules', `node-${process.platform}-${process.arch}`);
  for (const each of [join(folder, 'bin'), join(root, 'src'), join(root, 'node_modules', '.bin')]) mkdirSync(each, { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ version }));
  writeFileSync(join(folder, 'bin', 'node'), '#!/bin/sh\necho "pinned: $*"\nexit 7\n', { mode: 0o755 });
  writeFileSync(join(root, 'src', 'program.mjs'), 'console.log("here:", process.argv.slice(1).join(" "));');
  copyFileSync(resolve(import.meta.dirname, '../../src/pinned.mjs'), join(root, 'src', 'pinned.mjs'));
  return root;
}

function start(root: string): { status: number | null; stdout: string } {
  const args = ['--max-semi-space-size=8', 'src/pinned.mjs', 'src/program.mjs', '--one', 'two'];
  return spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
}

test('another Node hands over to the pinned one, with its flags, and makes the link', () => {
  const root = project('99.0.0');
  const { status, stdout } = start(root);
  expect(stdout).toBe(`pinned: --max-semi-space-size=8 ${join(root, 'src', 'program.mjs')} --one two\n`);
  expect(status).toBe(7);
  expect(existsSync(join(root, 'node_modules', '.bin', 'node'))).toBe(true);
});

test('the pinned Node runs the program itself', () => {
  const root = project(process.versions.node);
  expect(start(root)).toMatchObject({ status: 0, stdout: 'here: src/program.mjs --one two\n' });
});
