/**
 * What redundancy is worth: an agent of which thirty of a hundred calls fail on purpose, alone, beside a
 * steady one, and beside one that fails as often in other calls.
 */
import { join } from 'node:path';
import { root, type JobServer, type Recorded } from './jobs-server.ts';
import type { Measured } from './report.ts';

const calls = 60;
/** Five failures open an agent's circuit breaker, so it is closed by hand before there can be as many. */
const together = 4;
const agents = ['checksum-flaky', 'checksum-steady', 'checksum-frail'];
const file = join(root, 'package-lock.json');

export async function measureRedundancy(
  server: JobServer,
  progress: (text: string) => void,
): Promise<Measured[]> {
  progress(`failures are injected: 30 of 100 calls of checksum-flaky and of checksum-frail`);
  const figures: Measured[] = [];
  for (const workflow of ['checksum-alone', 'checksum-two-flaky', 'checksum-redundant']) {
    const done = await callAll(server, workflow);
    const good = done.filter(({ run }) => run.status === 'completed').length;
    const name = workflow.replace('checksum-', '').replaceAll('-', '_');
    const isRedundant = workflow === 'checksum-redundant';
    figures.push({
      metric: `injected_failures_${name}_succeeded`,
      unit: '%',
      values: [(good * 100) / calls],
      ...(isRedundant && { target: { atLeast: 100 } }),
    });
    progress(`${workflow}: ${good} of ${calls} succeeded`);
    const telling = done.find(({ run }) => run.taskList.some(({ status }) => status === 'failed'));
    if (isRedundant && telling !== undefined) {
      progress(await server.cli('run', 'events', telling.run.id));
    }
  }
  return [...figures, await withOpenBreaker(server, progress)];
}

async function callAll(server: JobServer, workflow: string): Promise<Recorded[]> {
  const done: Recorded[] = [];
  for (let call = 0; call < calls; call += together) {
    const batch = Array.from({ length: together }, (_, index) =>
      server.run(workflow, { file, call: call + index }),
    );
    done.push(...(await Promise.all(batch)));
    await closeBreakers(server);
  }
  return done;
}

async function closeBreakers({ client }: JobServer): Promise<void> {
  const { items } = await client.breakers({ limit: 500 });
  for (const { key } of items) {
    if (agents.some((agent) => key === `agent:${agent}`)) await client.resetBreaker(key);
  }
}

/** Once its breaker is open, an agent is left alone for a minute; whoever has an answer must not wait for it. */
async function withOpenBreaker(
  server: JobServer,
  progress: (text: string) => void,
): Promise<Measured> {
  for (let call = 0; call < 1_000; call += 1) {
    const { items } = await server.client.breakers({ state: 'open' });
    if (items.some(({ key }) => key === 'agent:checksum-flaky')) break;
    await server.run('checksum-alone', { file, call });
  }
  const { run, tookMs } = await server.run('checksum-redundant', { file, call: 0 });
  progress(`with the breaker of checksum-flaky open: ${run.status} after ${tookMs} ms`);
  progress(await server.cli('run', 'events', run.id));
  await closeBreakers(server);
  return { metric: 'redundant_beside_open_breaker_ms', unit: 'ms', values: [tookMs] };
}
