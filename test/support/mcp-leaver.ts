/**
 * The official client as a process of its own, to be killed: starts a long run as a task, says its id,
 * and stays. Its arguments: the server, a credential, and the gate that the run waits at.
 */
import { CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js';
import { oldClient } from './mcp-clients.ts';

const [url = '', token = '', gate = ''] = process.argv.slice(2);
const client = await oldClient({ url }, token);
const stream = client.experimental.tasks.callToolStream(
  { name: 'run_start', arguments: { workflow: 'gated', input: { name: gate } } },
  CallToolResultSchema,
  { task: {} },
);
for await (const message of stream) {
  if (message.type === 'taskCreated') process.stdout.write(`task ${message.task.taskId}\n`);
}
