/** What the two doors of learning share: who asks, what is asked, and the answer. */
import { AppError } from '../base/base.ts';
import type { Caller } from '../identity/identity.ts';
import type { Learning, Rater, RouteRequest, TaskFacts } from '../learning/learning.ts';
import { candidatesFor, type Wanted } from './learning-candidates.ts';
import type { RecommendationAnswer } from './learning-schemas.ts';
import type { BridgeParts, RouteParts } from './parts.ts';

/** Of a task about which nobody said more than its words. */
const unnamedType = 'task';

/** What is there to be asked; `learning` is absent in a process that has none. */
export type LearningParts = Pick<RouteParts, 'agents' | 'breakers' | 'learning'>;

/** What the door of its own needs. */
export type LearningFaceOptions = Pick<
  BridgeParts,
  | 'agents'
  | 'breakers'
  | 'clock'
  | 'config'
  | 'database'
  | 'identity'
  | 'learning'
  | 'log'
  | 'publicAddress'
  | 'startedAt'
  | 'version'
>;
/** And the state of that door. */
export type LearningFaceParts = LearningFaceOptions & { readonly isReady: () => boolean };

/** Throws `unavailable` in a process without learning. */
export function learningOf({ learning }: Pick<RouteParts, 'learning'>): Learning {
  if (learning !== undefined) return learning;
  throw new AppError('unavailable', 'this process keeps no record of outcomes', {
    remedy: 'Ask a server that was started with `centuria up`.',
  });
}

/**
 * Who speaks of an outcome. A token that an agent acts with for somebody is refused: the agent would
 * judge itself in another name.
 */
export function raterOf(caller: Caller): Rater {
  if (caller.actor === undefined) return { id: caller.access.userId, name: caller.access.username };
  throw new AppError('denied', 'outcomes are judged in person, not by who acts for somebody', {
    remedy: 'Use a credential of your own.',
  });
}

export interface Asked extends Wanted, Pick<RouteRequest, 'mode' | 'partners'> {
  readonly description: string;
  readonly type?: string;
  readonly complexity?: number;
  readonly inputBytes?: number;
  readonly perUsd?: number;
  readonly perMinute?: number;
}

/** Throws as `candidatesFor`, and what learning throws. */
export async function recommend(
  caller: Caller,
  asked: Asked,
  parts: LearningParts,
): Promise<RecommendationAnswer> {
  const { mode, partners, perUsd, perMinute } = asked;
  const learning = learningOf(parts);
  const { candidates, leftOut } = await candidatesFor(caller, asked, parts);
  const worth = { ...defined('perUsd', perUsd), ...defined('perMinute', perMinute) };
  const answer = await learning.recommend({
    task: factsOf(asked),
    candidates,
    ...defined('partners', partners),
    ...defined('mode', mode),
    ...(Object.keys(worth).length === 0 ? {} : { worth }),
  });
  return { ...answer, leftOut };
}

function factsOf({ description, type, complexity, inputBytes }: Asked): TaskFacts {
  return {
    text: description,
    type: type ?? unnamedType,
    ...defined('complexity', complexity),
    ...defined('inputBytes', inputBytes),
  };
}

/** Absent rather than undefined. */
export function defined<Name extends string, Value>(
  name: Name,
  value: Value | undefined,
): { readonly [key in Name]?: Value } {
  return value === undefined ? {} : ({ [name]: value } as { readonly [key in Name]?: Value });
}
