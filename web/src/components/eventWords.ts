/** Events in words. */

import type { Event, TimelineItem } from '../../../src/protocol/kinds.ts';
import { duration } from '../lib/format.ts';

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
      return ['Gap filled', event.until === undefined ? '' : `${duration(event.until - event.at)} from the agent’s buffer`];
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
