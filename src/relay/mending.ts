/** Makes room where something else stands under a name of ours in Redis. */

import type { RedisLink } from './redisLink.ts';

/** Does the work; where a key is of another type than ours, all of `keys` are deleted, and the next attempt finds them free. Rejects as `work` does. */
export async function mending<T>({ commands }: Pick<RedisLink, 'commands'>, keys: readonly string[], work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('WRONGTYPE')) await commands.del(...keys);
    throw error;
  }
}
