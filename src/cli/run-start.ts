import type { Command } from 'commander';
import type { StartRunRequest } from '../api/api.ts';
import { toAppError } from '../base/base.ts';
import type { Client } from '../client/client.ts';
import type { InputSpec } from '../coordination/coordination.ts';
import { connect } from './connection.ts';
import type { CliContext } from './context.ts';
import { addExamples, collect, wholeNumber } from './flags.ts';
import { readInputs } from './inputs.ts';
import { printDocument } from './output.ts';
import { shortId } from './run-ids.ts';
import { noteIrreversible, renderPlan } from './run-plan.ts';
import { waitForRun } from './run-wait.ts';

interface StartOptions {
  readonly input?: readonly string[];
  readonly inputJson?: string;
  readonly priority?: number;
  readonly idempotencyKey?: string;
  readonly plan?: true;
  readonly wait?: true;
}

/** `centuria run start`. */
export function registerRunStart(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('start')
      .description('Start a run of a workflow.')
      .argument('<workflow>', 'Its name, as centuria workflow list shows it.')
      .option('--input <name=value>', 'An input; name:=JSON for other types. May repeat.', collect)
      .option('--input-json <file>', 'Inputs as one JSON object; - reads standard input.')
      .option('--wait', 'Show the run until it has ended; exit 1 unless it completed.')
      .option('--plan', 'Only show what would be done.')
      .option(
        '--priority <number>',
        '1 to 100; higher goes first (default 50).',
        wholeNumber(1, 100),
      )
      .option('--idempotency-key <key>', 'Starting again with the same key gives the same run.'),
    [
      ['Review this repository and wait', 'centuria run start repo-review --wait'],
      ['Another one', 'centuria run start repo-review --input repo=../other'],
      ['What would happen', 'centuria run start repo-review --plan'],
    ],
  ).action(async (workflow: string, options: StartOptions) => {
    const client = connect(context);
    const request = await startRequest(
      workflow,
      options,
      await inputSpecs(client, workflow),
      context,
    );
    const plan = await client.planRun(request);
    if (options.plan === true) {
      printDocument(context, plan, (found) => renderPlan(found, context.stdout.colours));
      return;
    }
    noteIrreversible(context, plan);
    const run = await client.startRun(
      request,
      options.idempotencyKey === undefined ? {} : { idempotencyKey: options.idempotencyKey },
    );
    if (options.wait === true) {
      await waitForRun(context, client, await client.run(run.id));
      return;
    }
    const id = shortId(run.id);
    printDocument(
      context,
      run,
      () => `Run ${run.id} of ${workflow} is ${run.status}.\nWatch it: centuria run watch ${id}`,
    );
  });
}

/** What a workflow takes, where it is still there. */
export async function inputSpecs(
  client: Client,
  workflow: string,
): Promise<Readonly<Record<string, InputSpec>> | undefined> {
  try {
    return (await client.workflow(workflow)).inputs;
  } catch (thrown) {
    // The start knows better: the file may be there and have an error.
    if (toAppError(thrown).code === 'workflow_not_found') return undefined;
    throw thrown;
  }
}

/** The request that the options say; paths and types as the workflow's inputs want them. */
export async function startRequest(
  workflow: string,
  options: StartOptions,
  specs: Readonly<Record<string, InputSpec>> | undefined,
  context: Pick<CliContext, 'cwd' | 'stdin'>,
): Promise<StartRunRequest> {
  const { priority } = options;
  return {
    workflow,
    input: await readInputs(options, specs, context),
    ...(priority === undefined ? {} : { priority }),
  };
}
