/** Makes the hub know this agent's key. */

import { arch, platform } from 'node:os';
import { askHub, HubRefusal } from './http.ts';
import { Identity, type Enrolment } from './identity.ts';
import type { Log } from './log.ts';

export interface EnrolParts {
  hubUrl: string;
  enrolmentToken: string | undefined;
  stateDir: string;
  name: string;
  log: Log;
}

/** There is no way to become known to the hub without a person. */
export class EnrolmentRefused extends Error {
  override name = 'EnrolmentRefused';
}

/**
 * The identity to connect with. An identity that stands is kept, unless a token is given that it does not come from: then the
 * agent enrols with a new key, and keeps the old identity where that token is refused. The key is stored before the hub is
 * asked, so that an answer lost on the way is asked for again with the same key.
 */
export async function enrol(parts: EnrolParts, known: Identity | undefined): Promise<Identity> {
  const { enrolmentToken: token, stateDir, log } = parts;
  const stored = known ?? load(stateDir);
  if (stored?.enrolment && (known || token === undefined || stored.belongsTo(token))) return stored;
  if (token === undefined) {
    throw new EnrolmentRefused(
      'This agent is not enrolled. Add the host in the hub and start the agent with the ENROLMENT_TOKEN shown there.',
    );
  }
  const own = stored?.belongsTo(token) ? stored : Identity.create(token);
  // Until the hub agreed, an identity that works is not overwritten.
  if (!stored?.enrolment) save(own, stateDir);
  try {
    const enrolled = own.enrolled(await ask(parts, token, own));
    save(enrolled, stateDir);
    log.info('enrolled', { room: enrolled.enrolment?.room });
    return enrolled;
  } catch (error) {
    const isRefused =
      error instanceof HubRefusal && error.status >= 400 && error.status < 500 && error.status !== 429 && error.status !== 408;
    if (!isRefused) throw error;
    if (stored?.enrolment) {
      log.warn('the hub refused the enrolment token; going on as the host that is already enrolled', { error: error.message });
      return stored;
    }
    throw new EnrolmentRefused(
      `The hub refused the enrolment token (${error.message}). Make a new one in the hub; each works once and for 15 minutes.`,
    );
  }
}

/** A damaged or foreign file needs a person: making a new identity over it would lose the host. */
function load(stateDir: string): Identity | undefined {
  try {
    return Identity.load(stateDir);
  } catch (error) {
    throw new EnrolmentRefused((error as Error).message, { cause: error });
  }
}

function save(identity: Identity, stateDir: string): void {
  try {
    identity.save(stateDir);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    // A full disk may have room again.
    if (code === 'ENOSPC' || code === 'EDQUOT') throw error;
    throw new EnrolmentRefused(`The state folder cannot be written (${message}). Set STATE_DIR to a folder that this user may write.`, {
      cause: error,
    });
  }
}

async function ask({ hubUrl, name }: EnrolParts, token: string, identity: Identity): Promise<Enrolment> {
  const answer = (await askHub(`${hubUrl}/api/v1/agents/enrol`, {
    token,
    publicKey: identity.publicKey,
    name,
    platform: `${platform()}-${arch()}`,
  })) as Partial<Enrolment>;
  const { hostId, room, hub } = answer;
  if (typeof hostId !== 'string' || typeof room !== 'string' || typeof hub !== 'string' || !/^[\w:.-]{1,255}$/.test(room)) {
    throw new Error('the answer to the enrolment is not complete');
  }
  return { hostId, room, hub };
}
