/** Finds the recording that a benchmark replays, or makes one. */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readRecording } from './replay.ts';
import type { Recording } from './replay.ts';

const recordSeconds = 180;

/** The recording in `file`; where there is none, this machine is recorded for 3 minutes, into `file` if given. */
export function recordingAt(file: string | undefined): Recording {
  if (file !== undefined && existsSync(file)) return readRecording(file);
  const folder = mkdtempSync(join(tmpdir(), 'hostroom-recording-'));
  try {
    const made = file ?? join(folder, 'recording.ndjson.gz');
    console.log(`Recording this machine for ${recordSeconds} s …`);
    const done = spawnSync(process.execPath, [join(import.meta.dirname, 'record.ts'), String(recordSeconds), made], { stdio: 'inherit' });
    if (done.status !== 0) throw new Error('the recording failed');
    return readRecording(made);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
