/** What has to be done again when a task is. */
import { AppError, suggest } from '../base/base.ts';
import { isGroupTask, type Group } from './definition.ts';
import { isWithin, itemOf, join, nameOf, parentOf, templateOf } from './shape.ts';
import type { RunState } from './state.ts';

/** Groups whose members belong together: one can't be done again without the others. */
const wholeModes: ReadonlySet<string> = new Set(['consensus', 'competitive', 'redundant']);

/**
 * Tasks that an ended run has not completed, with all of a group that voted or raced in vain, and
 * those whose effects were undone since, with all that stands on them.
 */
export function unfinished(state: RunState): string[] {
  const again = new Set<string>();
  for (const { id, status } of state.tasks.values()) {
    if (status === 'completed') continue;
    again.add(id);
    const group = groupOf(state, id);
    if (group === undefined || !wholeModes.has(group.mode)) continue;
    for (const path of state.tasks.keys()) if (isWithin(path, id)) again.add(path);
  }
  for (const task of undoneTasks(state)) {
    for (const path of standingOn(state, task)) again.add(path);
  }
  return [...again];
}

function undoneTasks({ effects }: RunState): string[] {
  const standing = new Set(effects.filter(({ undone }) => !undone).map(({ task }) => task));
  return effects.filter(({ task }) => !standing.has(task)).map(({ task }) => task);
}

/**
 * A task and everything that stands on its result: what waits for it here, the groups around it and
 * what waits for those. Throws `invalid_input` when the run has no such task.
 */
export function standingOn(state: RunState, path: string): string[] {
  const from = wholeGroup(state, checked(state, path));
  const again = new Set<string>();
  const addAll = (root: string): void => {
    again.add(root);
    for (const each of state.tasks.keys()) if (isWithin(each, root)) again.add(each);
  };
  addAll(from);
  for (let here = from; here !== ''; here = parentOf(here)) {
    for (const next of after(state, here)) addAll(next);
    const around = parentOf(here);
    if (state.tasks.has(around)) again.add(around);
  }
  return [...again].filter((each) => state.tasks.has(each));
}

/** A voter or racer stands for its whole group. */
function wholeGroup(state: RunState, path: string): string {
  let from = path;
  for (let here = path; here !== ''; here = parentOf(here)) {
    const group = groupOf(state, parentOf(here));
    if (group !== undefined && wholeModes.has(group.mode) && parentOf(here) !== '') {
      from = parentOf(here);
    }
  }
  return from;
}

function checked(state: RunState, path: string): string {
  if (path !== '' && state.tasks.has(path)) return path;
  const near = suggest(path, state.tasks.keys());
  throw new AppError('invalid_input', `the run has no task ${path}`, {
    details: { task: path },
    remedy: near === undefined ? '`centuria run show` lists them.' : `Did you mean ${near}?`,
  });
}

function groupOf(state: RunState, path: string): Group | undefined {
  const spec = state.shape.nodes.get(templateOf(path))?.spec;
  return spec !== undefined && isGroupTask(spec) ? spec.group : undefined;
}

/** Siblings that wait for a task, near and far; of an item, its later stages. */
function after(state: RunState, path: string): string[] {
  const node = state.shape.nodes.get(templateOf(path));
  if (node === undefined) return [];
  const item = itemOf(path);
  const parent = parentOf(path);
  if (node.group.mode === 'pipeline' && item !== undefined) {
    return node.group.tasks
      .slice(node.index + 1)
      .map((stage) => `${join(parent, nameOf(stage.id))}#${item}`);
  }
  return node.group.tasks
    .filter((task) => state.shape.nodes.get(task.id)?.earlier.has(node.name) === true)
    .map((task) => join(parent, nameOf(task.id)));
}
