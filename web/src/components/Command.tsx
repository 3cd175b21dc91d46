/** The one line that connects a host, ready to copy. */

import { IconCheck, IconCopy, IconRefresh } from '@tabler/icons-react';
import { useState } from 'react';
import type { Enrolment } from '../../../src/protocol/rest.ts';
import { messageOf } from '../api.ts';
import { useNow } from '../context.ts';
import { toast } from './Toasts.tsx';

const two = (value: number): string => value.toString().padStart(2, '0');

export interface CommandProps {
  enrolment: Enrolment;
  /** Makes another one when this is too old. */
  onRenew: () => Promise<void>;
}

export function Command({ enrolment, onRenew }: CommandProps) {
  const now = useNow(1_000);
  const [copied, setCopied] = useState(false);
  const leftS = Math.max(0, Math.round((enrolment.expiresAt - now) / 1000));
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(enrolment.command);
      setCopied(true);
      setTimeout(() => setCopied(false), 2_000);
    } catch {
      // Without https browsers offer no clipboard.
      toast('The browser does not allow copying here. Select the command and copy it.');
    }
  };
  return (
    <div className="command">
      <div className="command-head">
        Linux
        <span>{leftS > 0 ? `valid for ${Math.floor(leftS / 60)}:${two(leftS % 60)}, one host` : 'expired'}</span>
      </div>
      <div className="command-line">
        <span aria-hidden="true">$</span>
        <code data-command>{enrolment.command}</code>
        {leftS === 0 ? (
          <button
            type="button"
            className="button primary"
            onClick={() => void onRenew().catch((failure: unknown) => toast(messageOf(failure)))}
          >
            <IconRefresh size={14} stroke={1.75} />
            New command
          </button>
        ) : (
          <button type="button" className="button primary" onClick={() => void copy()}>
            {copied ? <IconCheck size={14} stroke={1.75} /> : <IconCopy size={14} stroke={1.75} />}
            {copied ? 'Copied' : 'Copy'}
          </button>
        )}
      </div>
    </div>
  );
}
