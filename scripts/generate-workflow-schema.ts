import { workflowFileSchema } from '../src/coordination/coordination.ts';

/** The JSON Schema of workflow files, for editors. */
export function generateWorkflowSchema(): { path: string; text: string } {
  const text = JSON.stringify(workflowFileSchema(), undefined, 2);
  return { path: 'docs/reference/workflow.schema.json', text: `${text}\n` };
}
