/** Choices: the text is embedded, its neighbours are found, the model weighs, a number decides. */
import { AppError, type Clock } from '../../base/base.ts';
import type {
  Embedder,
  Neighbour,
  Neighbourhood,
  Recommendation,
  RouteDecision,
  RouteMode,
  RouteRequest,
} from '../types.ts';
import { candidateText } from '../embedding/candidate-text.ts';
import { factorsOf, nearTasks, wouldChange } from './explain.ts';
import type { RouterModel, View } from './model.ts';
import { drawn } from './propensities.ts';

/** Neighbours that are asked for: beyond some thirty the next ones are too far to say anything. */
export const neighboursAsked = 32;
const mostProspects = 6;
const mostProfiles = 10_000;
/** A server gives a vector within a second; a run, and who asks for a recommendation, waits no longer for one. */
const embeddingMs = 10_000;
/**
 * By so much more cosine than the middle one, a definition's words say something of the task. Of eighty
 * definitions the nearest to a text without any meaning is up to 0.26 nearer, to a real task 0.4 to 0.7.
 */
const leastLean = 0.3;

export interface RouterOptions {
  readonly embedder: Embedder;
  readonly neighbourhood: Neighbourhood;
  readonly model: () => RouterModel;
  readonly mode: () => RouteMode;
  readonly clock: Clock;
}

interface Weighed {
  readonly views: readonly View[];
  readonly near: readonly Neighbour[];
  readonly mode: RouteMode;
  readonly model: RouterModel;
}

/** Chooses agents; what it has learned is the model's. */
export class Router {
  readonly #options: RouterOptions;
  /** Vectors of the definitions' words, by hash: they outlive a model that is replaced. */
  readonly #profiles = new Map<string, Float32Array>();
  readonly #timings = { count: 0, sumMs: 0, sinceMs: 0, last: { perSecond: 0, averageMs: 0 } };

  constructor(options: RouterOptions) {
    this.#options = options;
    this.#timings.sinceMs = options.clock.monotonicMs();
  }

  async choose(request: RouteRequest): Promise<RouteDecision> {
    const { draw } = request;
    if (!(draw >= 0 && draw < 1)) {
      throw new AppError('invalid_input', `draw must be from 0 up to 1, got ${draw}`);
    }
    const weighed = await this.#weigh(request);
    const chosen =
      weighed.views[
        drawn(
          weighed.views.map(({ prospect }) => prospect.propensity),
          draw,
        )
      ];
    if (chosen === undefined) throw new AppError('internal', 'no candidate was drawn');
    return this.#decision(weighed, chosen);
  }

  async recommend(request: Omit<RouteRequest, 'draw'>): Promise<Recommendation> {
    const weighed = await this.#weigh({ ...request, mode: request.mode ?? 'exploitation' });
    const [first, second] = weighed.views;
    if (first === undefined) throw new AppError('internal', 'no candidate was weighed');
    const { model } = weighed;
    return {
      ...this.#decision(weighed, first),
      factors: factorsOf(first, second),
      neighbours: nearTasks(weighed.near),
      wouldChange: wouldChange(first, second, {
        policy: model.policy,
        success: (view) => model.success(view),
        worth: { ...model.policy.worth, ...request.worth },
      }),
    };
  }

  /** Choices of the last full minute of this process. */
  get load(): { readonly perSecond: number; readonly averageMs?: number } {
    this.#note(undefined);
    const { perSecond, averageMs } = this.#timings.last;
    return perSecond === 0 ? { perSecond } : { perSecond, averageMs };
  }

