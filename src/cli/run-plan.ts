/** What a run would do, before it does it. */
import type {
  AgentTask,
  Group,
  RunPlan,
  TaskSpec,
  Voting,
  WorkflowDefinition,
} from '../coordination/coordination.ts';
import type { CliContext, Colours } from './context.ts';
import { formatDuration, note, oneLine, plural } from './output.ts';
import { amountsText } from './progress-lines.ts';
import { nameOf } from './progress-task.ts';

/** Says what a run will do that nothing can undo; nothing where there is none. */
export function noteIrreversible(context: CliContext, { irreversible }: RunPlan): void {
  if (irreversible.length === 0) return;
  const { colours } = context.stderr;
  note(context, `${colours.yellow('warning:')} what these tasks do can't be undone:`);
  for (const { task, why } of irreversible) note(context, `  ${task}: ${oneLine(why)}`);
}

/** The plan as a tree: modes, voters, hedges, budgets, waves, agents, and what can't be undone. */
export function renderPlan(plan: RunPlan, colours: Colours): string {
  const { workflow, input, waves, irreversible } = plan;
  const unavailable = new Map(
    plan.agents.flatMap(({ name, unavailable: why }) => (why === undefined ? [] : [[name, why]])),
  );
  const look: PlanLook = {
    colours,
    unavailable,
    irreversible: new Set(irreversible.map(({ task }) => task)),
    routes: plan.routes ?? {},
  };
  const lines = [
    `${colours.bold(workflow.name)}: ${workflow.description}`,
    workflowText(workflow),
    ...Object.entries(input).map(([name, value]) => `  ${name} = ${JSON.stringify(value)}`),
    ...(inWaves(workflow)
      ? waves.flatMap((wave, index) => [
          colours.bold(`Wave ${index + 1}`),
          ...wave.flatMap((id) => {
            const task = workflow.tasks.find((found) => found.id === id);
            return task === undefined ? [] : taskLines(task, 1, look);
          }),
        ])
      : workflow.tasks.flatMap((task) => taskLines(task, 1, look))),
    ...judgeLines(workflow, 1, look),
  ];
  if (irreversible.length > 0) {
    lines.push(colours.yellow("Can't be undone"));
    for (const { task, why } of irreversible) lines.push(`  ${task}: ${oneLine(why)}`);
  }
  return lines.join('\n');
}

/** The tasks of a workflow as a tree, without a run in mind. */
export function workflowTree(workflow: WorkflowDefinition, colours: Colours): string[] {
  const look: PlanLook = {
    colours,
    unavailable: new Map(),
    irreversible: new Set(),
    routes: {},
  };
  return [
    ...workflow.tasks.flatMap((task) => taskLines(task, 1, look)),
    ...judgeLines(workflow, 1, look),
  ];
}

/** Mode and limits of a workflow in a line. */
export function workflowText(workflow: WorkflowDefinition): string {
  const limit = `${formatDuration(workflow.timeoutMs)} at most`;
  return `${groupText(workflow)}, ${limit}${limitsText(workflow)}`;
}

interface PlanLook {
  readonly colours: Colours;
  readonly unavailable: ReadonlyMap<string, string>;
  readonly irreversible: ReadonlySet<string>;
  readonly routes: Readonly<Record<string, readonly string[]>>;
}

/** Stages, voters and racers have an order or none; only graphs have waves. */
function inWaves({ mode }: Group): boolean {
  return mode === 'sequential' || mode === 'parallel';
}

function taskLines(task: TaskSpec, depth: number, look: PlanLook): string[] {
  const indent = '  '.repeat(depth);
  const facts = [
    ...(task.needs.length === 0 ? [] : [`needs ${task.needs.map(nameOf).join(', ')}`]),
    ...(task.after.length === 0 ? [] : [`after ${task.after.map(nameOf).join(', ')}`]),
    ...(task.concurrency === undefined ? [] : [`${task.concurrency} at a time`]),
    ...(task.onFailure === 'continue' ? ['may fail'] : []),
    ...(look.irreversible.has(task.id) ? [look.colours.yellow("can't be undone")] : []),
  ];
  const line = (what: string, more: readonly string[] = []): string => {
    const all = [...more, ...facts];
    const head = `${indent}${nameOf(task.id)}${what === '' ? '' : ` ${what}`}`;
    return all.length === 0 ? head : `${head}  ${look.colours.dim(all.join(' · '))}`;
  };
  if ('group' in task) {
    return [
      line(groupText(task.group)),
      ...task.group.tasks.flatMap((child) => taskLines(child, depth + 1, look)),
      ...judgeLines(task.group, depth + 1, look),
    ];
  }
  if ('approval' in task) return [line(`asks a person: ${valueText(task.approval.prompt)}`)];
  if ('wait' in task) {
    const what =
      'signal' in task.wait ? `the signal ${task.wait.signal}` : formatDuration(task.wait.ms);
    return [line(`waits for ${what}`)];
  }
  return [line(agentText(task, look), agentFacts(task))];
}

