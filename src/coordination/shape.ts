/** A definition laid out by path, and where its tasks stand in one another. */
import { references } from '../base/base.ts';
import {
  isAgentTask,
  isApprovalTask,
  isGroupTask,
  type Group,
  type TaskSpec,
  type WorkflowDefinition,
} from './definition.ts';
import { ancestorsOf } from './graph.ts';

/** One task of a definition. The workflow itself stands there as the group of the empty path. */
export interface Node {
  readonly spec: TaskSpec;
  /** The last part of its path. */
  readonly name: string;
  /** The group it stands in. */
  readonly group: Group;
  /** Path of that group; empty for the outermost. */
  readonly parent: string;
  /** Its position among the tasks of the group; -1 for an arbiter or a verifier. */
  readonly index: number;
  /** Names of siblings that have ended by the time it starts. */
  readonly earlier: ReadonlySet<string>;
  /** Names of tasks that its expressions ask for; undefined: of all. */
  readonly asksFor: ReadonlySet<string> | undefined;
  /** Whether what the agent gets has no expressions: it is given as it stands. */
  readonly isPlain: boolean;
  /** Whether what the agent gets names the run's folder, which is made only then. */
  readonly namesFolder: boolean;
  /** Whether it is one voter of a consensus, or stands within one. */
  readonly blind: boolean;
}

export interface Shape {
  readonly nodes: ReadonlyMap<string, Node>;
  /** Paths of tasks that exist from the start: those not within a pipeline, and no verifiers. */
  readonly fixed: readonly string[];
}

const itemNumber = /#\d+/g;

/** `many/parse#3/deep` is an item's own `many/parse/deep`. */
export function templateOf(path: string): string {
  return path.includes('#') ? path.replace(itemNumber, '') : path;
}

export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

export function join(parent: string, name: string): string {
  return parent === '' ? name : `${parent}/${name}`;
}

/** The item that a path's last part is numbered with, or undefined. */
export function itemOf(path: string): number | undefined {
  const mark = path.lastIndexOf('#');
  return mark === -1 || mark < path.lastIndexOf('/') ? undefined : Number(path.slice(mark + 1));
}

/** Whether `path` lies within the group of that path. */
export function isWithin(path: string, group: string): boolean {
  return group === '' || path.startsWith(`${group}/`);
}

const shapes = new WeakMap<WorkflowDefinition, Shape>();

/** Laid out once a definition. */
export function shapeOf(definition: WorkflowDefinition): Shape {
  const known = shapes.get(definition);
  if (known !== undefined) return known;
  const nodes = new Map<string, Node>();
  const fixed: string[] = [];
  nodes.set('', rootNode(definition));
  layOut(definition, '', { isFixed: true, isBlind: false }, nodes, fixed);
  const shape = { nodes, fixed };
  shapes.set(definition, shape);
  return shape;
}

function rootNode(definition: WorkflowDefinition): Node {
  return {
    spec: {
      id: '',
      description: definition.description,
      needs: [],
      after: [],
      priority: 50,
      onFailure: 'stop',
      group: definition,
    },
    name: '',
    group: definition,
    parent: '',
    index: -1,
    earlier: new Set(),
    asksFor: namesAskedFor([definition.stream?.items, definition.output]),
    isPlain: true,
    namesFolder: false,
    blind: false,
  };
}

interface Place {
  readonly isFixed: boolean;
  readonly isBlind: boolean;
}

function layOut(
  group: Group,
  parent: string,
  place: Place,
  nodes: Map<string, Node>,
  fixed: string[],
): void {
  const isStream = group.mode === 'pipeline';
  const isGraph = group.mode === 'sequential' || group.mode === 'parallel';
  const ancestors = isGraph ? ancestorsOf(group.tasks) : undefined;
  const isFixed = place.isFixed && !isStream;
  const isBlind = place.isBlind || group.mode === 'consensus';
  const add = (spec: TaskSpec, index: number, fixedHere: boolean): void => {
    const earlier = isStream
      ? group.tasks.slice(0, Math.max(0, index)).map(({ id }) => id)
      : [...(ancestors?.get(spec.id) ?? [])];
    nodes.set(spec.id, {
      spec,
      name: nameOf(spec.id),
      group,
      parent,
      index,
      earlier: new Set(earlier.map(nameOf)),
      asksFor: askedFor(spec),
      ...inputOf(spec),
      blind: isBlind,
    });
    if (fixedHere) fixed.push(spec.id);
    if (isGroupTask(spec)) {
      layOut(spec.group, spec.id, { isFixed: fixedHere, isBlind }, nodes, fixed);
    }
  };
  for (const [index, task] of group.tasks.entries()) add(task, index, isFixed);
  const arbiter = group.voting?.arbiter;
  if (arbiter !== undefined && arbiter !== 'person') add(arbiter, -1, isFixed);
  if (group.race?.verify !== undefined) add(group.race.verify, -1, false);
}

function inputOf(spec: TaskSpec): Pick<Node, 'isPlain' | 'namesFolder'> {
  if (!isAgentTask(spec)) return { isPlain: true, namesFolder: false };
  const isPlain = !JSON.stringify(spec.input ?? null).includes('${');
  return { isPlain, namesFolder: !isPlain && references(spec.input).includes('run.folder') };
}

/** Names after `tasks.` in whatever of the task is resolved when it starts. */
function askedFor(spec: TaskSpec): ReadonlySet<string> | undefined {
  return namesAskedFor(expressionsOf(spec));
}

function namesAskedFor(value: unknown): ReadonlySet<string> | undefined {
  const names = new Set<string>();
  for (const reference of references(value)) {
    const [root, name] = reference.split('.');
    if (root !== 'tasks') continue;
    if (name === undefined) return undefined;
    names.add(name);
  }
  return names;
}

function expressionsOf(spec: TaskSpec): unknown {
  if (isAgentTask(spec)) return [spec.input, spec.workspace?.folder, spec.compensate?.input];
  if (isApprovalTask(spec)) return spec.approval.prompt;
  return isGroupTask(spec) ? [spec.group.stream?.items, spec.group.output] : undefined;
}
