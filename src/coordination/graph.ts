import type { TaskSpec } from './definition.ts';

/** What a task waits for, in one list. */
export function waitsFor(task: TaskSpec): readonly string[] {
  return [...task.needs, ...task.after];
}

/** Tasks in the waves in which they can start at the earliest; what lies on or behind a cycle is in none. */
export function wavesOf(tasks: readonly TaskSpec[]): string[][] {
  // Counting down what each still waits for: a chain of two thousand is not looked through two thousand times.
  const open = new Map(tasks.map((task) => [task.id, new Set(waitsFor(task)).size]));
  const followers = new Map<string, string[]>();
  for (const task of tasks) {
    for (const id of new Set(waitsFor(task))) {
      const known = followers.get(id);
      if (known === undefined) followers.set(id, [task.id]);
      else known.push(task.id);
    }
  }
  const order = new Map(tasks.map(({ id }, index) => [id, index]));
  const waves: string[][] = [];
  let wave = tasks.filter(({ id }) => open.get(id) === 0).map(({ id }) => id);
  while (wave.length > 0) {
    waves.push(wave);
    const next: string[] = [];
    for (const follower of wave.flatMap((id) => followers.get(id) ?? [])) {
      const left = (open.get(follower) ?? 0) - 1;
      open.set(follower, left);
      if (left === 0) next.push(follower);
    }
    wave = next.toSorted((one, other) => (order.get(one) ?? 0) - (order.get(other) ?? 0));
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
