import type { Command } from 'commander';
import type { CliContext } from './context.ts';
import { addExamples } from './flags.ts';

/** `centuria workflow schema`: works without a server. */
export function registerWorkflowSchema(group: Command, context: CliContext): void {
  addExamples(
    group.command('schema').description('Print the JSON Schema of workflow files, for editors.'),
    [
      ['Beside the workflows', 'centuria workflow schema > workflow.schema.json'],
      [
        'What a race may say',
        'centuria workflow schema | jq \'."$defs".competitiveGroup.properties | keys\'',
      ],
    ],
  ).action(async () => {
    const { workflowFileSchema } = await import('../coordination/coordination.ts');
    context.stdout.write(`${JSON.stringify(workflowFileSchema(), undefined, 2)}\n`);
  });
}