function agentText(task: AgentTask, look: PlanLook): string {
  const { unavailable, colours } = look;
  if (task.agent === undefined) return routeText(task, look);
  const why = unavailable.get(task.agent);
  const by = task.agent === nameOf(task.id) ? '' : `by ${task.agent}`;
  const missing = why === undefined ? '' : colours.red(`(unavailable: ${why})`);
  return [by, missing].filter((part) => part !== '').join(' ');
}

/** Who may be chosen: the first few, with those that can't work now marked. */
function routeText({ id, route = {} }: AgentTask, look: PlanLook): string {
  const most = 8;
  const names = look.routes[id] ?? route.among ?? [];
  const { category, capabilities = [] } = route;
  const filters = [...(category === undefined ? [] : [category]), ...capabilities];
  const of = filters.length === 0 ? '' : ` (${filters.join(', ')})`;
  if (names.length === 0) return `by whom fits best${of}`;
  const marked = names
    .slice(0, most)
    .map((name) => (look.unavailable.has(name) ? look.colours.red(`${name} (unavailable)`) : name));
  const rest = names.length > most ? ` and ${names.length - most} more` : '';
  return `by the best of ${names.length}${of}: ${marked.join(', ')}${rest}`;
}

function agentFacts({
  type,
  budget,
  workspace,
  compensate,
  retries,
  timeoutMs,
}: AgentTask): string[] {
  return [
    ...(type === undefined ? [] : [`type ${oneLine(type)}`]),
    ...(timeoutMs === undefined ? [] : [`${formatDuration(timeoutMs)} at most`]),
    ...(retries === undefined ? [] : [plural(retries, 'retry', 'retries')]),
    ...(budget === undefined ? [] : [`at most ${amountsText(budget)}`]),
    ...(workspace === undefined
      ? []
      : [`changes ${valueText(workspace.folder)}, undone from a ${workspace.kind}`]),
    ...(compensate === undefined ? [] : [`undone by ${compensate.agent}`]),
  ];
}

/** The mode of a group and what belongs to it. */
function groupText(group: Group): string {
  const parts = [group.mode as string];
  if (group.stream !== undefined) {
    parts.push(
      `over ${valueText(group.stream.items)}, ${group.stream.buffer} may wait between stages`,
    );
  }
  if (group.voting !== undefined) parts.push(votingText(group.voting, group.tasks.length));
  if (group.race !== undefined) {
    parts.push(`the next starts after ${formatDuration(group.race.hedgeMs)}`);
    if (group.race.accept !== undefined) parts.push('answers must fit a schema');
  }
  if (group.differ === true) parts.push('all different agents');
  parts.push(`at most ${group.maxParallel} at a time`);
  return parts.join(', ');
}

function votingText(
  { quorum, agreement, judge, weights, arbiter }: Voting,
  voters: number,
): string {
  const alike = {
    identical: 'identical',
    similar: `alike by ${judge.kind === 'similar' ? judge.least : 1}`,
    elements: 'by element',
  }[judge.kind];
  const weighted = Object.entries(weights).map(([name, weight]) => `${name} counts ${weight}`);
  const parts = [
    `${plural(voters, 'voter')}, ${quorum} needed`,
    `${Math.round(agreement * 100)} % must agree (${alike})`,
    ...weighted,
    ...(arbiter === 'person' ? ['a person decides otherwise'] : []),
  ];
  return parts.join(', ');
}

/** Who decides when voters do not agree, and who looks at answers of a race. */
function judgeLines({ voting, race }: Group, depth: number, look: PlanLook): string[] {
  const arbiter = voting?.arbiter;
  return [
    ...(arbiter === undefined || arbiter === 'person' ? [] : taskLines(arbiter, depth, look)),
    ...(race?.verify === undefined ? [] : taskLines(race.verify, depth, look)),
  ];
}

function limitsText({ budget, budgets = [], onBudget = 'ask' }: WorkflowDefinition): string {
  const limit =
    budget === undefined
      ? ''
      : `, budget ${amountsText(budget)} (then ${onBudget === 'ask' ? 'a person is asked' : 'it fails'})`;
  return `${limit}${budgets.length === 0 ? '' : `, budgets ${budgets.join(', ')}`}`;
}

function valueText(value: unknown): string {
  return oneLine(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));
}
