/** Single-key shortcuts, none of them inside inputs or dialogs. */

import { useEffect, useRef } from 'react';

export const shortcuts = [
  ['j', 'next host'],
  ['k', 'previous host'],
  ['l', 'live'],
  ['space', 'pause or go on'],
  ['n', 'new note at the crosshair'],
  ['/', 'find a host'],
  ['?', 'this help'],
  ['Esc', 'let go of the crosshair, close'],
] as const;

const isBusy = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable ||
    ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName) ||
    target.closest('[role="dialog"],[role="menu"]') !== null);

/** @param keys what each `event.key` does; `' '` is left to focused buttons */
export function useKeys(keys: Record<string, () => void>): void {
  const current = useRef(keys);
  current.current = keys;
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isBusy(event.target)) return;
      if (event.key === ' ' && event.target instanceof HTMLElement && event.target.closest('button,a')) return;
      const run = Object.hasOwn(current.current, event.key) ? current.current[event.key] : undefined;
      if (!run) return;
      event.preventDefault();
      run();
    };
    window.addEventListener('keydown', pressed);
    return () => window.removeEventListener('keydown', pressed);
  }, []);
}
