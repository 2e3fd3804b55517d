import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { AppError } from '../base/base.ts';
import { registerAccess } from './access.ts';
import { registerAgent } from './agent.ts';
import { registerBreaker } from './breaker.ts';
import { registerBudget } from './budget.ts';
import { registerCompletion } from './completion.ts';
import { registerConfig } from './config.ts';
import { createContext, outputFormats, type CliContext, type ProcessFace } from './context.ts';
import { registerDoctor } from './doctor.ts';
import { registerExt } from './ext.ts';
import { reportFailure } from './failure.ts';
import { registerLearn } from './learn.ts';
import { registerLogin } from './login.ts';
import { registerMcp } from './mcp.ts';
import { registerMigrate } from './migrate.ts';
import { registerPg } from './pg.ts';
import { registerRole } from './role.ts';
import { registerRun } from './run.ts';
import { registerSchedule } from './schedule.ts';
import { registerSession } from './session.ts';
import { registerStatus } from './status.ts';
import { registerToken } from './token.ts';
import { registerUp } from './up.ts';
import { registerUser } from './user.ts';
import { registerWorkflow } from './workflow.ts';

export type { CliContext, OutputFormat, Terminal } from './context.ts';

/** The folder that holds package.json: one above src/ and one above dist/. */
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Every command group, in the order of the help. A group adds its commands and nothing else. */
const groups: readonly ((program: Command, context: CliContext) => void)[] = [
  registerUp,
  registerStatus,
  registerRun,
  registerWorkflow,
  registerSchedule,
  registerAgent,
  registerLearn,
  registerBudget,
  registerBreaker,
  registerMcp,
  registerLogin,
  registerUser,
  registerRole,
  registerToken,
  registerSession,
  registerAccess,
  registerDoctor,
  registerMigrate,
  registerPg,
  registerExt,
  registerConfig,
  registerCompletion,
];

/** Runs the command line of this process and sets its exit status. */
export async function runProcess(): Promise<void> {
  quietBrokenPipes();
  const { stdin, stdout, stderr, env } = process;
  const status = await run(process.argv.slice(2), {
    stdin,
    stdout,
    stderr,
    env,
    cwd: process.cwd(),
  });
  // What a command left open (a socket that is kept alive) must not hold the terminal.
  stdout.write('', () => process.exit(status));
}

/** Runs one command line and returns its exit status. */
export async function run(argv: readonly string[], face: ProcessFace): Promise<number> {
  const { program, context } = buildProgram(face);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return 0;
  } catch (thrown) {
    return reportFailure(thrown, context);
  }
}

/** The whole tree of commands. The reference page and the completions are made from it too. */
export function buildProgram(face: ProcessFace): { program: Command; context: CliContext } {
  const program = new Command('centuria');
  const context = createContext(face, program, { root, version: packageVersion() });
  program
    .description('A self-hosted control plane for fleets of AI agents, on PostgreSQL.')
    .version(context.version, '--version', 'Print the version.')
    .option('--home <path>', 'The data folder (CENTURIA_HOME; otherwise the nearest .centuria).')
    .addOption(
      new Option('-o, --output <format>', 'How results are printed.').choices(outputFormats),
    )
    .option(
      '--server <url>',
      'Work on this server (CENTURIA_SERVER), with your login or CENTURIA_API_KEY.',
    )
    .option('--no-color', 'Print without colours (as NO_COLOR does).')
    .option('-v, --verbose', 'Tell more: error codes, causes, debug lines.')
    .addOption(refusedDatabaseUrl())
    .helpOption('-h, --help', 'Show this help.')
    .helpCommand('help [command]', 'Show the help of a command.')
    .exitOverride()
    .showSuggestionAfterError(true)
    .configureHelp({
      showGlobalOptions: true,
      styleTitle: (title) => context.stdout.colours.bold(title),
    })
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
      // Told by reportFailure, in the form that -o asks for.
      outputError: () => {},
      getOutHelpWidth: () => context.stdout.columns ?? 100,
      getErrHelpWidth: () => context.stderr.columns ?? 100,
      getOutHasColors: () => context.stdout.colours.isColorSupported,
      getErrHasColors: () => context.stderr.colours.isColorSupported,
    });
  for (const register of groups) register(program, context);
  return { program, context };
}

/** A command line can be read by every user of a machine, and this URL holds a password. */
function refusedDatabaseUrl(): Option {
  return new Option('--database-url <url>').hideHelp().argParser(() => {
    throw new AppError('usage', '--database-url is not taken: other users can see command lines', {
      remedy: 'Set CENTURIA_DATABASE_URL, or name a file with it in CENTURIA_DATABASE_URL_FILE.',
    });
  });
}

function packageVersion(): string {
  const content = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    version: string;
  };
  return content.version;
}

/** A reader that has seen enough (`| head`) closes the pipe: that is no failure. */
function quietBrokenPipes(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    // A server keeps serving when nobody reads its first lines any more.
    if (process.listenerCount('SIGTERM') === 0) process.exit(0);
  });
  process.stderr.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}
