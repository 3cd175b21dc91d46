/** Reads a Dockerfile as far as tests compare it with what runs its images. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Stage {
  name: string;
  from: string;
  /** `FROM … AS` to the next one, with those of the stages it builds on before; arguments as one text. */
  instructions: { word: string; rest: string }[];
}

/** The stages by name. */
export function readDockerfile(path = join(import.meta.dirname, '../../../Dockerfile')): Map<string, Stage> {
  const lines = readFileSync(path, 'utf8')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'));
  const stages = new Map<string, Stage>();
  let current: Stage | undefined;
  for (const line of lines) {
    const word = line.slice(0, line.indexOf(' '));
    const rest = line.slice(word.length).trim();
    if (word === 'FROM') {
      const [, from = '', name = ''] = /^(\S+) AS (\S+)$/i.exec(rest) ?? [];
      current = { name, from, instructions: [...(stages.get(from)?.instructions ?? [])] };
      stages.set(name, current);
    } else current?.instructions.push({ word, rest });
  }
  return stages;
}

/** The last value of an instruction such as USER. */
export const lastOf = (stage: Stage, word: string): string | undefined => stage.instructions.findLast((one) => one.word === word)?.rest;

/** Everything that ENV sets. */
export function environmentOf(stage: Stage): Record<string, string> {
  const pairs = stage.instructions
    .filter(({ word }) => word === 'ENV')
    .flatMap(({ rest }) => [...rest.matchAll(/(\w+)=(\S+)/g)])
    .map(([, name = '', value = '']) => [name, value] as const);
  return Object.fromEntries(pairs);
}
