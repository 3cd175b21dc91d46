/** Records what an agent on this machine publishes: `node bench/storage/record.ts <seconds> <file>`, gzipped JSON lines. */

import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { HubClock } from '../../agent/clock.ts';
import { platformCollectors } from '../../agent/collectors/platform.ts';
import { SelfCollector } from '../../agent/collectors/self.ts';
import { newBoot } from '../../agent/identity.ts';
import { createLog } from '../../agent/log.ts';
import { Sampler } from '../../agent/sampler.ts';
import { every } from '../../agent/schedule.ts';

const [seconds, file] = [Number(process.argv[2] ?? 300), process.argv[3] ?? 'recording.ndjson.gz'];
const log = createLog('warn', (line) => process.stderr.write(line));
const clock = new HubClock();
clock.sync(Date.now(), performance.now(), performance.now());
const { collectors, scanProcesses } = await platformCollectors(log);
const idle = { spool: 0, spoolBytes: 0, spoolAgeMs: 0, spoolLeftMs: 86_400_000, dropped: 0, sentBytes: 0 };
const self = new SelfCollector(() => idle);
const sampler = new Sampler({ boot: newBoot(), intervalMs: 1_000, clock, collectors: [...collectors, self], scanProcesses, log });

const lines: string[] = [];
let left = seconds;
const schedule = every(1_000, (nowMs) => {
  for (const { kind, boot, seq, at, body } of sampler.takeSample(nowMs)) {
    lines.push(`{"kind":"${kind}","at":${at},"seq":${seq},"boot":"${boot}",${body}}`);
  }
  if (--left > 0) return;
  schedule.stop();
  for (const collector of collectors) collector.close();
  writeFileSync(file, gzipSync(`${lines.join('\n')}\n`));
});
