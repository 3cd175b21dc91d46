/** The time between a command and the first sample. */

import { IconCircleCheck, IconCircleDashed } from '@tabler/icons-react';
import type { Enrolment } from '../../../src/protocol/rest.ts';
import { clockSeconds } from '../lib/format.ts';
import { Command } from './Command.tsx';

export interface WaitingProps {
  enrolment: Enrolment;
  madeAt: number;
  enrolled: boolean;
  onRenew: () => Promise<void>;
}

export function Waiting({ enrolment, madeAt, enrolled, onRenew }: WaitingProps) {
  return (
    <>
      <Command enrolment={enrolment} onRenew={onRenew} />
      <div className="steps">
        <div className="done">
          <IconCircleCheck size={20} stroke={1.75} />
          <span>
            <b>Token made</b>
            {clockSeconds(madeAt)}
          </span>
        </div>
        <div className={enrolled ? 'done' : 'current'}>
          {enrolled ? <IconCircleCheck size={20} stroke={1.75} /> : <IconCircleDashed size={20} stroke={1.75} />}
          <span>
            <b>Agent enrols</b>
            {enrolled ? 'connected' : 'waiting for the command'}
          </span>
        </div>
        <div className={enrolled ? 'current' : 'todo'}>
          <IconCircleDashed size={20} stroke={1.75} />
          <span>
            <b>First sample</b>
            then 1 per second
          </span>
        </div>
      </div>
      <GhostStrips />
      <details className="help">
        <summary>Nothing arrives?</summary>
        <ul>
          <li>
            The machine must reach the hub: <code>{`curl ${location.origin}/api/v1/time`}</code> on it answers with a time.
          </li>
          <li>A command works once and for 15 minutes; then make a new one.</li>
          <li>
            The agent says what hinders it: <code>journalctl -u hostroom-agent</code>.
          </li>
        </ul>
      </details>
    </>
  );
}

/** Empty strips in the place where the charts will be. */
export function GhostStrips() {
  return (
    <div className="ghost">
      {['CPU', 'Memory', 'Network', 'Disk'].map((title) => (
        <div className="ghost-row" key={title}>
          <span>{title}</span>
          <div />
        </div>
      ))}
      <div className="ghost-wait" role="status">
        <span>
          <i className="pulse" aria-hidden="true" />
          Waiting for the first sample…
        </span>
      </div>
    </div>
  );
}
