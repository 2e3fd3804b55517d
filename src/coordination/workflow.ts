/** Workflow files: what they may hold, what is made of them, and what is wrong with them. */
import { createHash } from 'node:crypto';
import { Type } from 'typebox';
import { canonicalJson, parseCheckedYaml } from '../base/base.ts';
import type { WorkflowDefinition } from './definition.ts';
import type { WorkflowProblem } from './types.ts';
import { compileWorkflow, Places } from './workflow-compile.ts';
import { checkRules, type Complain, type KnownAgents } from './workflow-rules.ts';
import type { WorkflowFile } from './workflow-schema.ts';
import { shapeComplaints } from './workflow-shape.ts';
import type { Candidates } from './workflow-routes.ts';
import { checkTypes } from './workflow-types-check.ts';

export { inputTypeProblem, type KnownAgents } from './workflow-rules.ts';
export { workflowFileSchema } from './workflow-schema.ts';

export interface ParsedWorkflow {
  readonly definition: WorkflowDefinition | undefined;
  readonly problems: readonly WorkflowProblem[];
}

/** Beyond this a list of complaints says no more. */
const maxProblems = 200;

/**
 * Reads one workflow. Every complaint names file, line and column: unknown fields and tasks (with
 * the nearest known name), cycles, votes and budgets that can't be met, expressions that name
 * nothing or a task that has not ended by then, values that surely do not fit where they go.
 * `agents`, when given, is what tasks may name, with what each takes and gives. Never throws for
 * what a text may hold.
 */
export function parseWorkflow(text: string, file: string, agents?: KnownAgents): ParsedWorkflow {
  const document = parseCheckedYaml(text, Type.Object({}));
  const problems: WorkflowProblem[] = document.complaints.map((each) => ({ file, ...each }));
  if (document.value === undefined) return { definition: undefined, problems };
  problems.push(...shapeComplaints(document).map((each) => ({ file, ...each })));
  if (problems.length > 0) return refused(problems);
  const complain: Complain = (path, message, suggestion) => {
    problems.push({
      file,
      ...document.place(path),
      message,
      ...(suggestion === undefined ? {} : { suggestion }),
    });
  };
  const compiled = compileWorkflow(document.value as unknown as WorkflowFile);
  checkRules(compiled, agents, complain);
  if (problems.length === 0) checkTypes(compiled, agents, complain);
  return problems.length > 0 ? refused(problems) : { definition: compiled.definition, problems };
}

/** Who could do each task whose agent is chosen, by the task's path: those that fit, whoever may call them. */
export function routeCandidates(
  definition: WorkflowDefinition,
  agents: KnownAgents,
): ReadonlyMap<string, Candidates> {
  return checkTypes({ definition, places: new Places() }, agents, () => undefined);
}

/** In the order of the file, each once: an input that several share is complained of for each of them. */
function refused(problems: readonly WorkflowProblem[]): ParsedWorkflow {
  const unlike = new Map(problems.map((problem) => [JSON.stringify(problem), problem]));
  const sorted = [...unlike.values()].toSorted((a, b) => a.line - b.line || a.column - b.column);
  return { definition: undefined, problems: sorted.slice(0, maxProblems) };
}

/** SHA-256 of the definition with sorted keys, lower-case hex: the same workflow has the same hash. */
export function definitionHash(definition: WorkflowDefinition): string {
  let hash = hashes.get(definition);
  if (hash === undefined) {
    hash = createHash('sha256').update(canonicalJson(definition)).digest('hex');
    hashes.set(definition, hash);
  }
  return hash;
}

/** A definition never changes, and each start asks for its hash. */
const hashes = new WeakMap<WorkflowDefinition, string>();
