/** The time between a command and the first sample. */

import { IconCircleCheck, IconCircleDashed } from '@tabler/icons-react';
import type { Enrolment } from '../../../src/protocol/rest.ts';
import { clockSeconds } from '../lib/format.ts';
import { Command } from './Command.tsx';

export function Waiting({ enrolment, madeAt, enrolled }: { enrolment: Enrolment; madeAt: number; enrolled: boolean }) {
  return (
    <>
      <Command enrolment={enrolment} />
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
