/** The pipeline and the script that deploys: what they name is there, their shell is valid, and the script applies what it says. */

import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { filledIn, type Manifest } from '../support/deployments/manifests.ts';
import { needs } from '../support/needs.ts';
import { findTool } from '../support/tools.ts';

const root = resolve(import.meta.dirname, '../..');
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> };

interface Job {
  stage?: string;
  extends?: string;
  needs?: string[];
  script?: string[];
  before_script?: string[];
  variables?: Record<string, string>;
  environment?: { name: string; on_stop?: string };
  rules?: { when?: string }[];
}
const pipeline = parse(readFileSync(join(root, '.gitlab-ci.yml'), 'utf8'), { merge: true }) as Record<string, Job>;
const stages = pipeline['stages'] as unknown as string[];
const jobs = Object.entries(pipeline).filter(([name]) => !['stages', 'variables', 'default', 'workflow'].includes(name));
const steps = jobs.flatMap(([name, job]) => [...(job.before_script ?? []), ...(job.script ?? [])].map((step) => ({ name, step })));

test('every job stands in a stage and needs only jobs of no later one', () => {
  const stageOf = (name: string): number =>
    stages.indexOf(pipeline[name]?.stage ?? pipeline[pipeline[name]?.extends ?? '']?.stage ?? 'none');
  for (const [name, job] of jobs) {
    expect(stageOf(name), name).toBeGreaterThanOrEqual(0);
    if (job.extends) expect(pipeline, name).toHaveProperty([job.extends]);
    if (job.environment?.on_stop) expect(pipeline, name).toHaveProperty([job.environment.on_stop]);
    for (const needed of job.needs ?? []) expect(stageOf(needed), `${name} needs ${needed}`).toBeLessThanOrEqual(stageOf(name));
    for (const { when } of job.environment ? (job.rules ?? []) : []) expect(when, `${name} is started by hand`).toBe('manual');
  }
});

test('nothing is deployed before packages and images were looked through for known holes', () => {
  const deploying = jobs.filter(([, job]) => (job.stage ?? pipeline[job.extends ?? '']?.stage) === 'deploy');
  expect(deploying.length).toBeGreaterThanOrEqual(4);
  for (const [name, job] of deploying)
    expect(job.needs ?? pipeline[job.extends ?? '']?.needs, name).toEqual(expect.arrayContaining(['packages', 'scan']));
});

test('every step and every script is valid shell', () => {
  for (const { name, step } of steps) {
    const checked = spawnSync('sh', ['-n'], { input: step, encoding: 'utf8' });
    expect(checked.stderr, `${name}: ${step}`).toBe('');
  }
  for (const script of readdirSync(join(root, '.ci'))) {
    expect(spawnSync('sh', ['-n', join(root, '.ci', script)], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
  }
});

test('steps run what a person runs: scripts of package.json, files and overlays that are there', () => {
  for (const { name, step } of steps) {
    for (const [, script = ''] of step.matchAll(/\bnpm run (\w+)/g)) expect(scripts, `${name}: ${step}`).toHaveProperty(script);
    for (const [path] of step.matchAll(/(?<=^|\s)\.ci\/\w+/g)) expect(existsSync(join(root, path)), path).toBe(true);
  }
  for (const [name, { variables }] of jobs)
    if (variables?.['OVERLAY']) expect(existsSync(join(root, 'deployments/kubernetes/overlays', variables['OVERLAY'])), name).toBe(true);
});

/** A checkout with filled-in secrets, and a kubectl that renders for real and writes down what it would have asked the cluster for. */
function deployment(): { deploy: (...args: string[]) => string; asked: () => string[]; applied: () => Manifest[]; folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'hostroom-deploy-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'deployments'));
  cpSync(join(root, '.ci'), join(folder, '.ci'), { recursive: true });
  cpSync(filledIn(onTestFinished), join(folder, 'deployments/kubernetes'), { recursive: true });
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  writeFileSync(
    join(bin, 'kubectl'),
    `#!/bin/sh\n[ "$1" = kustomize ] && exec "${findTool('kubectl')}" "$@"\necho "$@" >>"${folder}/asked"\n[ "$1" = apply ] && cat "$3" >"${folder}/applied"\nexit 0\n`,
  );
  chmodSync(join(bin, 'kubectl'), 0o755);
  return {
    folder,
    deploy(...args) {
      const done = spawnSync(join(folder, '.ci/deploy'), args, {
        encoding: 'utf8',
        env: { ...process.env, PATH: `${bin}${delimiter}${process.env['PATH']}` },
      });
      expect(done.status, done.stderr).toBe(0);
      return done.stdout;
    },
    asked: () => readFileSync(join(folder, 'asked'), 'utf8').trim().split('\n'),
    applied: () => parseAllDocuments(readFileSync(join(folder, 'applied'), 'utf8')).map((document) => document.toJS() as Manifest),
  };
}

const imagesIn = (objects: readonly Manifest[]): string[] =>
  [...JSON.stringify(objects).matchAll(/"image":"([^"]*\/hub:[^"]*)"/g)].map(([, image = '']) => image);

needs('kubectl').test('deploying applies the overlay with the given image, and waits for schema and rollout', () => {
  const { deploy, asked, applied, folder } = deployment();
  const before = readFileSync(join(folder, 'deployments/kubernetes/overlays/production/kustomization.yaml'), 'utf8');
  expect(deploy('production', 'registry.test/hostroom', 'abc123')).toContain('registry.test/hostroom/hub:abc123 in hostroom.');
  expect(asked().map((line) => line.replace(/\/\S+\/all\.yaml/, 'all.yaml'))).toEqual([
    '--namespace hostroom delete job hostroom-migrate --ignore-not-found',
    'apply -f all.yaml',
    '--namespace hostroom wait --for=condition=complete --timeout=900s job/hostroom-migrate',
    '--namespace hostroom rollout status deployment/hostroom --timeout=900s',
  ]);
  // The hubs and the Job that migrates are of one version.
  expect(imagesIn(applied())).toEqual(['registry.test/hostroom/hub:abc123', 'registry.test/hostroom/hub:abc123']);
  expect(readFileSync(join(folder, 'deployments/kubernetes/overlays/production/kustomization.yaml'), 'utf8')).toBe(before);
});

needs('kubectl').test('a review has a namespace of its own', () => {
  const { deploy, applied } = deployment();
  deploy('dev', 'registry.test/hostroom', 'abc123', 'hostroom-review-7');
  const objects = applied();
  expect(objects.find(({ kind }) => kind === 'Namespace')?.metadata.name).toBe('hostroom-review-7');
  const inCluster = ['Namespace', 'ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding'];
  expect(new Set(objects.filter(({ kind }) => !inCluster.includes(kind)).map(({ metadata }) => metadata.namespace))).toEqual(
    new Set(['hostroom-review-7']),
  );
});
