/** Two hundred modules stream through three stages; what waited in front of each is counted from the events. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunEvent } from '../../src/coordination/coordination.ts';
import { completed, root, type JobServer } from './jobs-server.ts';
import type { Measured } from './report.ts';

const modules = 200;
const stages = ['read', 'parse', 'write'] as const;
/** As the workflow says. */
const buffer = 4;
const atOnce = { read: 4, parse: 1, write: 2 };

export async function measurePipeline(
  server: JobServer,
  progress: (text: string) => void,
): Promise<Measured[]> {
  const folder = join(server.folder, 'index');
  const { run, events, tookMs } = completed(
    await server.run('index-modules', { tree: root, most: modules, folder }),
  );
  progress(await server.cli('run', 'show', run.id));
  const entries = readdirSync(folder).map(
    (name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as { file: string },
  );
  const files = new Set(entries.map(({ file }) => file));
  const most = mostInFront(events);
  for (const stage of ['parse', 'write'] as const) {
    progress(`in front of ${stage}: at the most ${most[stage]}, buffer ${buffer}`);
  }
  return [
    { metric: 'pipeline_items_per_s', unit: '1/s', values: [modules / (tookMs / 1_000)] },
    {
      metric: 'pipeline_entries',
      unit: 'files',
      values: [files.size],
      target: { atLeast: modules },
    },
    {
      // What is under way when a stage pauses still arrives, so a buffer holds that much more.
      metric: 'pipeline_most_before_parse',
      unit: 'items',
      values: [most.parse],
      target: { atMost: buffer - 1 + atOnce.read },
    },
    {
      metric: 'pipeline_most_before_write',
      unit: 'items',
      values: [most.write],
      target: { atMost: buffer - 1 + atOnce.parse },
    },
  ];
}

/** An item waits in front of a stage from the end of the one before until its first attempt there begins. */
function mostInFront(events: readonly RunEvent[]): { parse: number; write: number } {
  const waiting = { parse: 0, write: 0 };
  const most = { parse: 0, write: 0 };
  for (const { body } of events) {
    if (!('task' in body)) continue;
    const [, name] = /^index\/(\w+)#/.exec(body.task) ?? [];
    const stage = stages.findIndex((each) => each === name);
    const next = stages[stage + 1];
    if (body.type === 'attempt.succeeded' && stage >= 0 && (next === 'parse' || next === 'write')) {
      waiting[next] += 1;
      most[next] = Math.max(most[next], waiting[next]);
    }
    if (body.type === 'attempt.started' && body.attempt === 1) {
      if (name === 'parse' || name === 'write') waiting[name] -= 1;
    }
  }
  return most;
}
