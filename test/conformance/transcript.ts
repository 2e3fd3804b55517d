/**
 * `npm run conformance:transcript`: what goes over the wire when an official client (the first
 * generation's, 2025-11-25) starts a long run as a task and is killed, and another one fetches the result.
 */
import { join } from 'node:path';
import { CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js';
import { openTestBridge, testToken } from '../support/bridge.ts';
import { cleanEnvironment, startProgram } from '../support/cli.ts';
import { release } from '../support/fleet.ts';
import { oldClient } from '../support/mcp-clients.ts';
import { startRelay } from './suite.ts';

const widest = 400;
const bridge = await openTestBridge({ driver: 'embedded' });
let speaker = 'first client';
const relay = await startRelay(bridge.url, testToken, {
  seen(direction, text) {
    for (const line of text.split('\n')) {
      const message = line.replace(/^data: /, '').trim();
      if (!message.startsWith('{')) continue;
      const shown = message.length > widest ? `${message.slice(0, widest)} …` : message;
      console.log(
        `${direction === 'request' ? `${speaker} →` : `  server → ${speaker}:`} ${shown}`,
      );
    }
  },
});
const first = startProgram(
  process.execPath,
  [join(import.meta.dirname, '../support/mcp-leaver.ts'), relay.url, testToken, 'later'],
  { env: cleanEnvironment(bridge.home) },
);
const [, taskId = ''] = await first.until('stdout', /^task (\S+)$/m);
first.child.kill('SIGKILL');
await first.ended;
console.log(`-- the first client (process ${first.child.pid}) was killed; task ${taskId} goes on`);

speaker = 'second client';
const second = await oldClient(relay, testToken);
await second.experimental.tasks.getTask(taskId);
await release(bridge.home, 'later');
console.log('-- what the run waited for has come');
await second.experimental.tasks.getTaskResult(taskId, CallToolResultSchema);
await second.experimental.tasks.getTask(taskId);
await second.close();
relay.close();
await bridge.end();
