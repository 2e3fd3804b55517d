/**
 * Real reviews of made repositories, every task routed: what was expected of each attempt before it began,
 * beside what came of it. What succeeds and how long it takes is what the agents' programs do here and now.
 * `CENTURIA_REVIEWS_KEEP` names a file that all attempts are kept in as JSON, for questions that are not asked here.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { quantile, randomFrom, shuffled } from '../../src/learning/evaluation/statistics.ts';
import { choiceFigures, type Course } from './learning-reviews-choices.ts';
import { successFigures, tableOf, timeFigures } from './learning-reviews-predictions.ts';
import { change, makeRepositories, type Reviewed } from './learning-reviews-repositories.ts';
import { contents } from './learning-reviews-contents.ts';
import {
  readAttempts,
  withReviewServer,
  type Attempt,
  type ReviewServer,
} from './learning-reviews-server.ts';
import type { Measured, MeasureOptions } from './report.ts';

const defaultRuns = 200;
const mostRepositories = 40;
const atOnce = 2;
const seed = 6;
/** Some work is done before so many of the reviews of a repository that was reviewed before. */
const changed = 0.25;
const asked = 200;
const sayEvery = 20;

/** A review as it was done: what the repository was like then. */
export interface Review {
  readonly runId: string;
  readonly kind: Reviewed['kind'];
  /** Agents that would find a defect that was planted. */
  readonly finders: ReadonlySet<string>;
  readonly status: string;
}

export async function measure({ repeats, progress }: MeasureOptions): Promise<Measured[]> {
  return withReviewServer(async (server) => {
    const random = randomFrom(seed);
    const runs = repeats ?? defaultRuns;
    const folder = join(server.folder, 'repositories');
    mkdirSync(folder);
    progress(`making repositories for ${runs} reviews`);
    const repositories = makeRepositories(folder, Math.min(runs, mostRepositories), random);
    const { reviews, choosingMs } = await reviewAll(server, repositories, {
      runs,
      random,
      progress,
    });
    await keep(server, reviews);
    const attempts = await readAttempts(server.database);
    const course = courseOf(reviews, attempts);
    progress(tableOf(course));
    return [
      ...countFigures(course),
      ...timeFigures(course),
      ...successFigures(course),
      ...choiceFigures(course),
      { metric: 'choosing_status_mean', unit: 'ms', values: choosingMs },
      ...(await askedFigures(server, repositories)),
    ];
  });
}

interface Order {
  readonly runs: number;
  readonly random: () => number;
  readonly progress: (text: string) => void;
}

/** Two at a time, never two of one repository. Ends with the mean cost of a choice as each minute's status said. */
async function reviewAll(
  server: ReviewServer,
  repositories: readonly Reviewed[],
  { runs, random, progress }: Order,
): Promise<{ reviews: Review[]; choosingMs: number[] }> {
  const waiting: { readonly repository: Reviewed; readonly number: number }[] = [];
  while (waiting.length < runs) {
    const round = shuffled(repositories, random).slice(0, runs - waiting.length);
    for (const repository of round) waiting.push({ repository, number: waiting.length });
  }
  const reviews: Review[] = [];
  const choosingMs = new Set<number>();
  const seen = new Set<Reviewed>();
  const busy = new Set<Reviewed>();
  const one = async (): Promise<void> => {
    for (;;) {
      const at = waiting.findIndex(({ repository }) => !busy.has(repository));
      const [next] = at === -1 ? [] : waiting.splice(at, 1);
      if (next === undefined) return;
      const { repository, number } = next;
      busy.add(repository);
      // Of its own seed: which of two reviews begins first is not the seed's.
      const chance = randomFrom(seed + number);
      if (seen.has(repository) && chance() < changed) change(repository, number, chance);
      seen.add(repository);
      reviews.push(await review(server, repository));
      busy.delete(repository);
      const { averageMs } = (await server.client.learningStatus()).choices;
      if (averageMs !== undefined && averageMs > 0) choosingMs.add(averageMs);
      if (reviews.length % sayEvery > 0) continue;
      progress(`${reviews.length} of ${runs} reviews`);
      await keep(server, reviews);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  return { reviews, choosingMs: [...choosingMs] };
}

async function keep({ database }: ReviewServer, reviews: readonly Review[]): Promise<void> {
  const path = process.env['CENTURIA_REVIEWS_KEEP'];
  if (path === undefined) return;
  const plain = reviews.map((each) => ({ ...each, finders: [...each.finders] }));
  const attempts = await readAttempts(database);
  writeFileSync(path, JSON.stringify({ reviews: plain, attempts }));
}

async function review(server: ReviewServer, repository: Reviewed): Promise<Review> {
  const { folder: repo, about, kind, planted } = repository;
  const finders = new Set([...planted].map((each) => contents[each].finder));
  const { id } = await server.coordination.start({
    workflow: 'routed-review',
    input: { repo, about },
  });
  const run = await server.coordination.wait(id);
  await closeBreakers(server);
  return { runId: id, kind, finders, status: run.status };
}

/** As an operator would: who looks for what is not there has not broken down, and stays a candidate. */
async function closeBreakers({ client }: ReviewServer): Promise<void> {
  const { items } = await client.breakers();
  const failing = items.filter(({ state, key }) => state !== 'closed' || key.includes('find-'));
  await Promise.all(failing.map(({ key }) => client.resetBreaker(key)));
}

/** By the beginning of the runs; an attempt of no review here would be a defect. */
export function courseOf(reviews: readonly Review[], attempts: readonly Attempt[]): Course {
  const byRun = new Map(reviews.map((each) => [each.runId, each]));
  const began = new Map<string, number>();
  for (const { runId, startedAtMs } of attempts) {
    began.set(runId, Math.min(startedAtMs, began.get(runId) ?? Infinity));
  }
  const order = [...began].toSorted(([, a], [, b]) => a - b).map(([runId]) => runId);
  const position = new Map(order.map((runId, index) => [runId, index]));
  return {
    runs: reviews.length,
    reviews: byRun,
    attempts: attempts.map((attempt) => ({ ...attempt, run: position.get(attempt.runId) ?? 0 })),
  };
}

const count = (metric: string, value: number): Measured => ({ metric, unit: '', values: [value] });

function countFigures({ runs, reviews, attempts }: Course): Measured[] {
  const counted = attempts.filter(({ counts }) => counts);
  return [
    count('reviews', runs),
    count(
      'reviews_completed',
      [...reviews.values()].filter((each) => each.status === 'completed').length,
    ),
    count('attempts', attempts.length),
    count('attempts_failed_by_agent', counted.filter(({ succeeded }) => !succeeded).length),
    count('attempts_failed_by_input', attempts.length - counted.length),
  ];
}

/** The whole of a request over HTTP, embedding and explanation included: the status has no more than a mean. */
async function askedFigures(
  { client }: ReviewServer,
  repositories: readonly Reviewed[],
): Promise<Measured[]> {
  const took: number[] = [];
  for (let index = 0; index < asked; index += 1) {
    const { about = '' } = repositories[index % repositories.length] ?? {};
    const beganMs = performance.now();
    await client.recommend({
      description: `Find a defect in it, of whatever kind.\n${about}`,
      type: 'review/defect',
      candidates: Object.values(contents).map(({ finder }) => finder),
    });
    took.push(performance.now() - beganMs);
  }
  return [0.5, 0.99].map((share) => ({
    metric: `recommend_http_p${share * 100}`,
    unit: 'ms',
    values: [quantile(took, share)],
  }));
}
