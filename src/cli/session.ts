import type { Command } from 'commander';
import type { SessionPage } from '../api/api.ts';
import { AppError } from '../base/base.ts';
import type { Client } from '../client/client.ts';
import { connect } from './connection.ts';
import type { CliContext } from './context.ts';
import { addExamples, wholeNumber } from './flags.ts';
import { formatAge, note, plural, printDocument, printRows } from './output.ts';
import { confirm } from './prompts.ts';

interface ListOptions {
  readonly user?: string;
  readonly all?: true;
  readonly ended?: true;
  readonly limit: number;
  readonly cursor?: string;
}

/** `centuria session`: who is signed in. */
export function registerSession(program: Command, context: CliContext): void {
  const group = program.command('session').description('Look at sessions and end them.');
  registerList(group, context);
  registerEnd(group, context);
}

function registerList(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('list')
      .description('List your sessions, or those of others, newest first.')
      .option('--user <principal>', 'Those of this user.')
      .option('--all', 'Those of everybody.')
      .option('--ended', 'Ended ones too.')
      .option('--limit <number>', 'At most so many, 1 to 500.', wholeNumber(1, 500), 50)
      .option('--cursor <cursor>', 'Go on where an earlier list ended.'),
    [
      ['Your own', 'centuria session list'],
      ['Who is signed in', 'centuria session list --all'],
    ],
  ).action(async (options: ListOptions) => {
    const { items, nextCursor } = await pageOfSessions(connect(context), options);
    const now = context.clock.nowMs();
    printRows(context, items, {
      columns: [
        { title: 'SESSION', cell: (row) => row.id },
        { title: 'USER', cell: (row) => row.username },
        { title: 'BY', cell: (row) => row.method },
        { title: 'FROM', cell: (row) => row.address ?? '–' },
        { title: 'LAST', cell: (row) => formatAge(row.lastActivity, now) },
        { title: 'STATE', cell: (row) => (row.isActive ? 'counts' : (row.endReason ?? 'over')) },
        { title: 'CLIENT', cell: (row) => row.userAgent, cut: true },
      ],
      empty:
        options.all === true || options.user !== undefined
          ? 'Nobody is signed in.'
          : 'You have no session. Those of everybody: centuria session list --all',
      ...(nextCursor === undefined ? {} : { more: { nextCursor } }),
    });
    if (nextCursor !== undefined && context.format !== 'json') {
      note(context, `There are more: --cursor ${nextCursor}`);
    }
  });
}

function pageOfSessions(client: Client, options: ListOptions): Promise<SessionPage> {
  const { user, all, ended, ...page } = options;
  if (user !== undefined && all === true) {
    throw new AppError('usage', '--user and --all exclude each other');
  }
  const filter = { ...page, active: ended !== true };
  if (user !== undefined) return client.sessions({ ...filter, user });
  return all === true ? client.sessions(filter) : client.mySessions(filter);
}

function registerEnd(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('end')
      .description('End one session, or all of a user; they are refused from the next request on.')
      .argument('[session]', 'Its id, as the list shows it.')
      .option('--user <principal>', 'With --all: those of this user.')
      .option('--all', 'All of the user, or all of yours but this one.')
      .option('-y, --yes', 'Do not ask.'),
    [
      ['A browser that was left open', 'centuria session end 0b2f9a52-8c1e-4a56-9d59-6a54c1c6c0aa'],
      ['A laptop was stolen', 'centuria session end --user ada --all'],
    ],
  ).action(
    async (id: string | undefined, options: { user?: string; all?: true; yes?: boolean }) => {
      if (
        (id === undefined) !== (options.all === true) ||
        (id !== undefined && options.user !== undefined)
      ) {
        throw new AppError('usage', 'name one session, or --all with the --user whose they are');
      }
      const client = connect(context);
      if (id !== undefined) {
        await endOne(client, id);
        printDocument(context, { session: id, ended: 1 }, () => `Session ${id} has ended.`);
        return;
      }
      const whose = options.user === undefined ? 'yours' : `those of ${options.user}`;
      await confirm(context, `End all sessions: ${whose}?`, options);
      const ended =
        options.user === undefined
          ? await endMine(client)
          : (await client.endSessions(options.user)).ended;
      printDocument(
        context,
        { ended },
        () => `${plural(ended, 'session')} ${ended === 1 ? 'has' : 'have'} ended.`,
      );
    },
  );
}

/** One's own needs no right; anybody else's needs that over principals. */
async function endOne(client: Client, id: string): Promise<void> {
  try {
    await client.endMySession(id);
  } catch (thrown) {
    if (!(thrown instanceof AppError) || thrown.code !== 'not_found') throw thrown;
    await client.endSession(id);
  }
}

/** All but the one that asks, which centuria logout ends. */
async function endMine(client: Client): Promise<number> {
  const { credential } = await client.me();
  let ended = 0;
  for (let cursor: string | undefined; ;) {
    const page = await client.mySessions({
      active: true,
      limit: 500,
      ...(cursor === undefined ? {} : { cursor }),
    });
    for (const { id } of page.items) {
      if (id === credential.sessionId) continue;
      await client.endMySession(id);
      ended += 1;
    }
    cursor = page.nextCursor;
    if (cursor === undefined) return ended;
  }
}
