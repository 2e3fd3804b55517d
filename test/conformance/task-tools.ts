/** The tools of the suite that become tasks. Each starts a run of a real workflow by the bridge's own `run_start`. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inputRequired, type Result, type ServerContext } from '@modelcontextprotocol/server';
import type { Exchange, OfferedTool } from '../../src/api/mcp-offer.ts';
import { writeAskingWorkflows } from '../support/asking-workflows.ts';
import { form, given } from './asking-tools.ts';

/** How long the suite asks `slow_compute` to take. */
const pauses = [0, 1, 2, 60];

/** Writes the workflows of these tools below the data folder of a bridge. */
export async function writeTaskWorkflows(home: string): Promise<void> {
  await writeAskingWorkflows(home);
  for (const seconds of pauses) {
    const wait = seconds === 0 ? '' : `  pause: { wait: { seconds: ${seconds} } }\n`;
    const text = `
name: pause-${seconds}
description: Takes ${seconds} s.
mode: sequential
tasks:
${wait}  end: { agent: echo${seconds === 0 ? '' : ', needs: [pause]'}, input: done }
output: '\${tasks.end.output}'
`;
    await writeFile(join(home, 'workflows', `pause-${seconds}.yaml`), text);
  }
}

type Start = (workflow: string, input?: object) => Promise<Result>;

/** The tools, where `runStart` is the bridge's. */
export function taskTools(runStart: OfferedTool): readonly OfferedTool[] {
  const starting = (
    name: string,
    description: string,
    use: (start: Start, asked: Readonly<Record<string, unknown>>, ctx: ServerContext) => unknown,
  ): OfferedTool => ({
    shown: {
      name,
      description,
      inputSchema: { type: 'object' },
      ...(runStart.shown.execution === undefined ? {} : { execution: runStart.shown.execution }),
    },
    mayUse: (caller) => runStart.mayUse(caller),
    async use(exchange: Exchange, params, ctx) {
      const start: Start = (workflow, input = {}) =>
        runStart.use(exchange, { ...params, arguments: { workflow, input } }, ctx);
      return (await use(start, params.arguments ?? {}, ctx)) as Result;
    },
  });
  return [
    starting('slow_compute', 'Takes a while.', (start, { seconds }) =>
      start(`pause-${String(seconds)}`),
    ),
    starting('failing_job', 'Fails.', (start) => start('failing')),
    starting('confirm_delete', 'Asks a person.', (start, { filename }) =>
      start('asking', { what: filename }),
    ),
    starting(
      'test_tool_with_task',
      'Asks for a name, then becomes a task.',
      (start, _asked, ctx) => {
        const name = given(ctx, 'user_name', 'name');
        return typeof name === 'string'
          ? start('hello', { who: name })
          : inputRequired({ inputRequests: { user_name: form('What is your name?', 'name') } });
      },
    ),
  ];
}
