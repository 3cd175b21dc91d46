/** Renders the Kubernetes overlays as `kubectl apply -k` would, with secrets filled in. */

import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { findTool } from '../tools.ts';

export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
  [field: string]: unknown;
}

export const folder = join(import.meta.dirname, '../../../deployments/kubernetes');

/** What a person puts behind an empty `NAME=` of an example. */
const filled: Record<string, string> = {
  SECRET_KEY: Buffer.alloc(32, 7).toString('base64'),
  OWNER_PASSWORD: 'OWNER_PASSWORD',
  HUB_PASSWORD: 'HUB_PASSWORD',
  REDIS_PASSWORD: 'REDIS_PASSWORD',
  ENROLMENT_TOKEN: 'token-of-a-group',
};

/** A copy of the manifests whose `*.env.example` were made `*.env`; removed by `whenDone`. */
export function filledIn(whenDone: (close: () => void) => void): string {
  const copy = mkdtempSync(join(tmpdir(), 'hostroom-manifests-'));
  whenDone(() => rmSync(copy, { recursive: true, force: true }));
  cpSync(folder, copy, { recursive: true, filter: (path) => !path.endsWith('secret.env') });
  for (const path of readdirSync(copy, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.env.example'))) {
    const text = readFileSync(join(copy, path), 'utf8').replace(/^(\w+)=$/gm, (line, name: string) => line + (filled[name] ?? ''));
    writeFileSync(join(copy, path.replace(/\.example$/, '')), text);
  }
  return copy;
}

/** The objects of one overlay, such as `overlays/dev`; throws with what kubectl says. */
export function render(copy: string, overlay: string): Manifest[] {
  const done = spawnSync(findTool('kubectl') ?? 'kubectl', ['kustomize', join(copy, overlay)], { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`kubectl kustomize ${overlay}: ${done.stderr}`);
  return parseAllDocuments(done.stdout).map((document) => {
    if (document.errors.length > 0) throw new Error(`${overlay}: ${String(document.errors[0])}`);
    return document.toJS() as Manifest;
  });
}
