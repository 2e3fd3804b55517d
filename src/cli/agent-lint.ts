import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { AgentDefinition, Problem } from '../agents/agents.ts';
import type { Config } from '../base/base.ts';
import type { CliContext } from './context.ts';
import { Exit } from './failure.ts';
import { addExamples, addSettingFlags } from './flags.ts';
import { note, plural, printRows } from './output.ts';
import { problemColumns } from './problems.ts';

/** `centuria agent lint`: works without a server. */
export function registerAgentLint(group: Command, context: CliContext): void {
  addExamples(
    addSettingFlags(
      group
        .command('lint')
        .description('Check definitions, without a server. Exits 1 when one has an error.')
        .argument('[path...]', 'Files and folders; otherwise all agent folders.'),
      ['agentFolders'],
    ),
    [
      ['All of them', 'centuria agent lint'],
      ['Those of a repository', 'centuria agent lint .claude/agents'],
    ],
  ).action(async (paths: string[], options: Record<string, unknown>) => {
    const { problems, definitions } = await lintFleet(context, context.config(options), paths);
    printRows(context, problems, {
      columns: problemColumns(context),
      empty: `No problem in ${plural(definitions.length, 'definition')}.`,
    });
    const errors = problems.filter(({ severity }) => severity === 'error').length;
    if (problems.length === 0) return;
    const warnings = plural(problems.length - errors, 'warning');
    note(
      context,
      `${plural(errors, 'error')}, ${warnings} in ${plural(definitions.length, 'definition')}`,
    );
    if (errors > 0) throw new Exit(1);
  });
}

export interface FleetLint {
  readonly definitions: readonly AgentDefinition[];
  readonly problems: readonly Problem[];
}

/**
 * Checks the paths, or every agent folder, one at a time: an agent of a later folder may take the
 * place of one with its name in an earlier folder, and that is no mistake.
 */
export async function lintFleet(
  context: CliContext,
  config: Config,
  paths: readonly string[] = [],
): Promise<FleetLint> {
  const { agentFolders, lintAgents } = await import('../agents/agents.ts');
  const options = { packageRoot: context.root, environment: context.env };
  const folders = agentFolders(config, context.root)
    .map(({ path }) => resolve(context.cwd, path))
    .filter((path) => existsSync(path));
  const fleet = await Promise.all(folders.map((folder) => lintAgents([folder], options)));
  const known = fleet.flatMap(({ definitions }) => definitions.map(({ name }) => name));
  const groups =
    paths.length === 0
      ? folders.map((folder) => [folder])
      : [paths.map((path) => resolve(context.cwd, path))];
  const results = await Promise.all(
    groups.map((group) => lintAgents(group, { ...options, known })),
  );
  return {
    definitions: results.flatMap(({ definitions }) => definitions),
    problems: results.flatMap(({ problems }) => problems),
  };
}

/** The agents that a workflow may use, as the files say. */
export async function knownAgents(
  context: CliContext,
  config: Config,
): Promise<ReadonlyMap<string, AgentDefinition>> {
  const { definitions } = await lintFleet(context, config);
  return new Map(definitions.map((definition) => [definition.name, definition]));
}
