import { createHash } from 'node:crypto';
import type { AgentCard } from '@a2a-js/sdk';
import { canonicalJson, type Clock } from '../../base/base.ts';
import type { AgentDefinition } from '../agents.ts';

/**
 * Cards that led to a good answer, for the next call: a card is another request, and took a third of a
 * short call. One that changes is seen a minute later, or when a call fails that went by it.
 */
export interface KnownCards {
  /** Gives the card that this agent got with these headers, or fetches it. */
  get(
    agent: AgentDefinition,
    headers: Readonly<Record<string, string>>,
    fetchCard: () => Promise<AgentCard>,
  ): Promise<KnownCard>;
}

export interface KnownCard {
  readonly card: AgentCard;
  /** The call was well: the next one may go by it. */
  keep(): void;
  /** The call went wrong. Where that `mayBeOld`, gives the card as it is now, if it is another. */
  forget(mayBeOld: boolean): Promise<AgentCard | undefined>;
}

const keptMs = 60_000;
const mostKept = 1_000;

export function createKnownCards(clock: Clock): KnownCards {
  const known = new Map<string, { readonly card: AgentCard; readonly untilMs: number }>();
  return {
    async get(agent, headers, fetchCard) {
      // Headers may name a tenant, who may see another card; they may be secrets, so their digest is kept.
      const named = canonicalJson({ agent: agent.hash, headers });
      const key = createHash('sha256').update(named).digest('base64url');
      const found = known.get(key);
      const isFresh = found !== undefined && clock.monotonicMs() < found.untilMs;
      const card = isFresh ? found.card : await fetchCard();
      const untilMs = isFresh ? found.untilMs : clock.monotonicMs() + keptMs;
      return {
        card,
        keep() {
          if (known.size >= mostKept) known.clear();
          known.set(key, { card, untilMs });
        },
        async forget(mayBeOld) {
          known.delete(key);
          if (!isFresh || !mayBeOld) return undefined;
          const now = await fetchCard().catch(() => undefined);
          return canonicalJson(now ?? card) === canonicalJson(card) ? undefined : now;
        },
      };
    },
  };
}
