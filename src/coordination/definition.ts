/** A checked workflow, in the form that is hashed and pinned by its runs. */
import type { RouteMode } from '../learning/learning.ts';

export type WorkflowMode =
  | 'sequential'
  | 'parallel'
  | 'pipeline'
  | 'consensus'
  | 'competitive'
  | 'redundant';

/** How a call reaches its agent: see `planCall`. */
export type Tandem = 'intelligent' | 'speed' | 'standard' | 'redundant' | 'consensus';

/** One input that a workflow takes. */
export interface InputSpec {
  readonly type:
    | 'string'
    | 'number'
    | 'integer'
    | 'boolean'
    | 'directory'
    | 'git-repository'
    | 'json';
  readonly description: string;
  readonly required: boolean;
  readonly default?: string | number | boolean;
}

/** Money in millionths of a US dollar, tokens, milliseconds: whole numbers from 0. */
export interface Amounts {
  readonly microUsd?: number;
  readonly tokens?: number;
  readonly ms?: number;
}

export interface TaskBase {
  /** The path within the workflow: the ids from the outermost group down, joined by `/`. */
  readonly id: string;
  readonly description: string;
  /** Paths of siblings that must have completed. */
  readonly needs: readonly string[];
  /** Paths of siblings that must have ended, however. */
  readonly after: readonly string[];
  /** 1 to 100; higher goes first. */
  readonly priority: number;
  /** `stop`: a failure ends the group it stands in as failed. `continue`: the rest goes on. */
  readonly onFailure: 'stop' | 'continue';
  /** Of a pipeline's stage: items in it at the same time; absent: the pipeline's limit. */
  readonly concurrency?: number;
}

/**
 * Who may do a task whose agent is chosen when it begins: those named in `among`, else all that whoever
 * starts the run may call and that take the task's input; of either those of the category and with all
 * of the capabilities.
 */
export interface Route {
  readonly among?: readonly string[];
  readonly category?: string;
  readonly capabilities?: readonly string[];
  /** How much may be tried out; absent: as it is set for the fleet. */
  readonly mode?: RouteMode;
  /** How much of a probability of success of 1 a dollar and a minute count. */
  readonly perUsd?: number;
  readonly perMinute?: number;
}

/** A task that an agent does: the one that it names, or one that is chosen. Exactly one of the two is set. */
export interface AgentTask extends TaskBase {
  readonly agent?: string;
  readonly route?: Route;
  /** What kind of task it is: tasks of one type are compared with each other. */
  readonly type?: string;
  /** What the agent gets; `${…}` expressions are resolved when the task starts. */
  readonly input: unknown;
  /** One attempt's limit; absent: the agent's own. */
  readonly timeoutMs?: number;
  /** Further tries after the first; absent: the agent's own. */
  readonly retries?: number;
  /** An attempt that reports no progress for so long is stopped and tried again. */
  readonly stallMs?: number;
  /** What one attempt may use: reserved before it starts. */
  readonly budget?: Amounts;
  /** Through which doors the agent is called; absent: the worker calls it in its own process. */
  readonly tandem?: Tandem;
  /** The folder that the agent may change, and how it is kept so that it can be put back. */
  readonly workspace?: { readonly folder: unknown; readonly kind: 'worktree' | 'snapshot' };
  /** What undoes the task's effects on the world outside. */
  readonly compensate?: { readonly agent: string; readonly input: unknown };
}

/** A task that is done by others, in a mode of its own. */
export interface GroupTask extends TaskBase {
  readonly group: Group;
}

/** A task that a person answers. */
export interface ApprovalTask extends TaskBase {
  readonly approval: { readonly prompt: unknown };
  readonly timeoutMs?: number;
}

/** A task that waits for a signal, or for time to pass. */
export interface WaitTask extends TaskBase {
  readonly wait: { readonly signal: string } | { readonly ms: number };
  /** How long a signal is waited for. */
  readonly timeoutMs?: number;
}

export type TaskSpec = AgentTask | GroupTask | ApprovalTask | WaitTask;

