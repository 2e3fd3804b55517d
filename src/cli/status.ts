import type { Command } from 'commander';
import type { SystemStatus } from '../api/api.ts';
import { connect } from './connection.ts';
import type { CliContext } from './context.ts';
import { addExamples } from './flags.ts';
import { formatBytes, formatDuration, plural, printDocument } from './output.ts';

/** `centuria status` and `centuria open`: the server that is running. */
export function registerStatus(program: Command, context: CliContext): void {
  addExamples(program.command('status').description('Show what the running server has and does.'), [
    ['For a script', 'centuria status -o json | jq .runs.open'],
    ['Is it running?', 'centuria status >/dev/null 2>&1 || echo no'],
  ]).action(async () => {
    const status = await connect(context).systemStatus();
    printDocument(context, status, (now) => renderStatus(now, context));
  });

  addExamples(
    program
      .command('open')
      .description('Print a link that lets one browser in, once, within five minutes.'),
    [['Open it', 'xdg-open "$(centuria open)"']],
  ).action(async () => {
    printDocument(context, await connect(context).createLoginLink(), ({ url }) => url);
  });
}

function renderStatus(status: SystemStatus, context: CliContext): string {
  const { bold, green, red } = context.stdout.colours;
  const { database, agents, worker, memory } = status;
  const version = `${Math.floor(database.versionNumber / 10_000)}.${database.versionNumber % 10_000}`;
  const health = database.status === 'ok' ? green('ok') : red(database.reason ?? 'unavailable');
  const states = Object.entries(agents.byState).map(([state, count]) => `${count} ${state}`);
  const problems = agents.problems === 0 ? '' : `; ${plural(agents.problems, 'problem')} in files`;
  const facts: [string, string][] = [
    ['Centuria', `${status.version}, process ${status.pid}, Node ${status.node}`],
    ['Up for', formatDuration(status.uptimeSeconds * 1_000)],
    ['Data', status.home],
    [
      'Database',
      `PostgreSQL ${version}, ${database.driver}, ${database.vector ? 'with' : 'without'} pgvector: ${health}`,
    ],
    ['Agents', `${agents.count} (${states.join(', ') || 'none'})${problems}`],
    ['Runs', `${status.runs.open} open`],
    [
      'Worker',
      worker === undefined
        ? 'none in this process'
        : `${plural(worker.attempts, 'attempt')} of ${plural(worker.runs, 'run')} under way, at most ${worker.concurrency}`,
    ],
    ['Memory', `${formatBytes(memory.residentBytes)} resident`],
  ];
  return facts.map(([name, value]) => `${bold(name.padEnd(9))} ${value}`).join('\n');
}
