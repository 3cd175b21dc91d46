/** `node src/pinned.mjs test/previous/pack.ts release <commit>`: keeps the sources of an earlier version, which the tests run beside the present one. */

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';

const root = resolve(import.meta.dirname, '../..');
const [name, commit] = process.argv.slice(2);
if ((name !== 'release' && name !== 'schema') || !commit) {
  process.stderr.write('Usage: node src/pinned.mjs test/previous/pack.ts release|schema <commit>\n');
  process.exit(2);
}
/** What hub and agent are run from. */
const parts = ['package.json', 'src', 'agent', 'migrations'];
// git writes the commit's id into the archive's head.
const tar = execFileSync('git', ['archive', '--format=tar', commit, ...parts], { cwd: root, maxBuffer: 256 * 1024 * 1024 });
const file = join(root, 'test/previous', `${name}.tgz`);
const packed = gzipSync(tar, { level: 9 });
writeFileSync(file, packed);
process.stdout.write(`${file}: ${packed.length} bytes\n`);
