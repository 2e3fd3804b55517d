import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { AgentDefinition, AgentDiff } from '../agents/agents.ts';
import type { AgentDetail, AgentList } from '../api/api.ts';
import { AppError } from '../base/base.ts';
import { attemptDoor, callFromAttempt } from '../client/client.ts';
import { registerAgentExport } from './agent-export.ts';
import { registerAgentImport } from './agent-import.ts';
import { registerAgentLint } from './agent-lint.ts';
import { quarantineFacts, registerAgentTools } from './agent-tools.ts';
import { connect } from './connection.ts';
import type { CliContext, Colours } from './context.ts';
import { addExamples, collect, wholeNumber } from './flags.ts';
import { readInputs } from './inputs.ts';
import { formatDuration, note, oneLine, plural, printDocument, printRows } from './output.ts';
import { problemColumns } from './problems.ts';

type AgentRow = AgentList['items'][number];

/** `centuria agent`: the fleet. */
export function registerAgent(program: Command, context: CliContext): void {
  const group = program.command('agent').description('Look at agents, check them and call one.');
  registerList(group, context);
  registerShow(group, context);
  registerAgentLint(group, context);
  registerAgentImport(group, context);
  registerAgentExport(group, context);
  registerDiff(group, context);
  registerInvoke(group, context);
  registerProblems(group, context);
  registerAgentTools(group, context);
}

function registerList(group: Command, context: CliContext): void {
  addExamples(
    group.command('list').description('List the agents with their states and the reasons.'),
    [
      [
        'What can not work here',
        `centuria agent list -o jsonl | jq 'select(.status.state=="unavailable")'`,
      ],
    ],
  ).action(async () => {
    const { items } = await connect(context).agents();
    const { colours } = context.stdout;
    printRows(context, items, {
      columns: [
        { title: 'AGENT', cell: (row) => row.name },
        {
          title: 'STATE',
          cell: (row) => row.status.state,
          style: (text, row) => stateStyle(row.status.state, colours)(text),
        },
        { title: 'CATEGORY', cell: (row) => row.category },
        { title: 'RUNTIME', cell: (row) => row.runtime ?? '–' },
        { title: 'DESCRIPTION', cell: descriptionOf, cut: true },
      ],
      empty: 'No agents. Put definitions into a folder and name it: CENTURIA_AGENT_FOLDERS.',
    });
  });
}

function registerShow(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('show')
      .description('Show the definition of an agent and its state.')
      .argument('<agent>', 'Its name.'),
    [['Where its file is', 'centuria agent show git-history -o json | jq -r .definition.file']],
  ).action(async (name: string) => {
    const client = connect(context);
    const detail = await client.agent(name);
    const blocked = quarantineFacts(await client.agentTools(name));
    printDocument(context, detail, (agent) => renderAgent(agent, blocked, context.stdout.colours));
  });
}

function registerDiff(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('diff')
      .description('Compare two definitions: names of loaded agents, or files.')
      .argument('<agent>', 'A name or a file.')
      .argument('<agent>', 'A name or a file.'),
    [['What an edit changed', 'centuria agent diff git-history ./agents/git-history.md']],
  ).action(async (first: string, second: string) => {
    const { diffAgents } = await import('../agents/agents.ts');
    const diff = diffAgents(
      await readDefinition(first, context),
      await readDefinition(second, context),
    );
    printDocument(context, diff, (found) => renderDiff(found, context.stdout.colours));
  });
}

function registerInvoke(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('invoke')
      .description(
        'Call an agent once and print what it gives back. Ctrl-C ends it. Within an agent: as its call.',
      )
      .argument('<agent>', 'Its name.')
      .option('--input <name=value>', 'An input; name:=JSON for other types. May repeat.', collect)
      .option('--input-json <file>', 'Inputs as one JSON object; - reads standard input.')
      .option('--timeout <seconds>', 'At most so long, 1 to 3600.', wholeNumber(1, 3_600))
      .option('--detach', 'Start it as a run of its own, print its id and do not wait.'),
    [
      ['On this repository', 'centuria agent invoke git-history --input repo="$PWD"'],
      ['To look at it later', 'centuria agent invoke sbom --input repo="$PWD" --detach'],
    ],
  ).action(
    async (
      name: string,
      options: { input?: string[]; inputJson?: string; timeout?: number; detach?: true },
    ) => {
      const input = await readInputs(options, undefined, context);
      const door = attemptDoor(context.env);
      if (door !== undefined) {
        printDocument(context, await callFromAttempt(door, { agent: name, input }), asText);
        return;
      }
      const client = connect(context);
      if (options.detach === true) {
        printDocument(context, await client.startAgentRun(name, { input }), ({ id }) => id);
        return;
      }
      const left = new AbortController();
      const leave = (): void =>
        left.abort(new AppError('cancelled', `${name} was ended by Ctrl-C`));
      process.on('SIGINT', leave);
      try {
        const answer = await client.invokeAgent(
          name,
          { input, ...(options.timeout === undefined ? {} : { timeoutSeconds: options.timeout }) },
          { signal: left.signal },
        );
        printDocument(context, answer, asText);
        note(context, `${name} took ${formatDuration(answer.usage.wallMs)}`);
      } finally {
        process.off('SIGINT', leave);
      }
    },
  );
}

