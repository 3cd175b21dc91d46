/** The field that narrows a list of hosts down by name. */

import { IconSearch } from '@tabler/icons-react';

export interface FindProps {
  /** `/` goes to the page's field where there is one, otherwise to the rail's. */
  place: 'page' | 'rail';
  label: string;
  value: string;
  onChange: (value: string) => void;
}

export function Find({ place, label, value, onChange }: FindProps) {
  return (
    <label className="find">
      <IconSearch size={15} stroke={1.75} />
      <input
        data-find={place}
        aria-label={label}
        placeholder={label}
        value={value}
        onChange={(event) => onChange(event.target.value)}
        onKeyDown={(event) => {
          if (event.key !== 'Escape') return;
          onChange('');
          event.currentTarget.blur();
        }}
      />
      <kbd>/</kbd>
    </label>
  );
}

/** Whether a host's name has what was typed. */
export const fits = (name: string, typed: string): boolean => name.toLowerCase().includes(typed.trim().toLowerCase());
