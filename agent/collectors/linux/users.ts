/** Names users by the numbers that the kernel knows them by. */

import { readFileSync, statSync } from 'node:fs';

/** Reads the local list of users again when it changed; users of a directory service stay numbers. */
export class UserNames {
  readonly #path: string;
  #changedMs = 0;
  #names = new Map<number, string>();

  constructor(path = '/etc/passwd') {
    this.#path = path;
  }

  name(uid: number): string {
    this.#refresh();
    return this.#names.get(uid) ?? String(uid);
  }

  #refresh(): void {
    const changedMs = statSync(this.#path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (changedMs === this.#changedMs) return;
    this.#changedMs = changedMs;
    this.#names = new Map();
    if (changedMs === 0) return;
    for (const line of readFileSync(this.#path, 'utf8').split('\n')) {
      const [name, , uid] = line.split(':');
      // The first line of a number names it.
      if (name && uid && !this.#names.has(Number(uid))) this.#names.set(Number(uid), name);
    }
  }
}
