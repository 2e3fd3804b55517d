import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { AgentDefinition, ExportedAgent } from '../agents/agents.ts';
import { AppError, suggest } from '../base/base.ts';
import { knownAgents } from './agent-lint.ts';
import type { CliContext } from './context.ts';
import { Exit } from './failure.ts';
import { addExamples, addSettingFlags } from './flags.ts';
import { note, plural, printRows } from './output.ts';
import { nearPath } from './problems.ts';

interface ExportFlags {
  readonly to: string;
  readonly plan?: boolean;
  readonly force?: boolean;
  readonly agentFolders?: string;
}

/** `centuria agent export`: works without a server. */
export function registerAgentExport(group: Command, context: CliContext): void {
  addExamples(
    addSettingFlags(
      group
        .command('export')
        .description(
          'Write definitions as Claude Code reads them, byte for byte, without a server. Exits 1 when one was refused.',
        )
        .argument('[agent...]', 'Their names; otherwise all of the agent folders.')
        .option('--to <folder>', 'Where to.', join('.claude', 'agents'))
        .option('--plan', 'Write nothing, and say what would be.')
        .option('--force', 'Write over files that say something else.'),
      ['agentFolders'],
    ),
    [['One, for this repository', 'centuria agent export git-history']],
  ).action(
    async (names: string[], { agentFolders, to, plan = false, force = false }: ExportFlags) => {
      const { exportAgents } = await import('../agents/agents.ts');
      const known = await knownAgents(context, context.config({ agentFolders }));
      const results = await exportAgents(chosen(names, known), {
        to: resolve(context.cwd, to),
        plan,
        force,
      });
      printAgents(context, results);
      const refused = results.filter(({ status }) => status === 'refused').length;
      const unchanged = results.filter(({ status }) => status === 'unchanged').length;
      const counts = `${results.length - refused - unchanged} exported, ${unchanged} unchanged, ${refused} refused.`;
      const planned = plan ? ' Nothing was written: this is a plan.' : '';
      note(context, `${plural(results.length, 'agent')}: ${counts}${planned}`);
      if (refused > 0) throw new Exit(1);
    },
  );
}

/** All of them are known before the first is written. */
function chosen(
  names: readonly string[],
  known: ReadonlyMap<string, AgentDefinition>,
): AgentDefinition[] {
  if (names.length === 0) return [...known.values()];
  return [...new Set(names)].map((name) => {
    const found = known.get(name);
    if (found !== undefined) return found;
    const near = suggest(name, known.keys());
    throw new AppError('agent_not_found', `there is no agent ${name}`, {
      remedy:
        near === undefined
          ? 'centuria agent lint lists files that are wrong.'
          : `Did you mean ${near}?`,
    });
  });
}

function printAgents(context: CliContext, results: readonly ExportedAgent[]): void {
  const { colours } = context.stdout;
  printRows(context, results, {
    columns: [
      { title: 'AGENT', cell: ({ agent }) => agent },
      {
        title: 'RESULT',
        cell: ({ status }) => status,
        style: (text, { status }) =>
          status === 'refused' ? colours.red(text) : colours.green(text),
      },
      {
        title: 'FILE',
        cell: ({ target, message }) => message ?? nearPath(context.cwd, target ?? ''),
        cut: true,
      },
      { title: 'INSTEAD', cell: ({ instead }) => instead ?? '', cut: true },
    ],
    empty: 'No agents to export.',
  });
}
