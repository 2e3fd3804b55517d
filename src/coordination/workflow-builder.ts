/**
 * Workflows in TypeScript: the compiler knows what each agent takes and gives, and holds every
 * reference to it. What comes out is the same definition, with the same hash, as the YAML file gives
 * that `toYaml` writes.
 *
 * ```ts
 * const find = agent<{ folder: string }, { files: string[] }>('find-files');
 * const lint = agent<{ files: string[] }, { findings: number }>('lint-files');
 * export const flow = workflow(
 *   { name: 'lint-all', mode: 'parallel', inputs: { folder: { type: 'directory' } } },
 *   ({ inputs }) => {
 *     const found = task('find', find, { input: { folder: inputs.folder } });
 *     const linted = task('lint', lint, { needs: [found], input: { files: ref(found, 'files') } });
 *     return { tasks: [found, linted], output: ref(linted, 'findings') };
 *   },
 * );
 * process.stdout.write(toYaml(flow));
 * ```
 */
import { stringify } from 'yaml';
import { AppError } from '../base/base.ts';
import type { WorkflowDefinition, WorkflowMode } from './definition.ts';
import type { GroupFile, TaskFieldsFile, WorkflowFile } from './workflow-schema.ts';
import type {
  AgentTaskFile,
  ApprovalFile,
  CallFile,
  RouteFile,
  WaitFile,
} from './workflow-fields.ts';
import {
  expression,
  type value,
  type Expression,
  type Task,
  type Template,
} from './workflow-expressions.ts';
import { parseWorkflow, type KnownAgents } from './workflow.ts';

export { fact, ref, type Expression, type Task, type Template } from './workflow-expressions.ts';
export type { KnownAgents, WorkflowDefinition };

/** An agent with what it takes and what it gives back. */
export interface Agent<Input, Output> {
  readonly agent?: string;
  readonly route?: RouteFile;
  readonly [value]?: { readonly input: Input; readonly output: Output };
}

/** What can be said of any task but what it does. */
export interface TaskOptions extends Omit<TaskFieldsFile, 'needs' | 'after' | 'concurrency'> {
  readonly needs?: readonly Task[];
  readonly after?: readonly Task[];
}

type CallOptions = Omit<CallFile, 'agent' | 'route' | 'input' | 'compensate'> & {
  readonly compensate?: { readonly agent: string; readonly input?: unknown };
};

/** `input` may be left out where the agent takes nothing that it must be given. */
type InputOption<Input> = unknown extends Input
  ? { readonly input?: unknown }
  : Record<never, never> extends Input
    ? { readonly input?: Template<Input> }
    : { readonly input: Template<Input> };

type Optional<Options> =
  Record<never, never> extends Options ? [options?: Options] : [options: Options];

/** Names an agent; the types say what its `centuria.input` and `verify.schema` say. */
export function agent<Input = unknown, Output = unknown>(name: string): Agent<Input, Output> {
  return { agent: name };
}

/** An agent that is chosen when its task begins; the types say what all who may be chosen take and give. */
export function chosen<Input = unknown, Output = unknown>(
  route: RouteFile = 'auto',
): Agent<Input, Output> & { readonly route: RouteFile } {
  return { route };
}

/** A task that an agent does. */
export function task<const Id extends string, Input, Output>(
  id: Id,
  who: Agent<Input, Output>,
  ...[options]: Optional<TaskOptions & Omit<CallOptions, keyof TaskOptions> & InputOption<Input>>
): Task<Id, Output> {
  const file = { ...who, ...fieldsOf(options ?? {}) };
  return { id, file: file satisfies Partial<AgentTaskFile> };
}

/** A task that a person answers. */
export function approval<const Id extends string>(
  id: Id,
  prompt: string,
  options: TaskOptions & { readonly timeoutSeconds?: number } = {},
): Task<
  Id,
  { readonly approved: true; readonly by: string | null; readonly comment: string | null }
> {
  return { id, file: { approval: prompt, ...fieldsOf(options) } satisfies ApprovalFile };
}

/** A task that lets time pass. */
export function pause<const Id extends string>(
  id: Id,
  seconds: number,
  options: TaskOptions = {},
): Task<Id, null> {
  return { id, file: { wait: { seconds }, ...fieldsOf(options) } satisfies WaitFile };
}

