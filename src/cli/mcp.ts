import { realpathSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { Option, type Command } from 'commander';
import { AppError } from '../base/base.ts';
import { findServer, serverUrl } from './connection.ts';
import type { CliContext } from './context.ts';
import { addExamples } from './flags.ts';
import { printDocument } from './output.ts';

interface ConfigFlags {
  readonly http?: true;
  readonly stdio?: true;
  readonly client: string;
}

/** `centuria mcp`: the fleet for clients of the Model Context Protocol that start their servers themselves. */
export function registerMcp(program: Command, context: CliContext): void {
  const group = addExamples(
    program
      .command('mcp')
      .description(
        'Serve the Model Context Protocol on standard input and output, by way of the running server.',
      ),
    [
      ['As a client starts it', 'centuria mcp'],
      ['For a server elsewhere', 'centuria --server https://centuria.example.com mcp'],
    ],
  ).action(async () => {
    // Only this command needs the library, which takes longer to load than most commands run.
    const { serveStdio } = await import('./mcp-stdio.ts');
    await serveStdio(context);
  });

  addExamples(
    group
      .command('config')
      .description('Print how a client is told of this server; no secret is in it.')
      .option('--stdio', 'The client starts centuria mcp, which uses your login (the default).')
      .addOption(
        new Option(
          '--http',
          'The client asks the server itself, with the API key in CENTURIA_API_KEY.',
        ).conflicts('stdio'),
      )
      .addOption(
        new Option('--client <name>', 'Whose format.')
          .choices(['claude-code'])
          .default('claude-code'),
      ),
    [
      ['For Claude Code, in a project', 'centuria mcp config > .mcp.json'],
      ['With an API key', 'centuria mcp config --http > .mcp.json'],
    ],
  ).action((flags: ConfigFlags) => {
    const server = flags.http === true ? httpServer(context) : stdioServer(context);
    printDocument(context, { mcpServers: { centuria: server } }, (document) =>
      JSON.stringify(document, undefined, 2),
    );
  });
}

function httpServer(context: CliContext) {
  return {
    type: 'http',
    url: `${bridgeUrl(context)}/mcp`,
    // The client puts the variable in when it reads the file.
    headers: { Authorization: 'Bearer ${CENTURIA_API_KEY}' },
  };
}

function bridgeUrl(context: CliContext): string {
  const named = serverUrl(context);
  if (named !== undefined) return named;
  const { home, values } = context.config();
  if (values.publicUrl !== '') return values.publicUrl.replace(/\/+$/, '');
  const running = findServer(home)?.bridgeUrl;
  if (running !== undefined) return running;
  if (values.bridgePort !== 0) return `http://127.0.0.1:${values.bridgePort}`;
  throw new AppError('server_not_running', `no Centuria is running on ${home}`, {
    remedy: 'Its port is free to change: start it, or set CENTURIA_BRIDGE_PORT.',
  });
}

/** The data folder is named, since the client starts the command wherever it likes. */
function stdioServer(context: CliContext) {
  const named = serverUrl(context);
  const { command, launcher } = ownCommand(context);
  const which = named === undefined ? ['--home', context.config().home] : ['--server', named];
  return { type: 'stdio', command, args: [...launcher, ...which, 'mcp'] };
}

/** `centuria` where the shell finds this very program by that name, otherwise its file and this Node. */
function ownCommand({ env, root }: CliContext): { command: string; launcher: readonly string[] } {
  const own = join(root, 'bin/centuria.mjs');
  const isOnPath = (env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      return folder !== '' && realpathSync(join(folder, 'centuria')) === realpathSync(own);
    } catch {
      return false;
    }
  });
  return isOnPath
    ? { command: 'centuria', launcher: [] }
    : { command: process.execPath, launcher: [own] };
}
