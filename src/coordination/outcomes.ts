/** What came of a run's attempts, as learning keeps it: what was asked for, who did it, how it ended. */
import { redact, type Clock } from '../base/base.ts';
import { taskTextLength, type Outcome, type TaskFacts } from '../learning/learning.ts';
import { agentWorkflowPrefix } from './agent-runs.ts';
import { breakerOutcome } from './breaker-outcome.ts';
import {
  isAgentTask,
  type AgentTask,
  type WorkflowDefinition,
  type WorkflowMode,
} from './definition.ts';
import type { EventBody, Usage } from './events.ts';
import { FolderSizes, type FolderSize } from './folder-size.ts';
import { itemOf, join, nameOf, parentOf, templateOf, type Node } from './shape.ts';
import { agentAt, type RunState, type TaskState } from './state.ts';

export interface FactSource {
  readonly definition: WorkflowDefinition;
  readonly state: RunState;
  readonly path: string;
  readonly task: AgentTask;
  /** With its expressions resolved; undefined while they are not. */
  readonly input: unknown;
}

/** Groups whose members all do the same task: what differs between them is who does it. */
const sameTask: ReadonlySet<WorkflowMode> = new Set(['consensus', 'competitive', 'redundant']);
/** Fields of an input that say in words what is wanted. */
const wordFields = [
  'task',
  'prompt',
  'question',
  'query',
  'text',
  'description',
  'title',
  'goal',
] as const;
const typeLength = 200;
const maxPartners = 8;
/** How far back partners are looked for: bounds what the end of one of many tasks costs. */
const maxLookedAt = 32;

/** What is asked for without an expression is the same for all runs of a definition. */
const plainFacts = new WeakMap<Node, TaskFacts>();

/** What is known of a task before it begins; `size`: of the folders that its input names. */
export function factsOf(source: FactSource, size?: FolderSize): TaskFacts {
  const node = source.state.shape.nodes.get(templateOf(source.path));
  if (node?.isPlain !== true || size !== undefined) return describe(source, node, size);
  const known = plainFacts.get(node);
  if (known !== undefined) return known;
  const facts = describe(source, node, size);
  plainFacts.set(node, facts);
  return facts;
}

function describe(source: FactSource, node: Node | undefined, size?: FolderSize): TaskFacts {
  const { task, input } = source;
  const type = typeOf(source, node);
  const own = task.description === '' ? groupDescription(source, node) : task.description;
  const words = [own, ...wordsOf(input)].filter((each) => each.trim() !== '').join('\n');
  const inputBytes = size === undefined ? lengthOf(input) : size.bytes;
  return {
    type,
    text: cleanText(words) || type,
    ...(inputBytes === undefined ? {} : { inputBytes }),
    ...(size === undefined ? {} : { context: { files: size.files } }),
  };
}

function typeOf({ definition, path, task }: FactSource, node: Node | undefined): string {
  if (task.type !== undefined) return task.type;
  // A run of one agent is a workflow that nobody wrote, named after the agent.
  if (definition.name.startsWith(agentWorkflowPrefix)) return definition.name;
  const place = isMember(node) ? node.parent : templateOf(path);
  return join(definition.name, place).replace(/\/$/, '').slice(0, typeLength);
}

/** One of those that do the same; an arbiter or a verifier does something else. */
function isMember(node: Node | undefined): node is Node {
  return node !== undefined && node.index >= 0 && sameTask.has(node.group.mode);
}

function groupDescription({ state }: FactSource, node: Node | undefined): string {
  if (!isMember(node)) return '';
  return state.shape.nodes.get(node.parent)?.spec.description ?? '';
}

function wordsOf(input: unknown): string[] {
  if (typeof input === 'string') return [input];
  if (typeof input !== 'object' || input === null) return [];
  const fields = input as Readonly<Record<string, unknown>>;
  return wordFields.flatMap((name) => {
    const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
    return typeof value === 'string' ? [value] : [];
  });
}

/** Without secrets, and without what PostgreSQL takes in no text. */
function cleanText(text: string): string {
  const clean = redact(
    beginning(text, 2 * taskTextLength)
      .replaceAll('\0', ' ')
      .toWellFormed(),
  );
  return clean.slice(0, taskTextLength).toWellFormed().trim();
}

/** Cut at a space: half a secret would not be known as one. */
function beginning(text: string, length: number): string {
  if (text.length <= length) return text;
  let end = length;
  while (end > 0 && !/\s/.test(text.charAt(end - 1))) end -= 1;
  return text.slice(0, end);
}

function lengthOf(input: unknown): number | undefined {
  if (input === undefined || input === null) return undefined;
  try {
    return Buffer.byteLength(JSON.stringify(input));
  } catch {
    // What no JSON can hold has no length as JSON.
    return undefined;
  }
}

/** An attempt under way: what it is about. */
interface Begun {
  readonly task: AgentTask;
  readonly facts: TaskFacts;
}

export interface RunOutcomesOptions {
  readonly runId: string;
  readonly definition: WorkflowDefinition;
  readonly state: RunState;
  readonly clock: Clock;
}

/** Gathers what comes of the attempts of one run, until it is written with their events. */
export class RunOutcomes {
  readonly #runId: string;
  readonly #definition: WorkflowDefinition;
  readonly #state: RunState;
  readonly #folders: FolderSizes;
  readonly #begun = new Map<string, Begun>();
  #ended: Outcome[] = [];

  constructor({ runId, definition, state, clock }: RunOutcomesOptions) {
    this.#runId = runId;
    this.#definition = definition;
    this.#state = state;
    this.#folders = new FolderSizes(definition, state, clock);
  }

