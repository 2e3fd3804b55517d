/** What expressions can name, by where they stand. */
import { runFolder } from './run-folder.ts';
import type { WorkflowDefinition } from './definition.ts';
import { itemOf, join, nameOf, parentOf, templateOf } from './shape.ts';
import { agentAt, taskEnded, type RunState } from './state.ts';

type Scope = Readonly<Record<string, unknown>>;

export interface ScopeSource {
  readonly home: string;
  readonly runId: string;
  readonly definition: WorkflowDefinition;
  readonly state: RunState;
}

/**
 * The scope of a task: inputs, the run, and by their names the tasks that have ended by then, here
 * and in the groups around it; inner names hide outer ones. A stage of a pipeline has its `item`, its
 * number and what the stage before gave (`previous`). `extra` is added: votes, an answer.
 */
export function scopeOf(source: ScopeSource, path: string, extra: Scope = {}): Scope {
  const { state } = source;
  const node = state.shape.nodes.get(templateOf(path));
  const names = node?.asksFor;
  const tasks: Record<string, unknown> = {};
  // From the outside in, so that inner names come last.
  for (const level of levelsOf(path)) {
    const place = state.shape.nodes.get(templateOf(level));
    if (place === undefined) continue;
    const item = itemOf(level);
    const ending = item === undefined ? '' : `#${item}`;
    for (const name of place.earlier) {
      if (names !== undefined && !names.has(name)) continue;
      const view = taskScope(state, `${join(parentOf(level), name)}${ending}`);
      if (view !== undefined) tasks[name] = view;
    }
  }
  return { ...baseScope(source), tasks, ...itemScope(state, path), ...extra };
}

/** The scope of what a group gives back: all tasks within it. */
export function outputScope(source: ScopeSource, group: string): Scope {
  const { state } = source;
  const tasks: Record<string, unknown> = {};
  for (const [path, task] of state.tasks) {
    if (parentOf(path) !== group || path === group || !taskEnded(task.status)) continue;
    const view = taskScope(state, path);
    if (view !== undefined) tasks[nameOf(path)] = view;
  }
  if (group === '') return { ...baseScope(source), tasks };
  const around = scopeOf(source, group);
  return { ...around, tasks: { ...(around['tasks'] as object), ...tasks } };
}

function baseScope({ home, runId, definition, state }: ScopeSource): Scope {
  return {
    inputs: state.input,
    run: { id: runId, workflow: definition.name, folder: runFolder(home, runId) },
  };
}

/** `a/b#1/c` stands in `a`, `a/b#1` and itself. */
function levelsOf(path: string): string[] {
  const parts = path.split('/');
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
}

function taskScope(state: RunState, path: string): object | undefined {
  const task = state.tasks.get(path);
  if (task === undefined || !taskEnded(task.status)) return undefined;
  const { status, output = null, error = null, reason = null, verdict = null } = task;
  const agent = agentAt(state, path) ?? null;
  return { agent, status, output, error, reason, verdict };
}

/** The innermost pipeline's item. */
function itemScope(state: RunState, path: string): Scope {
  for (const level of levelsOf(path).toReversed()) {
    const index = itemOf(level);
    const node = state.shape.nodes.get(templateOf(level));
    if (index === undefined || node?.group.mode !== 'pipeline') continue;
    const parent = parentOf(level);
    const item = state.tasks.get(parent)?.stream?.items[index];
    const before = node.group.tasks[node.index - 1];
    if (before === undefined) return { item, index };
    const previous = state.tasks.get(`${join(parent, nameOf(before.id))}#${index}`)?.output ?? null;
    return { item, index, previous };
  }
  return {};
}
