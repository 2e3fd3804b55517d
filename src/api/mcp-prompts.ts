/** The prompts of the bridge, and what may stand in arguments of prompts and templates. */
import type { CompleteRequest, Prompt } from '@modelcontextprotocol/server';
import { mostCompletions, type Exchange, type OfferedPrompt } from './mcp-offer.ts';

interface PromptEntry {
  readonly shown: Prompt;
  readonly text: (given: Readonly<Record<string, string>>) => string;
}

/** What people do most, told to a model step by step. */
const entries: readonly PromptEntry[] = [
  {
    shown: {
      name: 'start-review',
      title: 'Review a repository',
      description: 'Starts the review of a git repository and tells what it found.',
      arguments: [
        { name: 'repo', description: 'The folder of the repository on the server', required: true },
      ],
    },
    text: ({ repo }) =>
      `Review the git repository in ${quoted(repo)} with Centuria.
1. Call workflow_get {"name": "repo-review"} and read which inputs it takes. If there is no such workflow, choose another one from workflows_list that reviews repositories, and say which.
2. Start it with run_start, the folder as its repository. When the answer says that the run goes on, call run_wait with its id until it has ended.
3. If it asks something, show me the question and answer with run_answer only what I decide.
4. Tell me the findings, the most serious first, each with file and line, and which tasks failed or were skipped and why. Claim nothing that is not in the run's output.`,
  },
  {
    shown: {
      name: 'explain-failure',
      title: 'Explain why a run failed',
      description: 'Reads a run that failed and says what went wrong and what to do.',
      arguments: [{ name: 'run', description: 'The id of the run', required: true }],
    },
    text: ({ run }) =>
      `Explain why the run ${quoted(run)} failed.
1. Call run_get with its id; read the error of the run and of each failed task. Call run_events for what happened around the first failure, and failures_list to see whether it happens often.
2. Say in plain words: what failed first, what only followed from it, and whether trying again can help (the error's "retryable", and what its remedy says).
3. Propose one next step. Call run_retry only when I agree.`,
  },
  {
    shown: {
      name: 'choose-agent',
      title: 'Choose an agent for a task',
      description: 'Finds the agent of the fleet that fits a task, and runs it if wanted.',
      arguments: [{ name: 'task', description: 'What is to be done', required: true }],
    },
    text: ({ task }) =>
      `Find the agent that fits this task: ${quoted(task)}
1. Call agents_list. Leave out agents whose state is not active; their reason says why.
2. Name the best one and up to two others, each with the reason in one sentence, and what agent_get says that it changes (sideEffects).
3. If none fits, say so; do not stretch one.`,
  },
];

export const bridgePrompts: readonly OfferedPrompt[] = entries.map(({ shown, text }) => ({
  shown,
  get: (given) => ({
    ...(shown.description === undefined ? {} : { description: shown.description }),
    messages: [{ role: 'user', content: { type: 'text', text: text(given) } }],
  }),
}));

/** A value between quotes, so that what somebody gives reads as a value and not as an instruction. */
function quoted(value: string | undefined): string {
  return JSON.stringify(value ?? '');
}

/** Names of agents and workflows, newest runs. */
export async function bridgeCandidates(
  { call }: Exchange,
  { ref, argument }: CompleteRequest['params'],
): Promise<readonly string[]> {
  const uri = ref.type === 'ref/resource' ? ref.uri : '';
  const [operation, field] =
    argument.name === 'run' || argument.name === 'id'
      ? ['listRuns', 'id']
      : uri.startsWith('centuria://agent/')
        ? ['listAgents', 'name']
        : uri.startsWith('centuria://workflow/')
          ? ['listWorkflows', 'name']
          : [undefined, ''];
  if (operation === undefined) return [];
  const { status, document } = await call(operation, {
    query: operation === 'listRuns' ? { limit: mostCompletions } : {},
  });
  // Who may not see them gets none: a completion is a help, not an answer.
  if (status >= 400) return [];
  const { items } = document as { readonly items: readonly Readonly<Record<string, string>>[] };
  return items.map((item) => item[field] ?? '');
}
