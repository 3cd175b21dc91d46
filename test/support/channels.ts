/** Channel names that no other test uses. */

import { randomUUID } from 'node:crypto';

export const newChannelName = (): string => `test:${randomUUID()}`;
