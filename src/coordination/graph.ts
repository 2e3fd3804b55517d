import type { TaskSpec } from './definition.ts';

/** What a task waits for, in one list. */
export function waitsFor(task: TaskSpec): readonly string[] {
  return [...task.needs, ...task.after];
}

/** Tasks in the waves in which they can start at the earliest; what lies on or behind a cycle is in none. */
export function wavesOf(tasks: readonly TaskSpec[]): string[][] {
  const placed = new Set<string>();
  const waves: string[][] = [];
  let open = [...tasks];
  while (open.length > 0) {
    const wave = open.filter((task) => waitsFor(task).every((id) => placed.has(id)));
    if (wave.length === 0) break;
    for (const task of wave) placed.add(task.id);
    waves.push(wave.map((task) => task.id));
    open = open.filter((task) => !placed.has(task.id));
  }
  return waves;
}

/** One cycle as a path that ends where it began (`a → b → a`), or undefined. */
export function cycleOf(tasks: readonly TaskSpec[]): string[] | undefined {
  const byId = new Map(tasks.map((task) => [task.id, task]));
  const done = new Set<string>();
  for (const start of tasks) {
    // A walk with its own stack: a chain of a thousand tasks must not meet the call stack's limit.
    const path: { id: string; next: number }[] = [{ id: start.id, next: 0 }];
    const onPath = new Set([start.id]);
    while (path.length > 0) {
      const top = path.at(-1);
      if (top === undefined) break;
      const task = byId.get(top.id);
      const target = task === undefined ? undefined : waitsFor(task)[top.next];
      if (target === undefined || done.has(top.id)) {
        done.add(top.id);
        onPath.delete(top.id);
        path.pop();
        continue;
      }
      top.next += 1;
      if (onPath.has(target)) {
        const ids = path.map((step) => step.id);
        return [...ids.slice(ids.indexOf(target)), target];
      }
      path.push({ id: target, next: 0 });
      onPath.add(target);
    }
  }
  return undefined;
}

/** For every task, all tasks that have ended by the time it starts. */
export function ancestorsOf(tasks: readonly TaskSpec[]): Map<string, ReadonlySet<string>> {
  const byId = new Map(tasks.map((task) => [task.id, task]));
  const ancestors = new Map<string, ReadonlySet<string>>();
  for (const wave of wavesOf(tasks)) {
    for (const id of wave) {
      const task = byId.get(id);
      const all = new Set<string>();
      for (const earlier of task === undefined ? [] : waitsFor(task)) {
        all.add(earlier);
        for (const further of ancestors.get(earlier) ?? []) all.add(further);
      }
      ancestors.set(id, all);
    }
  }
  return ancestors;
}