  /**
   * Takes down what an attempt gets. A promise while a folder is measured for the first time; it never
   * rejects, and ends within some 50 ms.
   */
  about(path: string, task: AgentTask, input: unknown): TaskFacts | Promise<TaskFacts> {
    const source = { definition: this.#definition, state: this.#state, path, task, input };
    const size = this.#folders.of(input);
    if (!(size instanceof Promise)) return this.#note(path, task, factsOf(source, size));
    return size.then((known) => this.#note(path, task, factsOf(source, known)));
  }

  #note(path: string, task: AgentTask, facts: TaskFacts): TaskFacts {
    this.#begun.set(path, { task, facts });
    return facts;
  }

  /** To be told of every event, before the state knows it. */
  observe(body: EventBody, atMs: number): void {
    switch (body.type) {
      case 'attempt.succeeded':
        return this.#end(body.task, atMs, { result: 'succeeded', usage: usageOf(body.usage) });
      case 'attempt.failed':
        return this.#end(body.task, atMs, {
          result: 'failed',
          isOwnFault: breakerOutcome(body.error) === 'failure',
          errorCode: body.error.code,
          ...(body.usage === undefined ? {} : { usage: usageOf(body.usage) }),
        });
      case 'attempt.cancelled':
        return this.#end(body.task, atMs, {
          result: 'cancelled',
          ...(body.usage === undefined ? {} : { usage: usageOf(body.usage) }),
        });
      case 'attempt.deferred':
      case 'attempt.abandoned':
        this.#begun.delete(body.task);
        return;
      default:
    }
  }

  /** What has ended since the last time. */
  take(): readonly Outcome[] {
    const ended = this.#ended;
    if (ended.length > 0) this.#ended = [];
    return ended;
  }

  #end(
    path: string,
    endedAtMs: number,
    came: Pick<Outcome, 'result' | 'isOwnFault' | 'errorCode' | 'usage'>,
  ): void {
    const begun = this.#begun.get(path);
    this.#begun.delete(path);
    const known = this.#state.tasks.get(path);
    const node = this.#state.shape.nodes.get(templateOf(path));
    const task = begun?.task ?? (node !== undefined && isAgentTask(node.spec) ? node.spec : null);
    if (known?.attemptId === undefined || node === undefined || task === null) return;
    const definition = this.#definition;
    const state = this.#state;
    const chosen = known.routed?.attempt === known.attempts ? known.routed : undefined;
    const agent = task.agent ?? chosen?.agent;
    // Nobody was found for it, so that nothing came of anybody.
    if (agent === undefined) return;
    const partners = partnersOf(state, node, path, agent);
    this.#ended.push({
      attemptId: known.attemptId,
      runId: this.#runId,
      task: path,
      workflow: definition.name,
      mode: node.group.mode,
      agent,
      definitionHash: state.agents[agent] ?? '',
      facts: begun?.facts ?? factsOf({ definition, state, path, task, input: undefined }),
      startedAtMs: Math.min(known.attemptAtMs ?? endedAtMs, endedAtMs),
      endedAtMs,
      ...came,
      ...(partners.length === 0 ? {} : { partners }),
      ...(chosen?.decision === undefined ? {} : { decision: chosen.decision }),
    });
  }
}

/** Others of its group that worked beside it or before it, at most eight, the nearest first. */
export function partnersOf(
  state: RunState,
  node: Node,
  path: string,
  own?: string,
  doerAt: (path: string) => string | undefined = (each) => agentAt(state, each),
): string[] {
  const found = new Set<string>();
  const siblings = node.group.tasks;
  if (siblings.length < 2) return [];
  const item = itemOf(path);
  const ending = item === undefined ? '' : `#${item}`;
  // Those after it have begun as well where they do not wait for each other.
  const isOrdered = node.group.mode === 'sequential' || node.group.mode === 'pipeline';
  const last = isOrdered && node.index >= 0 ? node.index - 1 : siblings.length - 1;
  const first = Math.max(0, last - maxLookedAt + 1);
  for (let at = last; at >= first && found.size < maxPartners; at -= 1) {
    const sibling = siblings[at];
    if (sibling === undefined || at === node.index || !isAgentTask(sibling)) continue;
    const beside = `${join(parentOf(path), nameOf(sibling.id))}${ending}`;
    const doer = hasBegun(state.tasks.get(beside)) ? doerAt(beside) : undefined;
    if (doer !== undefined && doer !== own) found.add(doer);
  }
  return [...found].toSorted();
}

function hasBegun(task: TaskState | undefined): boolean {
  return task !== undefined && task.attempts > 0;
}

/** Agents say themselves what they used: what is no number, or below zero, is not known. */
function usageOf(usage: Usage): NonNullable<Outcome['usage']> {
  const { wallMs } = usage;
  return {
    wallMs: Number.isFinite(wallMs) ? Math.max(0, wallMs) : 0,
    ...amount('cpuMs', usage.cpuMs),
    ...whole('peakMemoryBytes', usage.peakMemoryBytes),
    ...whole('outputBytes', usage.outputBytes),
    ...whole('tokens', usage.tokens),
    ...whole('microUsd', usage.microUsd),
  };
}

function amount<Name extends string>(
  name: Name,
  value: number | undefined,
): Partial<Record<Name, number>> {
  if (value === undefined || !Number.isFinite(value) || value < 0) return {};
  return { [name]: value } as Record<Name, number>;
}

function whole<Name extends string>(
  name: Name,
  value: number | undefined,
): Partial<Record<Name, number>> {
  return Number.isSafeInteger(Math.round(value ?? Number.NaN))
    ? amount(name, Math.round(value ?? 0))
    : {};
}
