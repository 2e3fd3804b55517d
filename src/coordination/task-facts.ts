/** What is known of a task before it begins: what a choice compares it with others by. */
import { taskTextLength, type TaskFacts } from '../learning/learning.ts';
import type { AgentTask, WorkflowDefinition } from './definition.ts';
import { templateOf } from './shape.ts';
import type { RunState } from './state.ts';

/** `input`: with its expressions resolved. */
export function factsOf(
  definition: WorkflowDefinition,
  state: RunState,
  path: string,
  task: AgentTask,
  input: unknown,
): TaskFacts {
  const template = templateOf(path);
  const group = state.shape.nodes.get(template)?.group;
  const description = task.description === '' ? definition.description : task.description;
  const type = task.type ?? `${definition.name}/${group?.differ === true ? group.mode : template}`;
  const words = typeof input === 'string' ? `${description}\n${input}` : description;
  return { type: type.slice(0, 200), text: (words.trim() || type).slice(0, taskTextLength) };
}