function asText({ output }: { readonly output: unknown }): string {
  return typeof output === 'string' ? output : JSON.stringify(output, undefined, 2);
}

function registerProblems(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('problems')
      .description('List what the running server found wrong with the files of its agent folders.'),
    [['For an editor', 'centuria agent problems -o jsonl']],
  ).action(async () => {
    const { items } = await connect(context).agentProblems();
    printRows(context, items, {
      columns: problemColumns(context),
      empty: 'No problem in any agent file.',
    });
  });
}

/** What looks like a path is a file, since no agent's name has a dot or a slash; the rest is asked of the server. */
async function readDefinition(nameOrFile: string, context: CliContext): Promise<AgentDefinition> {
  const { parseAgent } = await import('../agents/agents.ts');
  const { source, file } = /[./]/.test(nameOrFile)
    ? readSource(resolve(context.cwd, nameOrFile))
    : (await connect(context).agent(nameOrFile)).definition;
  const { definition, problems } = parseAgent(source, file);
  if (definition !== undefined) return definition;
  const first = problems.find(({ severity }) => severity === 'error');
  throw new AppError(
    'agent_invalid',
    `${file}:${first?.line ?? 1}: ${first?.message ?? 'it is no definition'}`,
    { remedy: first?.suggestion ?? `centuria agent lint ${nameOrFile} lists everything.` },
  );
}

function readSource(file: string): { source: Uint8Array; file: string } {
  try {
    return { source: readFileSync(file), file };
  } catch (cause) {
    throw new AppError('not_found', `${file} can not be read`, { cause });
  }
}

function renderAgent(
  { definition, status, problems }: AgentDetail,
  blocked: readonly [string, string][],
  colours: Colours,
): string {
  const { bold } = colours;
  const state = stateStyle(status.state, colours)(status.state);
  const facts: [string, string][] = [
    ['Agent', definition.name],
    ['State', status.reason === undefined ? state : `${state}: ${oneLine(status.reason)}`],
    ['Does', oneLine(definition.description)],
    ['Category', definition.category],
    ['Can', definition.capabilities.join(', ') || '–'],
    ['Runtime', definition.runtime?.kind ?? 'none: it is a prompt'],
    [
      'Limit',
      `${formatDuration(definition.timeoutMs)}, ${plural(definition.retries, 'further try', 'further tries')}`,
    ],
    [
      'Needs',
      [...definition.requires.binaries, ...definition.requires.environment].join(', ') || '–',
    ],
    ['Changes', definition.sideEffects],
    ['File', definition.file],
    ['Hash', definition.hash],
  ];
  if (status.lastError !== undefined) {
    facts.push(['Failed', `${oneLine(status.lastError.message)} (${status.lastError.code})`]);
  }
  facts.push(...blocked);
  for (const { line, message } of problems) facts.push(['Problem', `line ${line}: ${message}`]);
  return facts.map(([name, value]) => `${bold(name.padEnd(8))} ${value}`).join('\n');
}

function renderDiff(diff: AgentDiff, { red, green, dim }: Colours): string {
  if (diff.before === diff.after) return 'They are the same.';
  const lines = [dim(`${diff.before.slice(0, 12)} → ${diff.after.slice(0, 12)}`)];
  for (const { path, before, after } of diff.fields) {
    if (before !== undefined) lines.push(red(`- ${path}: ${JSON.stringify(before)}`));
    if (after !== undefined) lines.push(green(`+ ${path}: ${JSON.stringify(after)}`));
  }
  for (const { kind, text } of diff.prompt) {
    if (kind === 'removed') lines.push(red(`- ${text}`));
    else if (kind === 'added') lines.push(green(`+ ${text}`));
  }
  return lines.join('\n');
}

function descriptionOf({ status, description }: AgentRow): string {
  return status.reason === undefined ? description : `(${status.reason}) ${description}`;
}

function stateStyle(state: string, colours: Colours): (text: string) => string {
  if (state === 'active') return colours.green;
  if (state === 'failed') return colours.red;
  return state === 'unavailable' ? colours.dim : colours.yellow;
}
