/** Writes one JSON object per line, in the form of the hub's log, without its weight. */

const levels = { debug: 20, info: 30, warn: 40, error: 50, fatal: 60, silent: 100 } as const;
export type Level = keyof typeof levels;

type Fields = Record<string, string | number | boolean | undefined>;
type Line = (message: string, fields?: Fields) => void;

export interface Log {
  debug: Line;
  info: Line;
  warn: Line;
  error: Line;
  fatal: Line;
}

export const isLevel = (text: string): text is Level => Object.hasOwn(levels, text);

/** `write` takes whole lines. Never hand it a token or a key. */
export function createLog(lowest: Level, write: (line: string) => void = (line) => process.stdout.write(line)): Log {
  const line =
    (level: Exclude<Level, 'silent'>): Line =>
    (message, fields) => {
      if (levels[level] < levels[lowest]) return;
      write(`${JSON.stringify({ level: levels[level], time: Date.now(), name: 'agent', ...fields, msg: message })}\n`);
    };
  return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error'), fatal: line('fatal') };
}
