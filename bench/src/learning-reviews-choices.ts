/** Whether choices got better on the way: against who was best in hindsight, and against what was planted. */
import type { Review } from './learning-reviews.ts';
import type { Attempt } from './learning-reviews-server.ts';
import type { Measured } from './report.ts';

export interface CourseAttempt extends Attempt {
  /** Which of the runs it belongs to, by their beginning: from 0. */
  readonly run: number;
}

export interface Course {
  readonly runs: number;
  readonly reviews: ReadonlyMap<string, Review>;
  readonly attempts: readonly CourseAttempt[];
}

/** What a minute counts against success where the workflow says so, and elsewhere. */
const perMinute: Readonly<Record<string, number>> = {
  'review/weight': 6,
  'review/structure': 6,
  'review/words': 6,
};
const usualPerMinute = 0.01;
/** An agent that was tried less often can not be said to be the best. */
const leastTries = 5;
const defectType = 'review/defect';

interface Group {
  readonly name: string;
  readonly attempts: readonly CourseAttempt[];
  /** Those among which one is best: of one type, or of one type and kind of repository. */
  readonly cell: (attempt: CourseAttempt) => string;
}

export function choiceFigures(course: Course): Measured[] {
  const chosen = course.attempts.filter(({ candidates = [] }) => candidates.length > 1);
  const kindOf = ({ runId }: CourseAttempt): string => course.reviews.get(runId)?.kind ?? '';
  const types = [...new Set(chosen.map(({ type }) => type))].toSorted();
  const groups: Group[] = [
    ...types.map((type) => ({
      name: type.replace('review/', ''),
      attempts: chosen.filter((attempt) => attempt.type === type),
      cell: () => '',
    })),
    {
      name: 'defect_by_kind',
      attempts: chosen.filter(({ type }) => type === defectType),
      cell: kindOf,
    },
  ];
  return [
    ...groups.flatMap((group) => hindsight(group, course.runs)),
    ...plantedFigures(course, chosen),
  ];
}

/** The last quarter of the runs, beside the first. */
function hindsight({ name, attempts, cell }: Group, runs: number): Measured[] {
  const best = new Map(
    [...Map.groupBy(attempts, cell)].map(([key, own]) => [key, bestOf(own)] as const),
  );
  const rows = attempts.flatMap((attempt) => {
    const known = best.get(cell(attempt));
    if (known === undefined) return [];
    const isBest = Number(attempt.agent === known.agent);
    return [{ run: attempt.run, isBest, regret: known.reward - rewardOf(attempt) }];
  });
  const first = rows.filter(({ run }) => run < runs / 4);
  const last = rows.filter(({ run }) => run >= (runs * 3) / 4);
  if (first.length === 0 || last.length === 0) return [];
  return (['isBest', 'regret'] as const).map((what) => ({
    metric: `${name}_${what === 'isBest' ? 'best_in_hindsight' : 'regret'}_last_quarter`,
    unit: what === 'isBest' ? 'share' : 'reward',
    values: [meanOf(last.map((row) => row[what]))],
    peer: { name: 'first quarter', values: [meanOf(first.map((row) => row[what]))] },
  }));
}

/** By what it came to on average over the whole log. */
function bestOf(attempts: readonly CourseAttempt[]): { agent: string; reward: number } | undefined {
  return [...Map.groupBy(attempts, ({ agent }) => agent)]
    .filter(([, own]) => own.length >= leastTries)
    .map(([agent, own]) => ({ agent, reward: meanOf(own.map(rewardOf)) }))
    .toSorted((a, b) => b.reward - a.reward)[0];
}

const rewardOf = ({ succeeded, ms, type }: CourseAttempt): number =>
  Number(succeeded) - ((perMinute[type] ?? usualPerMinute) * ms) / 60_000;

/** Here it is known whom it would have been right to choose. */
function plantedFigures({ reviews, runs }: Course, chosen: readonly CourseAttempt[]): Measured[] {
  const rows = chosen
    .filter(({ type }) => type === defectType)
    .map(({ agent, succeeded, runId, run, candidates = [] }) => {
      const finders = reviews.get(runId)?.finders ?? new Set<string>();
      const right = candidates.filter((each) => finders.has(each)).length;
      return {
        run,
        succeeded,
        isPlanted: finders.has(agent),
        byChance: right / candidates.length,
        possible: right > 0,
      };
    });
  const agreed = rows.filter(({ isPlanted, succeeded }) => isPlanted === succeeded).length;
  const quarter = (name: string, from: number, to: number): Measured[] => {
    const own = rows.filter(
      ({ run, possible }) => possible && run >= from * runs && run < to * runs,
    );
    if (own.length === 0) return [];
    const byChance = meanOf(own.map((row) => row.byChance));
    return [
      {
        metric: `planted_defect_found_${name}`,
        unit: 'share',
        values: [meanOf(own.map(({ isPlanted, succeeded }) => Number(isPlanted && succeeded)))],
        peer: { name: 'a choice by chance', values: [byChance] },
      },
    ];
  };
  return [
    ...quarter('first_quarter', 0, 0.25),
    ...quarter('last_quarter', 0.75, 1),
    ...(rows.length === 0
      ? []
      : [{ metric: 'planted_as_found', unit: 'share', values: [agreed / rows.length] }]),
  ];
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
