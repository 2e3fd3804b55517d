/** Who asks at which door of A2A, and what of the fleet he finds behind it. */
import type { FastifyRequest } from 'fastify';
import type { AgentDefinition } from '../agents/agents.ts';
import type { Conversation, RunDetail, WorkflowDefinition } from '../coordination/coordination.ts';
import { authorize, type Action } from '../identity/identity.ts';
import { A2aError, taskNotFound } from './a2a-errors.ts';
import { callerOf, mayRead, originOf, renew } from './callers.ts';
import type { RouteParts } from './parts.ts';

/** One request at one address. */
export interface Door {
  readonly parts: RouteParts;
  readonly request: FastifyRequest;
  /** The agent that the address names; absent: the whole fleet. */
  readonly agent: string | undefined;
  /** Aborts when the caller goes away. */
  readonly left: AbortSignal;
}

export interface OwnTask {
  readonly conversation: Conversation;
  readonly run: RunDetail;
}

export const agentWorkflow = (agent: string) => `agent:${agent}`;
export const workflowSkill = (workflow: string) => `workflow:${workflow}`;

/** What a message is for. */
export type Target =
  | { readonly agent: AgentDefinition }
  | { readonly workflow: WorkflowDefinition };

/**
 * What the address or the skill names, where the caller may run it. What there is not and what is not
 * for him look the same.
 */
export async function targetOf(door: Door, skill: string | undefined): Promise<Target> {
  const { agents, coordination } = door.parts;
  const named = door.agent ?? skill;
  if (named === undefined) {
    throw new A2aError('INVALID_PARAMS', 'say in metadata.agent or metadata.skill for whom it is', {
      remedy: 'GET /a2a/agents lists the agents; each has an address of its own.',
    });
  }
  const prefix = workflowSkill('');
  if (door.agent === undefined && named.startsWith(prefix)) {
    const name = named.slice(prefix.length);
    if (await may(door, 'workflows.execute', name)) {
      const { definitions } = await coordination.workflows();
      const workflow = definitions.find((one) => one.name === name);
      if (workflow !== undefined) return { workflow };
    }
  } else if (await may(door, 'agents.execute', named)) {
    const agent = agents.get(named);
    if (agent !== undefined) return { agent };
  }
  throw new A2aError('TASK_NOT_FOUND', `there is no agent ${named}`, { agent: named });
}

/** A refusal that is told to whoever watches over security, and to the caller as if there were nothing. */
async function may({ parts, request }: Door, action: Action, resource: string): Promise<boolean> {
  const caller = await renew(request, parts);
  const decision = authorize(caller, action, resource);
  if (!decision.allowed) {
    parts.identity.events.denied(caller, action, resource, decision, originOf(request));
  }
  return decision.allowed;
}

/** The task, where the caller began it, may look at it still, and it is one of this address. */
export async function ownTask(door: Door, taskId: string): Promise<OwnTask> {
  const { conversations, coordination } = door.parts;
  const { userId } = callerOf(door.request).access;
  const conversation = await conversations.find(taskId, userId);
  if (conversation === undefined || !isHere(door, conversation.workflow))
    throw taskNotFound(taskId);
  await renew(door.request, door.parts);
  if (!mayRead(door.request, 'runs.read', conversation.workflow)) throw taskNotFound(taskId);
  return { conversation, run: await coordination.get(conversation.runId) };
}

/** Whether runs of that workflow are tasks of this address. */
export function isHere({ agent }: Door, workflow: string): boolean {
  return agent === undefined || workflow === agentWorkflow(agent);
}
