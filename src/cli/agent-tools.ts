import type { Command } from 'commander';
import type { AgentTools } from '../api/api.ts';
import { AppError } from '../base/base.ts';
import type { Client } from '../client/client.ts';
import { connect } from './connection.ts';
import type { CliContext, Colours } from './context.ts';
import { addExamples } from './flags.ts';
import { formatAge, note, oneLine, printDocument, printRows } from './output.ts';
import { canAsk, confirm } from './prompts.ts';

type Tool = AgentTools['items'][number];

/** `centuria agent tools` and `accept`: what MCP servers say, and what is made of it. */
export function registerAgentTools(group: Command, context: CliContext): void {
  registerTools(group, context);
  registerAccept(group, context);
}

function registerTools(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('tools')
      .description('List the tools of MCP servers that an agent uses, with what is quarantined.')
      .argument('<agent>', 'Its name.'),
    [['What a server says of them', 'centuria agent tools files -o json']],
  ).action(async (name: string) => {
    const { items } = await connect(context).agentTools(name);
    const { green, red } = context.stdout.colours;
    const nowMs = Date.now();
    printRows(context, items, {
      columns: [
        { title: 'TOOL', cell: ({ tool }) => oneLine(tool) },
        { title: 'SERVER', cell: ({ server }) => oneLine(server) },
        {
          title: 'STATE',
          cell: ({ state }) => state,
          style: (text, { state }) => (state === 'trusted' ? green(text) : red(text)),
        },
        { title: 'SINCE', cell: (row) => formatAge(row.acceptedAt ?? row.changedAt, nowMs) },
        { title: 'REASON', cell: ({ reason }) => oneLine(reason ?? ''), cut: true },
      ],
      empty: `No tool of ${name} was looked at yet, or it uses none of an MCP server.`,
    });
  });
}

function registerAccept(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('accept')
      .description('Accept what an MCP server says of a quarantined tool now, after a look at it.')
      .argument('<agent>', 'Its name.')
      .argument('[tool]', 'The tool, where more than one is quarantined.')
      .option('-y, --yes', 'Do not ask.'),
    [['After the server was updated', 'centuria agent accept files read_text_file']],
  ).action(async (name: string, tool: string | undefined, options: { yes?: boolean }) => {
    const client = connect(context);
    const waiting = await quarantined(client, name, tool);
    note(context, renderChange(waiting, context.stderr.colours));
    if (options.yes !== true && !canAsk(context)) {
      throw new AppError('usage', 'nobody is there to be asked', {
        remedy: 'Look at what it says, and add --yes.',
      });
    }
    await confirm(context, `Let agents use ${oneLine(waiting.tool)} as it says now?`, options);
    const answer = await client.acceptAgentTool(name, { hash: waiting.hash, tool: waiting.tool });
    printDocument(context, answer, () => `${oneLine(waiting.tool)} of ${name} was accepted.`);
  });
}

async function quarantined(client: Client, name: string, tool: string | undefined): Promise<Tool> {
  const { items } = await client.agentTools(name);
  const waiting = items.filter(({ state }) => state === 'quarantined');
  const meant = waiting.filter((one) => (tool ?? one.tool) === one.tool);
  const [first] = meant;
  if (first !== undefined && meant.length === 1) return first;
  const names = waiting.map((one) => oneLine(one.tool)).join(', ');
  throw first === undefined
    ? new AppError('not_found', `nothing of ${name} waits to be accepted${named(tool)}`, {
        remedy: names === '' ? `centuria agent tools ${name}` : `Quarantined are: ${names}.`,
      })
    : new AppError('usage', `${name} has more than one quarantined tool`, {
        remedy: `Name one of ${names}.`,
      });
}

function named(tool: string | undefined): string {
  return tool === undefined ? '' : ` under the name ${tool}`;
}

/** Field by field, what was accepted and what stands there now. */
function renderChange(
  { tool, server, reason, definition, trusted }: Tool,
  colours: Colours,
): string {
  const { bold, red, green } = colours;
  const [before, now] = [fieldsOf(trusted), fieldsOf(definition)];
  const lines = [`${bold(oneLine(tool))} of ${oneLine(server)}: ${oneLine(reason ?? '')}`];
  for (const field of new Set([...Object.keys(before), ...Object.keys(now)])) {
    if (before[field] === now[field]) continue;
    if (before[field] !== undefined) lines.push(red(`- ${field}: ${before[field]}`));
    if (now[field] !== undefined) lines.push(green(`+ ${field}: ${now[field]}`));
  }
  return lines.join('\n');
}

/** As one line of JSON each: what a server wrote must not move the cursor. */
function fieldsOf(definition: unknown): Readonly<Record<string, string>> {
  if (definition === null || typeof definition !== 'object') return {};
  return Object.fromEntries(
    Object.entries(definition).map(([field, value]) => [field, oneLine(JSON.stringify(value))]),
  );
}

/** What `agent show` says of them. */
export function quarantineFacts({ items }: AgentTools): [string, string][] {
  return items.flatMap(({ tool, state, reason }) =>
    state === 'quarantined'
      ? [['Blocked', `${oneLine(tool)} ${oneLine(reason ?? '')}`] satisfies [string, string]]
      : [],
  );
}