  async #weigh(request: Omit<RouteRequest, 'draw'>): Promise<Weighed> {
    const { task, candidates, partners, worth } = request;
    const { embedder, neighbourhood, clock } = this.#options;
    checkRequest(request);
    const model = this.#options.model();
    const mode = request.mode ?? this.#options.mode();
    const unknown = candidates.filter(({ hash }) => !this.#profiles.has(hash));
    const texts = [task.text, ...unknown.map(candidateText)];
    const [vector, ...profiles] = await embedded(embedder, texts, request.signal);
    if (vector === undefined) throw new AppError('internal', 'the embedder gave no vector');
    if (this.#profiles.size > mostProfiles) this.#profiles.clear();
    for (const [index, candidate] of unknown.entries()) {
      const profile = profiles[index];
      if (profile !== undefined) this.#profiles.set(candidate.hash, profile);
    }
    for (const candidate of candidates) {
      const profile = this.#profiles.get(candidate.hash);
      if (profile !== undefined && !model.knows(candidate)) model.introduce(candidate, profile);
    }
    const beganMs = clock.monotonicMs();
    const near = await neighbourhood.near(vector, neighboursAsked);
    const views = model.views(task, vector, near, candidates, {
      mode,
      ...(worth === undefined ? {} : { worth }),
      ...(partners === undefined ? {} : { partners }),
    });
    this.#note(clock.monotonicMs() - beganMs);
    return { views, near, mode, model };
  }

  #decision({ views, mode, model }: Weighed, chosen: View): RouteDecision {
    const { prospect } = chosen;
    const others = views.filter((view) => view !== chosen).map((view) => view.prospect);
    return {
      agent: prospect.agent,
      policy: model.policy.name,
      mode,
      propensity: prospect.propensity,
      success: prospect.success,
      confidence: prospect.success.low,
      basis: basisOf(chosen),
      expected: prospect.expected,
      candidates: views.map(({ candidate }) => candidate.name).toSorted(),
      prospects: [prospect, ...others].slice(0, mostProspects),
    };
  }

  #note(ms: number | undefined): void {
    const timings = this.#timings;
    const elapsedMs = this.#options.clock.monotonicMs() - timings.sinceMs;
    if (elapsedMs >= 60_000) {
      const { count, sumMs } = timings;
      timings.last = {
        perSecond: count / (elapsedMs / 1_000),
        averageMs: count === 0 ? 0 : sumMs / count,
      };
      timings.count = 0;
      timings.sumMs = 0;
      timings.sinceMs += elapsedMs;
    }
    if (ms === undefined) return;
    timings.count += 1;
    timings.sumMs += ms;
  }
}

/** Throws what aborted the signal, `timeout` after ten seconds, and what the embedder throws. */
async function embedded(
  embedder: Embedder,
  texts: readonly string[],
  signal?: AbortSignal,
): Promise<readonly Float32Array[]> {
  const limit = AbortSignal.timeout(embeddingMs);
  try {
    return await embedder.embed(
      texts,
      signal === undefined ? limit : AbortSignal.any([limit, signal]),
    );
  } catch (thrown) {
    signal?.throwIfAborted();
    if (!limit.aborted) throw thrown;
    throw new AppError(
      'timeout',
      `the embedder ${embedder.name} gave no vector within ${embeddingMs} ms`,
      {
        cause: thrown,
        remedy:
          'See that its server answers, or take CENTURIA_LEARNING_EMBEDDER=offline, which needs none.',
      },
    );
  }
}

function basisOf({ rates, lean }: View): RouteDecision['basis'] {
  if (rates.triedType + rates.triedSame >= 1) return 'outcomes';
  return lean >= leastLean ? 'definitions' : 'nothing';
}

function checkRequest({ task, candidates }: Omit<RouteRequest, 'draw'>): void {
  if (candidates.length === 0) {
    throw new AppError('invalid_input', 'candidates: there is none to choose from');
  }
  if (task.text.trim() === '') {
    throw new AppError('invalid_input', 'text: it is empty', {
      remedy: 'Say in a sentence what is to be done.',
    });
  }
  const { complexity, inputBytes } = task;
  if (complexity !== undefined && !(complexity >= 0 && complexity <= 1)) {
    throw new AppError('invalid_input', `complexity: must be from 0 to 1, got ${complexity}`);
  }
  if (inputBytes !== undefined && !(inputBytes >= 0 && Number.isFinite(inputBytes))) {
    throw new AppError('invalid_input', `inputBytes: must not be negative, got ${inputBytes}`);
  }
}
