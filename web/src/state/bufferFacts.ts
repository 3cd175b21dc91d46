/** What an agent's buffer tells, in words. */

import { binary, duration } from '../lib/format.ts';

export type Fact = [term: string, text: string];

/** Up to so many wait for their reply all the time. */
export const usuallyWaiting = 2;

const samplesOf = (count: number): string => `${count} ${count === 1 ? 'sample' : 'samples'}`;

/** @param metrics the newest of the host; figures that its agent does not send are left out */
export function bufferFacts(metrics: Readonly<Record<string, number>>): Fact[] {
  const {
    'agent.spool': waiting,
    'agent.spool_bytes': bytes = 0,
    'agent.spool_age': ageS,
    'agent.spool_left': leftS,
    'agent.dropped': dropped = 0,
  } = metrics;
  const facts: Fact[] = [];
  if (waiting !== undefined) {
    const onDisk = bytes > 0 ? `, ${binary(bytes)} on disk` : '';
    facts.push(['not yet at the hub', waiting <= usuallyWaiting ? 'nothing' : samplesOf(waiting) + onDisk]);
    if (waiting > usuallyWaiting && ageS !== undefined) facts.push(['oldest of them', duration(ageS * 1000)]);
  }
  if (leftS !== undefined) facts.push(['can be alone for', duration(leftS * 1000)]);
  if (dropped > 0) facts.push(['lost since its start', samplesOf(dropped)]);
  return facts;
}
