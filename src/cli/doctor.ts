import type { Command } from 'commander';
import { toAppError, type Config } from '../base/base.ts';
import type { Client } from '../client/client.ts';
import { lintFleet } from './agent-lint.ts';
import {
  checkDisk,
  checkHome,
  checkLock,
  checkNode,
  checkPort,
  checkPrograms,
  result,
  type CheckResult,
} from './checks.ts';
import { connect, findServer } from './connection.ts';
import type { CliContext, Colours } from './context.ts';
import { checkDatabase } from './database-check.ts';
import { Exit } from './failure.ts';
import { addExamples, addSettingFlags } from './flags.ts';
import { note, plural, printRows, type Column } from './output.ts';
import { lintWorkflows } from './workflow.ts';

/** `centuria doctor`: what works here and what does not, with the remedy; no server is needed. */
export function registerDoctor(program: Command, context: CliContext): void {
  addExamples(
    addSettingFlags(
      program
        .command('doctor')
        .description('Check everything that Centuria needs. Exits 1 when something fails.'),
    ),
    [
      ['Before the first start', 'centuria doctor'],
      ['Only what fails', `centuria doctor -o jsonl | jq -c 'select(.state=="fail")'`],
    ],
  ).action(async (options: Record<string, unknown>) => {
    const rows = await examine(context, options);
    printRows(context, rows, { columns: columnsOf(context.stdout.colours), empty: '' });
    const failed = rows.filter(({ state }) => state === 'fail').length;
    if (failed === 0) return;
    note(context, `${plural(failed, 'check')} failed.`);
    throw new Exit(1);
  });
}

async function examine(
  context: CliContext,
  options: Readonly<Record<string, unknown>>,
): Promise<CheckResult[]> {
  let config: Config;
  try {
    config = context.config(options);
  } catch (thrown) {
    const { message, remedy } = toAppError(thrown);
    // Where the data is depends on the settings, so nothing that needs it can be looked at.
    return [checkNode(), result('settings', 'fail', message, remedy), ...(await checkPrograms())];
  }
  const client = findServer(config.home) === undefined ? undefined : tryConnect(context);
  return [
    checkNode(),
    result('settings', 'ok', `read for ${config.home}`),
    ...(await checkHome(config.home)),
    await checkDisk(config.home),
    checkLock(config.home),
    await checkPort(config),
    ...(await checkDatabase(context, config, client)),
    ...(await checkPrograms()),
    ...(await checkAgents(context, config, client)),
    await checkWorkflows(context, config),
  ];
}

/** A token that can not be read is told by the check of the data folder. */
function tryConnect(context: CliContext): Client | undefined {
  try {
    return connect(context);
  } catch {
    return undefined;
  }
}

async function checkAgents(
  context: CliContext,
  config: Config,
  client: Client | undefined,
): Promise<CheckResult[]> {
  const { definitions, problems } = await lintFleet(context, config);
  const errors = problems.filter(({ severity }) => severity === 'error');
  const rows = [
    errors.length === 0
      ? result('agents', 'ok', `${plural(definitions.length, 'definition')} without an error`)
      : result(
          'agents',
          'fail',
          `${plural(errors.length, 'error')}, the first in ${errors[0]?.file}:${errors[0]?.line}: ${errors[0]?.message}`,
          'centuria agent lint lists them.',
        ),
  ];
  for (const { name, reason } of await unavailableAgents(problems, definitions, client)) {
    rows.push(result(`agent ${name}`, 'unavailable', reason));
  }
  return rows;
}

/** From the server, which checks them all the time, or from what their files need. */
async function unavailableAgents(
  problems: Awaited<ReturnType<typeof lintFleet>>['problems'],
  definitions: Awaited<ReturnType<typeof lintFleet>>['definitions'],
  client: Client | undefined,
): Promise<{ name: string; reason: string }[]> {
  const served = await client?.agents().catch(() => undefined);
  if (served !== undefined) {
    return served.items
      .filter(({ status }) => status.state === 'unavailable' || status.state === 'failed')
      .map(({ name, status }) => ({ name, reason: status.reason ?? status.state }));
  }
  const prefix = 'would be unavailable here: ';
  const nameOf = new Map(definitions.map(({ file, name }) => [file, name]));
  return problems
    .filter(({ message }) => message.startsWith(prefix))
    .map(({ file, message }) => ({
      name: nameOf.get(file) ?? file,
      reason: message.slice(prefix.length),
    }));
}

async function checkWorkflows(context: CliContext, config: Config): Promise<CheckResult> {
  const problems = await lintWorkflows(context, config);
  const first = problems[0];
  if (first === undefined) return result('workflows', 'ok', 'all of them load');
  return result(
    'workflows',
    'fail',
    `${plural(problems.length, 'problem')}, the first in ${first.file}:${first.line}: ${first.message}`,
    'centuria workflow lint lists them.',
  );
}

const faces = { ok: '✓', warn: '!', fail: '✗', unavailable: '–' } as const;

function columnsOf(colours: Colours): Column<CheckResult>[] {
  const styles = {
    ok: colours.green,
    warn: colours.yellow,
    fail: colours.red,
    unavailable: colours.dim,
  };
  return [
    {
      title: 'STATE',
      cell: ({ state }) => `${faces[state]} ${state}`,
      style: (text, { state }) => styles[state](text),
    },
    { title: 'CHECK', cell: ({ check }) => check },
    { title: 'FOUND', cell: ({ message }) => message },
    { title: 'REMEDY', cell: ({ remedy }) => remedy ?? '' },
  ];
}