/** A task that waits for a signal, and gives back what came with it. */
export function signal<Data = unknown, const Id extends string = string>(
  id: Id,
  name: string,
  options: TaskOptions & { readonly timeoutSeconds?: number } = {},
): Task<Id, Data> {
  return { id, file: { wait: { signal: name }, ...fieldsOf(options) } satisfies WaitFile };
}

type OutputsOf<Tasks extends readonly Task[]> = {
  readonly [Each in Tasks[number] as Each['id']]: OutputOf<Each>;
};
type OutputOf<Each> = Each extends Task<string, infer Output> ? Output : never;
type GroupOptions = TaskOptions & { readonly maxParallel?: number };

/** Tasks that begin as soon as nothing is in their way; gives the outputs by id. */
export function parallel<const Id extends string, const Tasks extends readonly Task[]>(
  id: Id,
  tasks: Tasks,
  options: GroupOptions = {},
): Task<Id, OutputsOf<Tasks>> {
  return group(id, 'parallel', tasks, options);
}

/** Tasks one after another; gives the outputs by id. */
export function sequential<const Id extends string, const Tasks extends readonly Task[]>(
  id: Id,
  tasks: Tasks,
  options: GroupOptions = {},
): Task<Id, OutputsOf<Tasks>> {
  return group(id, 'sequential', tasks, options);
}

type VoteOptions = GroupOptions &
  Pick<GroupFile, 'quorum' | 'agreement' | 'judge' | 'weights' | 'arbiter'>;

/** So many different agents that are chosen and all get the same input, in place of voters or racers. */
export interface Team<Output> {
  readonly agents: { readonly route: RouteFile; readonly count: number };
  readonly input?: unknown;
  readonly [value]?: Output;
}

/** 2 to 50 of them. */
export function team<Input, Output>(
  count: number,
  who: Agent<Input, Output> & { readonly route: RouteFile },
  ...[options]: Optional<InputOption<Input>>
): Team<Output> {
  return { agents: { route: who.route, count }, ...options };
}

/** Tasks that vote without seeing each other; gives the answer that enough weight stands behind. */
export function consensus<const Id extends string, Output>(
  id: Id,
  voters: readonly Task<string, Output>[] | Team<Output>,
  options: VoteOptions = {},
): Task<Id, Output> {
  return group(id, 'consensus', voters, options);
}

/** Tasks that do the same so that one failure is no failure; gives the answer most agree on. */
export function redundant<const Id extends string, Output>(
  id: Id,
  tasks: readonly Task<string, Output>[] | Team<Output>,
  options: VoteOptions = {},
): Task<Id, Output> {
  return group(id, 'redundant', tasks, options);
}

/** Tasks that race; gives the first answer that is accepted. */
export function competitive<const Id extends string, Output>(
  id: Id,
  racers: readonly Task<string, Output>[] | Team<Output>,
  options: GroupOptions & Pick<GroupFile, 'hedgeSeconds' | 'accept' | 'verify'> = {},
): Task<Id, Output> {
  return group(id, 'competitive', racers, options);
}

/** The stages of a pipeline so far; each sees the item, its number and what the stage before gave. */
export interface Stages<Item, Previous> {
  stage<Output>(
    make: (here: {
      readonly item: Expression<Item>;
      readonly index: Expression<number>;
      readonly previous: Expression<Previous>;
    }) => Task<string, Output>,
    options?: { readonly concurrency?: number },
  ): Stages<Item, Output>;
  readonly tasks: readonly Task[];
  readonly [value]?: Previous;
}

/** Items that stream through stages; gives what the last one gave, null where an item was dropped. */
export function pipeline<const Id extends string, Item, Output>(
  id: Id,
  items: Expression<readonly Item[]> | readonly Item[],
  stages: (first: Stages<Item, never>) => Stages<Item, Output>,
  options: GroupOptions & { readonly buffer?: number } = {},
): Task<Id, readonly (Output | null)[]> {
  const { tasks } = stages(stagesOf([]));
  return group(id, 'pipeline', tasks, { items, ...options });
}

