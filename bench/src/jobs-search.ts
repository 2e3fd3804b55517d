/**
 * Two ways of searching a large folder race. Each round has a text of its own, and what each way takes
 * alone is measured in the same round. An answer counts when every match was found in its file again.
 */
import { realpathSync, writeFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { completed, root, type JobServer, type Recorded } from './jobs-server.ts';
import type { Measured } from './report.ts';

const defaultRounds = 6;
/** Texts that stand in many installed packages, and in none too often for a list. */
const texts = [
  'licensed under the apache',
  'trailing comma',
  'asyncdispose',
  'memory leak',
  'deprecated since',
  'side effects',
];

interface Match {
  readonly file: string;
  readonly line: number;
}

interface Race {
  readonly winner: string;
  readonly tookMs: number;
  readonly loserCpuMs: number | undefined;
  readonly cancelled: boolean;
  readonly hedged: boolean;
}

export async function measureSearch(
  server: JobServer,
  repeats: number | undefined,
  progress: (text: string) => void,
): Promise<Measured[]> {
  const tree = realpathSync(join(root, 'node_modules'));
  const rounds = repeats ?? defaultRounds;
  const alone = { git: [] as number[], grep: [] as number[] };
  const races: Race[] = [];
  const hedged: Race[] = [];
  let differing = 0;
  for (let round = 0; round < rounds; round += 1) {
    const text = texts[round % texts.length] ?? '';
    const input = { tree, text };
    const byGit = completed(await server.run('search-by-git', input));
    const byGrep = completed(await server.run('search-by-grep', input));
    const race = completed(await server.run('search-race', input));
    const hedge = completed(await server.run('search-hedged', input));
    alone.git.push(byGit.tookMs);
    alone.grep.push(byGrep.tookMs);
    const answers = [byGit, byGrep, race, hedge].map(({ run }) => JSON.stringify(run.output));
    if (new Set(answers).size > 1) differing += 1;
    races.push(raceOf(race));
    hedged.push(raceOf(hedge));
    progress(
      `"${text}": ${(race.run.output as Match[]).length} lines; git grep alone ${byGit.tookMs} ms, ` +
        `grep alone ${byGrep.tookMs} ms, race ${told(raceOf(race))}, hedged ${told(raceOf(hedge))}`,
    );
    if (round === 0) {
      progress(`events of the race:\n${await server.cli('run', 'events', race.run.id)}`);
      progress(`events of the hedged race:\n${await server.cli('run', 'events', hedge.run.id)}`);
    }
  }
  const stale = await raceStaleCache(server, progress);
  const best = alone.git.map((ms, round) => Math.min(ms, alone.grep[round] ?? ms));
  const wins = (list: readonly Race[]): number =>
    list.filter(({ winner }) => winner === 'search-git').length;
  return [
    { metric: 'search_alone_git_ms', unit: 'ms', values: alone.git },
    { metric: 'search_alone_grep_ms', unit: 'ms', values: alone.grep },
    {
      metric: 'search_race_ms',
      unit: 'ms',
      values: races.map(({ tookMs }) => tookMs),
      peer: { name: 'the better one alone', values: best },
    },
    { metric: 'search_race_won_by_git', unit: `of ${rounds}`, values: [wins(races)] },
    { metric: 'search_race_loser_cpu_ms', unit: 'ms', values: known(races) },
    {
      metric: 'search_hedged_ms',
      unit: 'ms',
      values: hedged.map(({ tookMs }) => tookMs),
      peer: { name: 'git grep alone', values: alone.git },
    },
    {
      metric: 'search_hedge_begun',
      unit: `of ${rounds}`,
      values: [hedged.filter((each) => each.hedged).length],
    },
    { metric: 'search_hedge_won', unit: `of ${rounds}`, values: [rounds - wins(hedged)] },
    { metric: 'search_hedge_loser_cpu_ms', unit: 'ms', values: known(hedged) },
    {
      metric: 'search_differing_answers',
      unit: 'rounds',
      values: [differing],
      target: { atMost: 0 },
    },
    ...stale,
  ];
}

/** Processor time is sampled: a loser that ended before the first look has none, which is not zero. */
function known(races: readonly Race[]): number[] {
  return races.flatMap(({ loserCpuMs }) => (loserCpuMs === undefined ? [] : [loserCpuMs]));
}

function raceOf({ run, tookMs, events }: Recorded): Race {
  const { verdict } = run;
  if (verdict?.mode !== 'competitive' || verdict.winner === undefined) {
    throw new Error(`${run.workflow} has no winner`);
  }
  const { winner } = verdict;
  const begun = events.filter(
    ({ body }) => body.type === 'attempt.started' && isRacer(body.task),
  ).length;
  const loser = run.taskList.find(({ id }) => isRacer(id) && id !== winner);
  return {
    winner,
    tookMs,
    loserCpuMs: loser?.usage?.cpuMs,
    cancelled: loser?.status === 'cancelled',
    hedged: begun > 1,
  };
}

function told({ winner, tookMs, loserCpuMs, cancelled, hedged }: Race): string {
  const cost = loserCpuMs === undefined ? 'unknown' : `${loserCpuMs} ms`;
  const loser = !hedged
    ? 'the other never began'
    : `the other ${cancelled ? 'was stopped' : 'had ended'}, processor time ${cost}`;
  return `${tookMs} ms, won by ${winner}, ${loser}`;
}

/**
 * The quickest answer is one that somebody kept. It wins while it holds; once a file has changed the
 * verifier refuses it, and the search that was spared before is done after all.
 */
async function raceStaleCache(
  server: JobServer,
  progress: (text: string) => void,
): Promise<Measured[]> {
  const tree = join(server.folder, 'changing');
  const cache = join(server.folder, 'cache.json');
  mkdirSync(tree);
  const write = (name: string, lines: readonly string[]): void =>
    writeFileSync(join(tree, name), `${lines.join('\n')}\n`);
  for (let file = 1; file <= 50; file += 1) {
    write(`${file}.txt`, ['first', `needle ${file}`, 'last']);
  }
  const input = { tree, text: 'needle' };
  const found = completed(await server.run('search-by-grep', input));
  writeFileSync(cache, JSON.stringify({ needle: found.run.output }));
  const fresh = completed(await server.run('search-cached', { ...input, cache }));
  write('7.txt', ['a line more', 'first', 'needle 7', 'last']);
  const stale = completed(await server.run('search-cached', { ...input, cache }));
  progress(
    `a kept answer against files that have changed since:\n${await server.cli('run', 'events', stale.run.id)}`,
  );
  const truth = completed(await server.run('search-by-grep', input));
  const isRight = JSON.stringify(stale.run.output) === JSON.stringify(truth.run.output);
  const refused = stale.run.verdict?.mode === 'competitive' ? stale.run.verdict.refused : [];
  for (const { task, reason } of refused) progress(`refused: ${task}: ${reason}`);
  const [first, second] = [raceOf(fresh), raceOf(stale)].map(({ winner }) => winner);
  const expected = first === 'search-cache' && second === 'search-grep' && isRight;
  return [
    {
      metric: 'search_wrong_answers_taken',
      unit: 'answers',
      values: [expected ? 0 : 1],
      target: { atMost: 0 },
    },
    { metric: 'search_kept_answer_ms', unit: 'ms', values: [fresh.tookMs] },
    { metric: 'search_refused_answer_ms', unit: 'ms', values: [stale.tookMs] },
  ];
}

function isRacer(task: string): boolean {
  return task.startsWith('search-');
}
