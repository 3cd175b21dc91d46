/** Events in words. */

import type { Event, LateWhy, LossWhy, TimelineItem } from '../../../src/protocol/kinds.ts';
import { clockSeconds, duration, nn } from '../lib/format.ts';

const lateWords: Record<LateWhy, string> = {
  connection: 'no connection to the hub',
  hub: 'the hub could not store',
  restart: 'the agent was restarted',
};
const lossWords: Record<LossWhy, string> = {
  space: 'the agent’s buffer was full',
  age: 'too old for the agent’s buffer',
  disk_full: 'the agent’s disk was full',
  disk_failed: 'the agent’s disk failed',
  damaged: 'damaged on the agent’s disk',
  memory: 'the agent had only memory to keep them',
  expired: 'older than the hub keeps samples',
};

/** Reasons come as a comma list; those a newer hub may know are left out. */
const listed = (words: Readonly<Record<string, string>>, list: unknown): string =>
  String(list ?? '')
    .split(',')
    .flatMap((one) => words[one] ?? [])
    .join(', ');

const samplesOf = (count: number): string => `${count} ${count === 1 ? 'sample' : 'samples'}`;
/** Up to two minutes in seconds; a range of one sample is a second long. */
const lengthOf = (ms: number): string => (ms < 119_500 ? `${Math.max(1, Math.round(ms / 1000) + 1)}${nn}s` : duration(ms));

function gapWords({ at, until = at, details }: Event): [title: string, rest: string] {
  if (details['samples'] === 0) return ['Samples lost', lengthOf(until - at)];
  return ['Gap filled', `${lengthOf(until - at)} from the agent’s buffer`];
}

/** From when to when, why, how many came late or are lost; empty for events that say it all in their title. */
export function noteOf({ what, at, until = at, details }: Event): string[] {
  if (what !== 'gap_filled') return [];
  const late = Number(details['samples'] ?? 0);
  const lost = Number(details['lost'] ?? 0);
  const why = listed(lateWords, details['why']);
  const lostWhy = listed(lossWords, details['lostWhy']);
  const first = [`${clockSeconds(at)} – ${clockSeconds(until)}`, late > 0 ? samplesOf(late) : '', why].filter(Boolean).join(' · ');
  if (lost === 0) return [first];
  const [from, to] = [Number(details['lostFrom'] ?? at), Number(details['lostUntil'] ?? until)];
  const range = late > 0 && (from !== at || to !== until) ? ` (${clockSeconds(from)} – ${clockSeconds(to)})` : '';
  return [first, [`${samplesOf(lost)} lost${range}`, lostWhy].filter(Boolean).join(': ')];
}

/** The strong part with what follows it. */
export function wordsOf(event: Event): [title: string, rest: string] {
  const text = (name: string): string => String(event.details[name] ?? '');
  switch (event.what) {
    case 'agent_joined':
      return ['Agent connected', ''];
    case 'agent_left':
      return ['Agent disconnected', ''];
    case 'host_booted':
      return ['Host booted', ''];
    case 'gap_filled':
      return gapWords(event);
    case 'identity_shared':
      return ['Two agents share one identity', 'remove the copied key from one of them'];
    case 'host_added':
      return ['Host added', ''];
    case 'host_renamed':
      return ['Host renamed', `from ${text('from')} to ${text('to')}`];
    default:
      // A newer hub may know more events than this page.
      return [String(event.what).replaceAll('_', ' '), ''];
  }
}

export const titleOf = (item: TimelineItem): string =>
  item.kind === 'message' ? `${item.author?.name ?? 'Someone'}: ${item.text.slice(0, 80)}` : wordsOf(item).filter(Boolean).join(' ');