function stagesOf<Item, Previous>(tasks: readonly Task[]): Stages<Item, Previous> {
  const here = {
    item: expression<Item>('item'),
    index: expression<number>('index'),
    previous: expression<Previous>('previous'),
  };
  return {
    tasks,
    stage: (make, options = {}) => {
      const made = make(here);
      return stagesOf([...tasks, { ...made, file: { ...(made.file as object), ...options } }]);
    },
  };
}

function group<const Id extends string, Output>(
  id: Id,
  mode: WorkflowMode,
  tasks: readonly Task[] | Team<Output>,
  options: TaskOptions & Partial<GroupFile>,
): Task<Id, Output> {
  const members = 'agents' in tasks ? tasks : { tasks: tasksOf(tasks) };
  return { id, file: { mode, ...fieldsOf(options), ...members } };
}

type Inputs = NonNullable<WorkflowFile['inputs']>;
interface InputTypes {
  readonly string: string;
  readonly number: number;
  readonly integer: number;
  readonly boolean: boolean;
  readonly directory: string;
  readonly 'git-repository': string;
  readonly json: unknown;
}
type InputValue<Spec> = Spec extends { readonly type: infer Type extends keyof InputTypes }
  ? InputTypes[Type]
  : string;

type WorkflowOptions<Given extends Inputs> = Omit<
  WorkflowFile,
  'tasks' | 'inputs' | 'output' | 'agents' | 'input'
> & { readonly inputs?: Given };

export interface Workflow {
  /** The file, as it would be read from YAML. */
  readonly file: WorkflowFile;
  /** What is hashed and pinned by runs. */
  readonly definition: WorkflowDefinition;
}

/**
 * A workflow. Throws `workflow_invalid` for what no file may say either: cycles, quorums above the
 * voters, and, with `agents`, what they do not take.
 */
export function workflow<const Given extends Inputs>(
  options: WorkflowOptions<Given>,
  make: (here: {
    readonly inputs: { readonly [Name in keyof Given]: Expression<InputValue<Given[Name]>> };
    readonly run: Readonly<Record<'id' | 'folder' | 'workflow', Expression<string>>>;
  }) => { readonly tasks: readonly Task[]; readonly output?: unknown },
  agents?: KnownAgents,
): Workflow {
  const names = Object.keys(options.inputs ?? {});
  const inputs = Object.fromEntries(names.map((name) => [name, expression(`inputs.${name}`)]));
  const run = {
    id: expression('run.id'),
    folder: expression('run.folder'),
    workflow: expression('run.workflow'),
  };
  const made = make({ inputs: inputs as never, run: run as never });
  const { mode, ...fields } = options;
  const { output } = made;
  const file = {
    ...fields,
    mode,
    tasks: tasksOf(made.tasks),
    ...(output === undefined ? {} : { output }),
  } as WorkflowFile;
  const { definition, problems } = parseWorkflow(JSON.stringify(file), options.name, agents);
  if (definition !== undefined) return { file, definition };
  throw new AppError('workflow_invalid', problems[0]?.message ?? 'the workflow is wrong', {
    details: { problems },
    remedy: problems[0]?.suggestion ?? 'Mend the workflow.',
  });
}

/** The workflow as a file for a folder of workflows. */
export function toYaml({ file }: Workflow): string {
  return stringify(file, { aliasDuplicateObjects: false, lineWidth: 100, singleQuote: true });
}

function tasksOf(tasks: readonly Task[]): Record<string, unknown> {
  const entries = new Map(tasks.map(({ id, file }) => [id, file]));
  if (entries.size === tasks.length) return Object.fromEntries(entries);
  const ids = tasks.map(({ id }) => id);
  const twice = ids.find((id, index) => ids.indexOf(id) < index);
  throw new AppError('workflow_invalid', `two tasks beside each other have the id ${twice}`);
}

/** Options as fields of the file: tasks that are waited for by their names. */
function fieldsOf<Options extends TaskOptions>(
  options: Options,
): Omit<Options, 'needs' | 'after'> & { needs?: string[]; after?: string[] } {
  const { needs, after, ...rest } = options;
  return {
    ...rest,
    ...(needs === undefined ? {} : { needs: needs.map(({ id }) => id) }),
    ...(after === undefined ? {} : { after: after.map(({ id }) => id) }),
  };
}
