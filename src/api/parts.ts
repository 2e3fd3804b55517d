import type { AgentRegistry } from '../agents/agents.ts';
import type { Clock, Config, Log } from '../base/base.ts';
import type {
  Breakers,
  Budgets,
  Conversations,
  Coordination,
  CoordinationPart,
  DeadLetters,
  PruneReport,
  PruneRequest,
  Schedules,
} from '../coordination/coordination.ts';
import type { Database } from '../database/database.ts';
import type { Identity } from '../identity/identity.ts';
import type { Learning } from '../learning/learning.ts';
import type { EventStreams } from './event-stream.ts';
import type { Guard } from './guard.ts';
import type { Places } from './places.ts';
import type { PublicAddress } from './public-address.ts';

/** What the routes call. */
export interface BridgeParts {
  readonly coordination: Coordination;
  /** Who began runs by messages of a protocol, and what was said to them. */
  readonly conversations: Conversations;
  /** Open runs by status, and what the worker of this process has under way. */
  readonly workStatus: CoordinationPart['status'];
  readonly breakers: Breakers;
  readonly budgets: Budgets;
  readonly schedules: Schedules;
  readonly failures: DeadLetters;
  /** Absent where this process keeps no record of outcomes. */
  readonly learning?: Learning;
  /** Where the learning API of this process is, or why it has none; known once the server has started. */
  readonly learningApi?: () => { readonly url: string } | { readonly reason: string };
  /** Forgets old runs. */
  readonly prune: (request: PruneRequest) => Promise<PruneReport>;
  readonly agents: AgentRegistry;
  readonly database: Database;
  readonly config: Config;
  readonly identity: Identity;
  readonly publicAddress: PublicAddress;
  readonly version: string;
  readonly log: Log;
  readonly clock: Clock;
  readonly startedAt: Date;
}

/** What a route has besides: the state of this server. */
export interface RouteParts extends BridgeParts {
  readonly guard: Guard;
  readonly isReady: () => boolean;
  /** Aborts when the server closes: what waits gives up its place. */
  readonly closing: AbortSignal;
  readonly loginLink: () => string;
  readonly streams: EventStreams;
  /** Long polls and calls by hand that are under way, counted and bounded. */
  readonly longPolls: Places;
  readonly invocations: Places;
}