/** Tasks and how they are done together. */
export interface Group {
  readonly mode: WorkflowMode;
  /** In the order of the file: stages of a pipeline, voters, racers. */
  readonly tasks: readonly TaskSpec[];
  /** Attempts at the same time, those of groups within included. */
  readonly maxParallel: number;
  /** What the group gives back, with expressions; absent: what its mode says. */
  readonly output?: unknown;
  /** Of a pipeline. */
  readonly stream?: Stream;
  /** Of a consensus and of redundant agents. */
  readonly voting?: Voting;
  /** Of a competition. */
  readonly race?: Race;
  /** The agents that are chosen for its tasks are different ones. */
  readonly differ?: true;
}

export interface Stream {
  /** Resolves to a list when the pipeline starts; its stages see `${item}`, `${index}` and `${previous}`. */
  readonly items: unknown;
  /** Items that may wait in front of a stage; when they are so many the stage before pauses. */
  readonly buffer: number;
}

export interface Voting {
  /** Answers that must be in, at least. */
  readonly quorum: number;
  /** The share of the weight of all answers that the winning one must have, above 0, up to 1. */
  readonly agreement: number;
  readonly judge: Judge;
  /** By the last part of a voter's path; 1 for those not named. */
  readonly weights: Readonly<Record<string, number>>;
  /** Who decides when there is no agreement: an agent that sees `${votes}`, a person, or nobody. */
  readonly arbiter?: AgentTask | 'person';
}

/**
 * When two answers count as one. `similar`: their likeness from 0 to 1 is at least so much.
 * `elements`: answers are lists and each element is voted on by itself; two elements are one when
 * the fields of that name are equal (absent: when all of it is); the winning list holds those that
 * the share of the weight stands behind.
 */
export type Judge =
  | { readonly kind: 'identical' }
  | { readonly kind: 'similar'; readonly least: number }
  | { readonly kind: 'elements'; readonly fields?: readonly string[] };

export interface Race {
  /** The next racer starts when nobody has won for so long, or at once when one has failed. */
  readonly hedgeMs: number;
  /** A JSON Schema that an answer must fit to win. */
  readonly accept?: unknown;
  /** An agent that sees `${answer}`; an answer wins unless it fails or gives back false or {ok: false}. */
  readonly verify?: AgentTask;
}

export interface WorkflowDefinition extends Group {
  /** What a worker must know to drive it: 1 for tasks of agents alone, 3 where agents are chosen, else 2. Absent: 1. */
  readonly format?: number;
  readonly name: string;
  readonly description: string;
  readonly inputs: Readonly<Record<string, InputSpec>>;
  readonly timeoutMs: number;
  /** What all attempts of a run may use together. */
  readonly budget?: Amounts;
  /** Names of budgets that its runs share with others. */
  readonly budgets?: readonly string[];
  /** What happens at the limit of `budget`: a person is asked for more, or the run fails. */
  readonly onBudget?: 'ask' | 'fail';
}

/** The format of workflows that choose agents. */
export const routedFormat = 3;
/** The newest format that this version drives. */
export const knownFormat = 3;

export function isAgentTask(task: TaskSpec): task is AgentTask {
  return 'agent' in task || 'route' in task;
}

export function isGroupTask(task: TaskSpec): task is GroupTask {
  return 'group' in task;
}

export function isApprovalTask(task: TaskSpec): task is ApprovalTask {
  return 'approval' in task;
}

/** All of it: an agent in this process gets parts of it as its input, and a retry has to find them unchanged. */
export function frozen<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null) return value;
  for (const part of Object.values(value)) frozen(part);
  return Object.freeze(value);
}

/** Every task of a group, those of groups within, arbiters and verifiers included, outermost first. */
export function allTasks(group: Group): TaskSpec[] {
  const arbiter = group.voting?.arbiter;
  const own: TaskSpec[] = [
    ...group.tasks,
    ...(arbiter === undefined || arbiter === 'person' ? [] : [arbiter]),
    ...(group.race?.verify === undefined ? [] : [group.race.verify]),
  ];
  return own.flatMap((task) => (isGroupTask(task) ? [task, ...allTasks(task.group)] : [task]));
}

/** Every agent that a workflow names, compensations included, once each. */
export function agentNames(definition: Group): string[] {
  const names = allTasks(definition)
    .filter(isAgentTask)
    .flatMap(({ agent, route, compensate }) => [
      ...(agent === undefined ? [] : [agent]),
      ...(route?.among ?? []),
      ...(compensate === undefined ? [] : [compensate.agent]),
    ]);
  return [...new Set(names)];
}
