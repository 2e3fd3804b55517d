import { resolve } from 'node:path';
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { MatrixRow } from '../ext/ext.ts';
import type { CliContext } from './context.ts';
import { settingsOf } from './ext-build.ts';
import { architectureNames, architectureOf } from './ext-package.ts';
import { extLog, showExtProgress } from './ext-progress.ts';
import { withSignal } from './ext-target.ts';
import { Exit } from './failure.ts';
import { addExamples, collect, wholeNumber } from './flags.ts';
import { formatDuration, note, oneLine, printRows, type Column } from './output.ts';

interface MatrixFlags {
  readonly majors?: readonly number[];
  readonly jobs: number;
  readonly arch?: (typeof architectureNames)[number];
  readonly set?: string[];
  readonly updateFrom?: string;
}

/** `centuria ext matrix`. */
export function registerExtMatrix(group: Command, context: CliContext): void {
  const command = group
    .command('matrix')
    .description(
      'Build, deploy and test an extension on real servers of every major version; exit 1 on a failure.',
    )
    .argument('<source>', 'The folder of its sources, which is not written to.')
    .option('--majors <range>', 'Such as 15-18, or 13,17.', parseMajors)
    .option('--jobs <number>', 'Versions at the same time.', wholeNumber(1, 16), 2)
    .addOption(
      new Option('--arch <architecture>', 'Of the servers; this machine’s unless given.').choices(
        architectureNames,
      ),
    )
    .option('--set <name=value>', 'A variable of make or CMake; may repeat.', collect)
    .option(
      '--update-from <path>',
      'Older sources: the update from them is compared with a fresh one.',
    );
  addExamples(command, [
    ['pgvector on everything', "centuria ext matrix pgvector --set OPTFLAGS=''"],
    ['Two versions, for arm64', 'centuria ext matrix pgvector --majors 17,18 --arch arm64'],
  ]).action(async (source: string, flags: MatrixFlags) => {
    const rows = await makeMatrix(context, source, flags);
    const failed = rows.filter(({ outcome }) => outcome === 'failed');
    printRows(context, rows, { columns: columnsOf(context), empty: 'No version was asked for.' });
    if (context.format === 'table') {
      for (const row of rows) tellRow(context, row);
    }
    if (failed.length > 0) throw new Exit(1);
  });
}

async function makeMatrix(
  context: CliContext,
  source: string,
  flags: MatrixFlags,
): Promise<readonly MatrixRow[]> {
  const { runMatrix } = await import('../ext/ext.ts');
  const { cacheFolder } = await import('../database/database.ts');
  const settings = settingsOf(flags.set ?? []);
  const progress = showExtProgress(context);
  const at = (folder: string) => ({ folder: resolve(context.cwd, folder), settings });
  return await withSignal(context, (signal) =>
    runMatrix({
      source: at(source),
      ...(flags.updateFrom === undefined ? {} : { updateFrom: at(flags.updateFrom) }),
      ...(flags.majors === undefined ? {} : { majors: flags.majors }),
      ...(flags.arch === undefined ? {} : { architecture: architectureOf(flags.arch) }),
      jobs: flags.jobs,
      cacheFolder: cacheFolder(context.env),
      onStage: (major, stage) => progress.line(`PostgreSQL ${major}: ${stage}`),
      onRow: ({ major, outcome, ms }) => {
        if (context.format !== 'table') return;
        progress.clear();
        note(context, `PostgreSQL ${major}: ${outcome} after ${formatDuration(ms)}`);
      },
      clock: context.clock,
      log: extLog(context),
      signal,
    }),
  ).finally(progress.clear);
}

function columnsOf(context: CliContext): Column<MatrixRow>[] {
  const { colours } = context.stdout;
  const styles = { passed: colours.green, failed: colours.red, skipped: colours.yellow };
  return [
    { title: 'MAJOR', cell: ({ major }) => String(major), align: 'right' },
    {
      title: 'OUTCOME',
      cell: ({ outcome }) => outcome,
      style: (text, { outcome }) => styles[outcome](text),
    },
    { title: 'SERVER', cell: ({ server }) => server ?? '' },
    { title: 'HEADERS', cell: ({ headers }) => headers ?? '', cut: true },
    { title: 'BUILD', cell: ({ build }) => duration(build?.ms), align: 'right' },
    { title: 'GATE', cell: gateOf, cut: true },
    { title: 'DEPLOY', cell: ({ deploy }) => duration(deploy?.ms), align: 'right' },
    { title: 'REGRESS', cell: regressOf },
    { title: 'UPDATES', cell: updatesOf, cut: true },
    { title: 'TIME', cell: ({ ms }) => duration(ms), align: 'right' },
  ];
}

function gateOf({ check, gate }: MatrixRow): string {
  if (gate !== undefined) return `refuses one for ${gate.bundleMajor}`;
  if (check === undefined) return '';
  return check.some(({ level }) => level === 'refuse') ? 'refuses' : 'lets it pass';
}

function regressOf({ regress }: MatrixRow): string {
  if (regress === undefined) return '';
  if ('unavailable' in regress) return 'unavailable';
  return `${regress.passed} of ${regress.passed + regress.failed.length}`;
}

function updatesOf({ updates }: MatrixRow): string {
  return updates
    .map(
      ({ from, to, difference }) =>
        `${from}→${to} ${difference === undefined ? 'same' : 'differs'}`,
    )
    .join(', ');
}

/** What a cell has no room for. */
function tellRow(context: CliContext, row: MatrixRow): void {
  const say = (text: string): void => note(context, `PostgreSQL ${row.major}: ${oneLine(text)}`);
  if (row.skipped !== undefined) say(`skipped: ${row.skipped}`);
  if (row.failed !== undefined) {
    say(`${row.failed.stage} failed: ${row.failed.message}`);
    if (row.failed.remedy !== undefined) say(row.failed.remedy);
  }
  if (row.regress !== undefined && 'unavailable' in row.regress) {
    say(`no regression tests: ${row.regress.unavailable}`);
  }
  if (row.updateSkipped !== undefined) say(`no update: ${row.updateSkipped}`);
  for (const { extension, difference } of row.updates) {
    if (difference !== undefined) say(`${extension} after its update: ${difference}`);
  }
}

function duration(ms: number | undefined): string {
  return ms === undefined ? '' : formatDuration(ms);
}

/** `12-18`, `13,17`, `15`. */
function parseMajors(text: string): number[] {
  const majors = text.split(',').flatMap((part) => {
    const [, first = '', last = first] = /^(\d{1,2})(?:-(\d{1,2}))?$/.exec(part.trim()) ?? [];
    const from = Number(first);
    const to = Number(last);
    if (first === '' || from < 12 || to > 99 || from > to) {
      throw new InvalidArgumentError('It takes versions from 12 on, such as 12-18 or 13,17.');
    }
    return Array.from({ length: to - from + 1 }, (_, index) => from + index);
  });
  return [...new Set(majors)].toSorted((a, b) => a - b);
}
