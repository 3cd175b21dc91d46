/** Short words about things that the page does not show by itself. */

import { IconX } from '@tabler/icons-react';
import { Store, useStore } from '../lib/store.ts';

interface Toast {
  id: number;
  text: string;
}

const shownMs = 5_000;
const maxShown = 3;
const toasts = new Store<readonly Toast[]>([]);
let lastId = 0;

const dismiss = (id: number): void => toasts.update((all) => all.filter((toast) => toast.id !== id));

export function toast(text: string): void {
  const id = ++lastId;
  toasts.update((all) => [...all, { id, text }].slice(-maxShown));
  setTimeout(() => dismiss(id), shownMs);
}

export function Toasts() {
  const all = useStore(toasts);
  return (
    <div className="toasts" role="status" aria-live="polite">
      {all.map(({ id, text }) => (
        <div className="toast" key={id}>
          <span className="grow">{text}</span>
          <button type="button" className="icon-button" aria-label="Dismiss" onClick={() => dismiss(id)}>
            <IconX size={16} stroke={1.75} />
          </button>
        </div>
      ))}
    </div>
  );
}
