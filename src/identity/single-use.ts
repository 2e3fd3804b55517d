import { createHash, randomBytes } from 'node:crypto';
import { AppError, type Clock } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import type { Sealer } from './seal.ts';
import type { Challenge } from './passkeys.ts';
import { claimNonce } from './queries.ts';

/** Challenges that this deployment gave out and takes back once, whichever process is asked. */
export interface SingleUse {
  /** `asked` is what the other side signs; `challenge` brings it back with its purpose and end, sealed. */
  issue(purpose: string, forMs: number): { asked: Challenge; challenge: string };
  /** What was asked. Throws `unauthenticated` when it is not ours, over, for another purpose, or was used. */
  redeem(purpose: string, challenge: string): Promise<Challenge>;
}

export function createSingleUse(database: Database, sealer: Sealer, clock: Clock): SingleUse {
  return {
    issue(purpose, forMs) {
      const value = randomBytes(32).toString('base64url');
      const asked: Challenge = { value, expiresAtMs: clock.nowMs() + forMs };
      const sealed = sealer.seal(Buffer.from(JSON.stringify(asked)), context(purpose));
      return { asked, challenge: Buffer.from(sealed).toString('base64url') };
    },

    async redeem(purpose, challenge) {
      const asked = open(sealer, purpose, challenge);
      const leftMs = asked.expiresAtMs - clock.nowMs();
      if (leftMs <= 0) throw refused();
      const hash = createHash('sha256').update(asked.value).digest();
      const [claimed] = await database.query(claimNonce(hash, leftMs));
      if (claimed === undefined) throw refused();
      return asked;
    },
  };
}

function context(purpose: string): string {
  return `single use: ${purpose}`;
}

/** What was sealed was made here, so its shape is known. */
function open(sealer: Sealer, purpose: string, challenge: string): Challenge {
  try {
    const plain = sealer.open(Buffer.from(challenge, 'base64url'), context(purpose));
    return JSON.parse(Buffer.from(plain).toString()) as Challenge;
  } catch {
    throw refused();
  }
}

function refused(): AppError {
  return new AppError('unauthenticated', 'the challenge is not of here, over, or was used', {
    remedy: 'Begin again.',
  });
}
