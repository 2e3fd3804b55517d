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
  const cellOf = (attempt: CourseAttempt): string =>
    attempt.type === defectType ? `${attempt.type} ${kindOf(attempt)}` : attempt.type;
  const groups: Group[] = [
    { name: 'choices', attempts: chosen, cell: cellOf },
    ...types.map((type) => ({
      name: type.replace('review/', ''),
      attempts: chosen.filter((attempt) => attempt.type === type),
      cell: cellOf,
    })),
    // As if it were not known that who is right depends on what is reviewed.
    {
      name: 'defect_whatever_kind',
      attempts: chosen.filter(({ type }) => type === defectType),
      cell: ({ type }) => type,
    },
  ];
  return [
    ...groups.flatMap((group) => hindsight(group, course.runs)),
    ...plantedFigures(course, chosen),
  ];
}

/** In both outer quarters of the runs. Below 0: it came out better than the best one does on average. */
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
  const quarters = {
    first: rows.filter(({ run }) => run < runs / 4),
    last: rows.filter(({ run }) => run >= (runs * 3) / 4),
  };
  return Object.entries(quarters).flatMap(([quarter, own]): Measured[] => {
    if (own.length === 0) return [];
    const isBest = meanOf(own.map((row) => row.isBest));
    const regret = meanOf(own.map((row) => row.regret));
    return [
      { metric: `${name}_best_in_hindsight_${quarter}_quarter`, unit: 'share', values: [isBest] },
      { metric: `${name}_regret_${quarter}_quarter`, unit: 'reward', values: [regret] },
    ];
  });
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
