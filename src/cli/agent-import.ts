import { join, resolve, sep } from 'node:path';
import type { Command } from 'commander';
import type { ImportComplaint, ImportedFile } from '../agents/agents.ts';
import { knownAgents } from './agent-lint.ts';
import type { CliContext, Colours } from './context.ts';
import { Exit } from './failure.ts';
import { addExamples, addSettingFlags } from './flags.ts';
import { note, plural, printRows } from './output.ts';
import { nearPath } from './problems.ts';

interface ImportFlags {
  readonly to?: string;
  readonly plan?: boolean;
  readonly force?: boolean;
  readonly agentFolders?: string;
}

/** `centuria agent import`: works without a server. */
export function registerAgentImport(group: Command, context: CliContext): void {
  addExamples(
    addSettingFlags(
      group
        .command('import')
        .description(
          'Import definitions of Claude Code or of the format of version 8, without a server. Exits 1 when one was refused.',
        )
        .argument('<path...>', 'Files, and folders with all below them.')
        .option(
          '--to <folder>',
          'Where definitions are written; otherwise agents/ of the data folder.',
        )
        .option('--plan', 'Write nothing, and say what would be.')
        .option('--force', 'Write over files that say something else.'),
      ['agentFolders'],
    ),
    [
      ['What would come of it', 'centuria agent import --plan ../old/agents'],
      ['Those of a repository', 'centuria agent import .claude/agents'],
    ],
  ).action(async (paths: string[], flags: ImportFlags) => {
    const { importAgents } = await import('../agents/agents.ts');
    const { agentFolders, to, plan = false, force = false } = flags;
    const config = context.config({ agentFolders });
    const agents = [...(await knownAgents(context, config)).values()];
    const shipped = agents.filter(({ file }) =>
      file.startsWith(join(context.root, 'agents') + sep),
    );
    const files = await importAgents(
      paths.map((path) => resolve(context.cwd, path)),
      {
        to: resolve(context.cwd, to ?? join(config.home, 'agents')),
        known: agents.map(({ name }) => name),
        shipped: shipped.map(({ name }) => name),
        plan,
        force,
        onProgress: (done, total) => {
          if (done % progressStep === 0) note(context, `${done} of ${total} files`);
        },
      },
    );
    printFiles(context, files);
    note(context, summaryOf(files, plan));
    if (files.some(({ status }) => status === 'refused')) throw new Exit(1);
  });
}

/** A second or two between two lines. */
const progressStep = 250;

/** A file, or one complaint about it: what the lines of the table are. */
type Line = { readonly of: ImportedFile; readonly complaint?: ImportComplaint };

function printFiles(context: CliContext, files: readonly ImportedFile[]): void {
  const empty = 'No definitions there: a definition is a file that ends in .md.';
  if (context.format !== 'table') {
    printRows(context, files, { columns: [], empty });
    return;
  }
  const { colours } = context.stdout;
  const near = (path: string): string => nearPath(context.cwd, path);
  const lines = files.flatMap((of): Line[] => [
    { of },
    ...of.complaints.map((complaint) => ({ of, complaint })),
  ]);
  printRows(context, lines, {
    columns: [
      {
        title: 'PLACE',
        cell: ({ of, complaint }) =>
          complaint === undefined
            ? near(of.file)
            : `${near(of.file)}:${complaint.line}:${complaint.column}`,
      },
      {
        title: 'RESULT',
        cell: ({ of, complaint }) => complaint?.severity ?? of.status,
        style: (text, { of, complaint }) => style(complaint?.severity ?? of.status, colours)(text),
      },
      {
        title: 'WHAT',
        cell: ({ of, complaint }) => complaint?.message ?? of.agent ?? '',
        cut: true,
      },
      {
        title: 'INSTEAD',
        cell: ({ of, complaint }) =>
          complaint === undefined ? near(of.target ?? '') : (complaint.instead ?? ''),
        cut: true,
      },
    ],
    empty,
  });
}

function style(
  result: ImportedFile['status'] | ImportComplaint['severity'],
  colours: Colours,
): (text: string) => string {
  if (result === 'refused' || result === 'error') return colours.red;
  if (result === 'losses' || result === 'warning') return colours.yellow;
  return result === 'imported' ? colours.green : colours.dim;
}

function summaryOf(files: readonly ImportedFile[], plan: boolean): string {
  const count = (wanted: ImportedFile['status']): number =>
    files.filter(({ status }) => status === wanted).length;
  const counts = [
    `${count('imported')} imported`,
    `${count('losses')} imported with losses`,
    `${count('unchanged')} unchanged`,
    `${count('refused')} refused`,
  ].join(', ');
  const planned = plan ? ' Nothing was written: this is a plan.' : '';
  return `${plural(files.length, 'file')}: ${counts}.${planned}`;
}
