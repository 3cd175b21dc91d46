/** Remembers which groups of a list are folded. */

import { useState } from 'react';

export function useCollapsed(list: string): [ReadonlySet<string>, (id: string) => void] {
  const key = `hostroom.collapsed.${list}`;
  const [collapsed, setCollapsed] = useState<ReadonlySet<string>>(
    () => new Set((localStorage.getItem(key) ?? '').split(',').filter(Boolean)),
  );
  const toggle = (id: string): void => {
    const next = new Set(collapsed);
    if (!next.delete(id)) next.add(id);
    localStorage.setItem(key, [...next].join(','));
    setCollapsed(next);
  };
  return [collapsed, toggle];
}
