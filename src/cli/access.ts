import type { Command } from 'commander';
import type { AccessList, SecurityEventPage, SecurityMetrics } from '../api/api.ts';
import { connect } from './connection.ts';
import type { CliContext } from './context.ts';
import { Exit } from './failure.ts';
import { renderFacts } from './facts.ts';
import { addExamples, wholeNumber } from './flags.ts';
import { formatBytes, note, printDocument, printRows, renderTable } from './output.ts';
import { momentBefore } from './times.ts';

type SecurityEvent = SecurityEventPage['items'][number];

/** As for every other refusal. */
const deniedStatus = 3;
const principalArgument = ['<principal>', 'Whose name it is.'] as const;
const actionArgument = [
  '<action>',
  'A permission, as centuria role permissions lists them.',
] as const;
const resourceArgument = [
  '[resource]',
  'On what, as the name of an agent. On everything unless given.',
] as const;

/** `centuria access`: who may do what, and what was seen at the doors. */
export function registerAccess(program: Command, context: CliContext): void {
  const group = program
    .command('access')
    .description('Ask who may do what, and what was seen at the doors.');
  registerQuestions(group, context);
  registerEvents(group, context);
  registerMetrics(group, context);
}

function registerQuestions(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('can')
      .description('List what a principal may do now, and by which role.')
      .argument(...principalArgument),
    [['What may this agent do?', 'centuria access can spelling']],
  ).action(async (name: string) => {
    printDocument(context, await connect(context).access(name), (access) =>
      renderAccess(access, context),
    );
  });

  addExamples(
    group
      .command('check')
      .description('Say whether a principal may do something. Exits 3 when not.')
      .argument(...principalArgument)
      .argument(...actionArgument)
      .argument(...resourceArgument),
    [['Before a script goes on', 'centuria access check ci agents.execute spelling && echo yes']],
  ).action(async (name: string, action: string, resource: string | undefined) => {
    const answer = await connect(context).checkAccess(name, action, resource);
    const what = `${action}${resource === undefined ? '' : ` on ${resource}`}`;
    printDocument(context, answer, ({ allowed, reason }) =>
      allowed ? `${name} may ${what}.` : `${name} may not ${what}: ${reason}.`,
    );
    if (!answer.allowed) throw new Exit(deniedStatus);
  });

  addExamples(
    group
      .command('who')
      .description('List who may do something now, and by what.')
      .argument(...actionArgument)
      .argument(...resourceArgument)
      .option('--limit <number>', 'At most so many, 1 to 1000.', wholeNumber(1, 1_000), 200),
    [['Who can change roles?', 'centuria access who roles.write']],
  ).action(async (action: string, resource: string | undefined, options: { limit: number }) => {
    const { items } = await connect(context).whoMay(action, resource, options.limit);
    printRows(context, items, {
      columns: [
        { title: 'NAME', cell: (row) => row.username },
        { title: 'KIND', cell: (row) => row.kind },
        { title: 'BY', cell: (row) => row.by.join(', '), cut: true },
      ],
      empty: `Nobody may ${action}. A role can: centuria role allow ROLE ${action}`,
    });
    if (items.length === options.limit) note(context, 'There may be more: raise --limit.');
  });
}

interface EventOptions {
  readonly since?: string;
  readonly type?: string;
  readonly user?: string;
  readonly minRisk?: number;
  readonly limit: number;
  readonly cursor?: string;
}

