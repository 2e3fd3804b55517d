import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Config } from '../base/base.ts';
import type {
  InputSpec,
  WorkflowDefinition,
  WorkflowProblem,
} from '../coordination/coordination.ts';
import { knownAgents } from './agent-lint.ts';
import { connect } from './connection.ts';
import type { CliContext } from './context.ts';
import { Exit } from './failure.ts';
import { addExamples, addSettingFlags } from './flags.ts';
import { note, plural, printDocument, printRows, renderTable } from './output.ts';
import { problemColumns } from './problems.ts';
import { workflowText, workflowTree } from './run-plan.ts';
import { registerWorkflowSchema } from './workflow-schema.ts';

/** `centuria workflow`: what can be run. */
export function registerWorkflow(program: Command, context: CliContext): void {
  const group = program.command('workflow').description('Look at the workflows that can be run.');

  addExamples(group.command('list').description('List the workflows that load.'), [
    ['Names only', 'centuria workflow list -o jsonl | jq -r .name'],
  ]).action(async () => {
    const client = connect(context);
    const { items, problems } = await client.workflows();
    printRows(context, items, {
      columns: [
        { title: 'WORKFLOW', cell: (row) => row.name },
        { title: 'MODE', cell: (row) => row.mode },
        { title: 'TASKS', cell: (row) => String(row.tasks.length), align: 'right' },
        { title: 'INPUTS', cell: (row) => Object.keys(row.inputs).join(', '), cut: true },
        { title: 'DESCRIPTION', cell: (row) => row.description, cut: true },
      ],
      empty: `No workflows. Put YAML files into a folder and name it: CENTURIA_WORKFLOW_FOLDERS.`,
      more: { problems },
    });
    if (problems.length > 0 && context.format !== 'json') {
      note(context, `${plural(problems.length, 'problem')} in other files: centuria workflow lint`);
    }
  });

  addExamples(
    group
      .command('show')
      .description('Show the inputs and tasks of a workflow.')
      .argument('<workflow>', 'Its name.'),
    [['The review', 'centuria workflow show repo-review']],
  ).action(async (name: string) => {
    const client = connect(context);
    printDocument(context, await client.workflow(name), (found) => renderWorkflow(found, context));
  });

  registerLint(group, context);
  registerWorkflowSchema(group, context);
}

function registerLint(group: Command, context: CliContext): void {
  addExamples(
    addSettingFlags(
      group
        .command('lint')
        .description('Check workflow files, without a server. Exits 1 when something is wrong.')
        .argument('[file...]', 'Files to check; otherwise those of all workflow folders.'),
      ['workflowFolders', 'agentFolders'],
    ),
    [
      ['All of them', 'centuria workflow lint'],
      ['One that is being written', 'centuria workflow lint mine.yaml'],
    ],
  ).action(async (files: string[], options: Record<string, unknown>) => {
    const problems = await lintWorkflows(context, context.config(options), files);
    printRows(context, problems, {
      columns: problemColumns(context),
      empty: files.length === 0 ? 'No problem in any workflow.' : 'No problem.',
    });
    if (problems.length === 0) return;
    note(context, `${plural(problems.length, 'problem')} found`);
    throw new Exit(1);
  });
}

/** What is wrong with the files, or with those of all workflow folders where none is named. */
export async function lintWorkflows(
  context: CliContext,
  config: Config,
  files: readonly string[] = [],
): Promise<WorkflowProblem[]> {
  const { loadWorkflows, readWorkflow, workflowFolders } =
    await import('../coordination/coordination.ts');
  const agents = await knownAgents(context, config);
  if (files.length === 0) {
    return [...(await loadWorkflows(workflowFolders(config, context.root), agents)).problems];
  }
  const parsed = await Promise.all(
    files.map((file) => readWorkflow(resolve(context.cwd, file), agents)),
  );
  return parsed.flatMap(({ problems }) => problems);
}

function renderWorkflow(workflow: WorkflowDefinition, context: CliContext): string {
  const { colours, columns } = context.stdout;
  const inputs = Object.entries(workflow.inputs);
  const parts = [`${colours.bold(workflow.name)}: ${workflow.description}`, workflowText(workflow)];
  if (inputs.length > 0) {
    const table = renderTable(
      inputs,
      [
        { title: 'INPUT', cell: ([name]) => name },
        { title: 'TYPE', cell: ([, spec]) => spec.type },
        { title: 'DEFAULT', cell: ([, spec]) => defaultOf(spec) },
        { title: 'DESCRIPTION', cell: ([, spec]) => spec.description, cut: true },
      ],
      columns,
      colours.bold,
    );
    parts.push('', table.trimEnd());
  }
  return [...parts, '', ...workflowTree(workflow, colours)].join('\n');
}

function defaultOf({ required, default: value }: InputSpec): string {
  if (value !== undefined) return String(value);
  return required ? 'required' : '–';
}
