/** Workflows of one group, for tests of the modes. */
import type { Group, TaskSpec, Voting } from '../../src/coordination/definition.ts';
import { Log, task, workflow } from './decision-log.ts';

/** A workflow of one task before, one group, and one task after it. */
export function around(group: Partial<Group>, fields: Partial<TaskSpec> = {}) {
  const full: Group = { mode: 'parallel', tasks: [], maxParallel: 10, ...group };
  const spec: TaskSpec = { ...base('g'), needs: ['before'], ...fields, group: full } as TaskSpec;
  return workflow([], {
    format: 2,
    tasks: [
      task({ id: 'before' }),
      spec,
      task({ id: 'behind', needs: ['g'], input: '${tasks.g.output}' }),
    ],
  });
}

export function base(id: string) {
  return { id, description: '', needs: [], after: [], priority: 50, onFailure: 'stop' as const };
}

export function begun(definition: ReturnType<typeof around>): Log {
  const log = new Log(definition);
  log.start('before');
  log.succeed('before', 'seed');
  return log;
}

export function startAll(log: Log, nowMs = 0): string[] {
  const paths = log.starts(nowMs);
  for (const path of paths) log.start(path, nowMs);
  return paths;
}

export const voting = (fields: Partial<Voting> = {}): Voting => ({
  quorum: 2,
  agreement: 0.6,
  judge: { kind: 'identical' },
  weights: {},
  ...fields,
});
export const members = ['a', 'b', 'c'].map((name) => task({ id: `g/${name}` }));