function registerEvents(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('events')
      .description('List security events, newest first.')
      .option('--since <when>', 'Only since then: 1h, 7d or a date.')
      .option('--type <type>', 'Only of this type, as login_failure.')
      .option('--user <principal>', 'Only about this one.')
      .option('--min-risk <number>', 'Only with this risk or more, 0 to 100.', wholeNumber(0, 100))
      .option('--limit <number>', 'At most so many, 1 to 500.', wholeNumber(1, 500), 50)
      .option('--cursor <cursor>', 'Go on where an earlier list ended.'),
    [
      ['What is odd today', 'centuria access events --since 24h --min-risk 50'],
      ['Who was refused', 'centuria access events --type permission_denied'],
    ],
  ).action(async ({ since, ...filter }: EventOptions) => {
    const { items, nextCursor } = await connect(context).securityEvents({
      ...filter,
      ...(since === undefined
        ? {}
        : { since: momentBefore('--since', since, context.clock.nowMs()) }),
    });
    const { colours } = context.stdout;
    printRows(context, items, {
      columns: [
        { title: 'AT', cell: (row) => row.at },
        { title: 'EVENT', cell: (row) => row.type },
        {
          title: 'RISK',
          cell: (row) => String(row.risk),
          align: 'right',
          style: (text, row) => riskStyle(row, colours.red, colours.yellow)(text),
        },
        { title: 'WHO', cell: (row) => row.username ?? '–' },
        { title: 'FROM', cell: (row) => row.address ?? '–' },
        { title: 'DETAILS', cell: (row) => detailsOf(row), cut: true },
      ],
      empty: 'No such event.',
      ...(nextCursor === undefined ? {} : { more: { nextCursor } }),
    });
    if (nextCursor !== undefined && context.format !== 'json') {
      note(context, `There are more: --cursor ${nextCursor}`);
    }
  });
}

function registerMetrics(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('metrics')
      .description('Show how sign-ins and sessions do, and what this server holds in memory.'),
    [['For a script', 'centuria access metrics -o json | jq .process.hashing']],
  ).action(async () => {
    printDocument(context, await connect(context).securityMetrics(), (metrics) =>
      renderMetrics(metrics, context),
    );
  });
}

function renderAccess(access: AccessList, context: CliContext): string {
  const some = access.some.map(
    ({ action, pattern, role }) => `${action} on ${pattern} (by ${role})`,
  );
  return renderFacts(context, [
    [
      'Who',
      `${access.username}${access.status === 'active' ? '' : ` (${access.status}: nothing counts)`}`,
    ],
    ['Roles', access.roles.join(', ') || 'none'],
    ['Everywhere', access.everywhere.join(', ') || 'nothing'],
    ['On some', some.join(', ') || 'nothing'],
    ['Bits', access.mask],
  ]);
}

function renderMetrics(
  { performance, health, process }: SecurityMetrics,
  context: CliContext,
): string {
  const { bold } = context.stdout.colours;
  const { hashing, memory, redis } = process;
  const measured = renderTable(
    performance,
    [
      { title: 'METRIC', cell: (row) => row.metric },
      { title: 'AVERAGE', cell: (row) => figure(row.avg), align: 'right' },
      { title: 'P95', cell: (row) => figure(row.p95), align: 'right' },
      { title: 'SAMPLES', cell: (row) => String(row.samples), align: 'right' },
      { title: 'UNIT', cell: (row) => row.unit },
    ],
    context.stdout.columns,
    bold,
  );
  const parts = renderTable(
    health,
    [
      { title: 'PART', cell: (row) => row.component },
      { title: 'STATUS', cell: (row) => row.status },
      { title: 'VALUE', cell: (row) => figure(row.value), align: 'right' },
      { title: 'HEALTHY BELOW', cell: (row) => String(row.healthyBelow), align: 'right' },
      { title: 'UNIT', cell: (row) => row.unit },
    ],
    context.stdout.columns,
    bold,
  );
  const facts = renderFacts(context, [
    [
      'Password hash',
      `Argon2id ${formatBytes(hashing.memoryKiB * 1_024)}, ${hashing.iterations} rounds, ${hashing.parallelism} lanes; ${hashing.running} running, ${hashing.waiting} of ${hashing.capacity} waiting`,
    ],
    [
      'In memory',
      `${memory.principals} principals, ${memory.sessions} sessions, ${memory.tokens} tokens, ${memory.revoked} revoked`,
    ],
    ['Changes', process.isFresh ? 'known' : 'not known now: requests are refused'],
    ['Redis', 'reason' in redis ? `${redis.state}: ${redis.reason}` : redis.state],
  ]);
  return `${measured}\n${parts}\n${facts}`;
}

/** What was not measured is no zero. */
function figure(value: number | null): string {
  return value === null ? '–' : String(Number(value.toFixed(2)));
}

function detailsOf({ details }: SecurityEvent): string {
  return Object.entries(details)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');
}

type Style = (text: string) => string;

function riskStyle({ risk }: SecurityEvent, high: Style, middle: Style): Style {
  if (risk >= 70) return high;
  return risk >= 40 ? middle : (text) => text;
}
