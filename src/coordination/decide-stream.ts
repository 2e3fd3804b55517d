import { childPath, failureOf, type Standing, type Walk } from './walk.ts';
import type { Group, TaskSpec } from './definition.ts';
import { taskEnded } from './state.ts';
import type { Stream } from './stream.ts';

/**
 * A pipeline: items go through the stages one behind another. A stage takes as many at a time as it
 * may, and pauses while too many wait in front of the next one. Items nearer the end go first, so that
 * results come early and little is held.
 */
export function decideStream(walk: Walk, path: string, group: Group): Standing {
  const stream = walk.task(path)?.stream;
  if (stream === undefined || group.stream === undefined) return { running: 0 };
  const failing = failedStage(walk, path, group, stream);
  if (failing !== undefined) {
    const running = walk.runningIn(path);
    if (running > 0) return { failing, running };
    return { ended: { outcome: 'failed', error: failing, verdict: verdictOf(stream) }, running };
  }
  if (stream.next >= stream.items.length && stream.active.size === 0) {
    return {
      ended: {
        outcome: 'completed',
        output: outputOf(walk, path, group, stream),
        verdict: verdictOf(stream),
      },
      running: 0,
    };
  }
  const running = moveOn(walk, path, group, stream);
  return { running };
}

function moveOn(walk: Walk, path: string, group: Group, stream: Stream): number {
  const stages = group.tasks;
  const buffer = group.stream?.buffer ?? 1;
  const begun: number[] = stages.map(() => 0);
  const waiting: number[][] = stages.map(() => []);
  let running = 0;
  for (const [item, stage] of stream.active) {
    const task = stages[stage];
    if (task === undefined) continue;
    const own = walk.task(instance(path, task, item));
    if (own === undefined || own.status === 'created') waiting[stage]?.push(item);
    else {
      begun[stage] = (begun[stage] ?? 0) + 1;
      running += walk.advance(own.id, task);
    }
  }
  for (let stage = stages.length - 1; stage >= 0; stage -= 1) {
    const task = stages[stage];
    if (task === undefined) continue;
    const limit = task.concurrency ?? group.maxParallel;
    const ahead = stage + 1 < stages.length ? (waiting[stage + 1]?.length ?? 0) : 0;
    let room = Math.min(
      limit - (begun[stage] ?? 0),
      stage + 1 < stages.length ? Math.max(0, buffer - ahead) : Infinity,
    );
    for (const item of (waiting[stage] ?? []).toSorted((a, b) => a - b)) {
      if (room <= 0) break;
      room -= 1;
      walk.advance(instance(path, task, item), task);
    }
    if (stage !== 0) continue;
    for (let item = stream.next; room > 0 && item < stream.items.length; item += 1) {
      room -= 1;
      walk.advance(instance(path, task, item), task);
    }
  }
  return running;
}

function instance(path: string, stage: TaskSpec, item: number): string {
  return `${childPath(path, stage)}#${item}`;
}

/** A stage that stops the pipeline when it fails, and did on one of the items it dropped. */
function failedStage(walk: Walk, path: string, group: Group, stream: Stream) {
  for (const item of stream.dropped) {
    for (const stage of group.tasks) {
      const own = walk.task(instance(path, stage, item));
      if (own === undefined || !taskEnded(own.status)) break;
      if (own.status === 'completed') continue;
      if (stage.onFailure === 'stop') return failureOf(own.id, own.error, own.reason);
      break;
    }
  }
  return undefined;
}

function verdictOf({ items, completed, dropped }: Stream) {
  return {
    mode: 'pipeline',
    items: items.length,
    completed,
    dropped: dropped.toSorted((a, b) => a - b),
  } as const;
}

/** What the last stage gave for each item, in the order of the items; null for one that was dropped. */
function outputOf(walk: Walk, path: string, group: Group, stream: Stream): unknown {
  if (group.output !== undefined) return walk.resolveOutput(group.output, path);
  const last = group.tasks.at(-1);
  return stream.items.map((_, item) =>
    last === undefined ? null : (walk.task(instance(path, last, item))?.output ?? null),
  );
}
