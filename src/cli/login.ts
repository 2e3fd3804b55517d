import type { Command } from 'commander';
import type { Me } from '../api/api.ts';
import { AppError, toAppError } from '../base/base.ts';
import { awaitDeviceLogin, createClient, startDeviceLogin } from '../client/client.ts';
import { connect, findServer, serverUrl } from './connection.ts';
import type { CliContext } from './context.ts';
import { forgetLogin, freshToken, readLogin, writeLogin, type StoredLogin } from './credentials.ts';
import { renderFacts } from './facts.ts';
import { addExamples } from './flags.ts';
import { formatDuration, note, printDocument } from './output.ts';

/** `centuria login`, `logout` and `whoami`: who this person is at a server. */
export function registerLogin(program: Command, context: CliContext): void {
  addExamples(
    program
      .command('login')
      .description('Sign in at a server, by a code that is entered in a browser.'),
    [
      ['At the server of this data folder', 'centuria login'],
      ['At another one', 'centuria login --server https://centuria.example.com'],
    ],
  ).action(() => login(context));

  addExamples(program.command('logout').description('End the session that centuria login began.'), [
    ['On a machine of somebody else', 'centuria logout'],
  ]).action(() => logout(context));

  addExamples(
    program
      .command('whoami')
      .description('Show as whom a server knows you, by which credential, and what it allows.'),
    [
      ['Here', 'centuria whoami'],
      ['With an API key', 'CENTURIA_API_KEY_FILE=key centuria whoami -o json | jq .rights'],
    ],
  ).action(async () => {
    printDocument(context, await connect(context).me(), (me) => renderMe(me, context));
  });
}

async function login(context: CliContext): Promise<void> {
  const server = serverOf(context);
  warnOfPlainHttp(context, server);
  // Nobody is anybody here yet, and no credential is needed to ask.
  const state = await createClient({ baseUrl: server, token: 'none' }).signInState();
  if (!state.hasUsers) {
    throw new AppError('unavailable', `nobody can sign in at ${server}: it has no users yet`, {
      retryable: false,
      remedy: 'Where its data folder is: centuria user create NAME --role admin',
    });
  }
  const device = await startDeviceLogin(server);
  const { cyan, bold } = context.stderr.colours;
  note(context, `Open ${cyan(device.verificationUri)} and enter ${bold(device.userCode)}`);
  if (device.verificationUriComplete !== undefined) {
    note(
      context,
      `or open ${cyan(device.verificationUriComplete)} and check that the code is the same.`,
    );
  }
  note(context, `Waiting, for at most ${formatDuration(device.expiresInSeconds * 1_000)} …`);
  const tokens = await awaitDeviceLogin(server, device, context.clock);
  const before = await readLogin(context).catch(() => undefined);
  await writeLogin(context, server, tokens);
  const me = await createClient({ baseUrl: server, token: tokens.accessToken }).me();
  if (before !== undefined && before.server !== server) {
    note(context, `Your login at ${before.server} is forgotten here: one is kept at a time.`);
  }
  const { username } = me.principal;
  printDocument(
    context,
    { server, username },
    () =>
      `Signed in at ${server} as ${username}. Commands use it with --server ${server}, or CENTURIA_SERVER.`,
  );
}

async function logout(context: CliContext): Promise<void> {
  const stored = await readLogin(context);
  const wanted = serverUrl(context);
  if (stored === undefined || (wanted !== undefined && wanted !== stored.server)) {
    const where = wanted === undefined ? '' : ` at ${wanted}`;
    throw new AppError('not_found', `you are not signed in${where}`, {
      remedy: 'centuria login signs in.',
    });
  }
  const { server } = stored;
  try {
    await endSession(context, stored);
  } catch (thrown) {
    const error = toAppError(thrown);
    await forgetLogin(context);
    throw new AppError(
      'unavailable',
      `the login is forgotten here, but ${server} could not be told: ${error.message}`,
      {
        cause: error,
        remedy: 'The session counts there until it ends: centuria session end ends it by its id.',
      },
    );
  }
  await forgetLogin(context);
  printDocument(context, { server, signedOut: true }, () => `Signed out at ${server}.`);
}

/** A session that has ended already is what was wanted. */
async function endSession(context: CliContext, { server }: StoredLogin): Promise<void> {
  try {
    const token = await freshToken(context, server);
    await createClient({ baseUrl: server, token }).endMySession('current');
  } catch (thrown) {
    const { code } = toAppError(thrown);
    const isOver = ['unauthenticated', 'token_invalid', 'token_expired'].includes(code);
    if (!isOver) throw thrown;
  }
}

/** The server that is named, or the one that runs on the data folder. */
function serverOf(context: CliContext): string {
  const named = serverUrl(context);
  if (named !== undefined) return named;
  const { home } = context.config();
  const running = findServer(home);
  if (running !== undefined) return running.bridgeUrl;
  throw new AppError('server_not_running', `no Centuria is running on ${home}`, {
    remedy: 'Name a server: centuria login --server https://…, or start one: centuria up',
  });
}

function warnOfPlainHttp(context: CliContext, server: string): void {
  const { protocol, hostname } = new URL(server);
  const isHere = hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
  if (protocol === 'https:' || isHere) return;
  note(
    context,
    `${context.stderr.colours.yellow('warning:')} ${server} is not encrypted: whoever sees the traffic can use your login.`,
  );
}

function renderMe(me: Me, context: CliContext): string {
  const { principal, credential, rights, scope, actors } = me;
  const facts: [string, string][] = [
    [principal.kind === 'user' ? 'User' : 'Agent', principal.username],
    ['By', credentialName(credential.kind)],
    ['Roles', principal.roles.map(({ name }) => name).join(', ') || 'none'],
    ['May', rights.everywhere.join(', ') || 'nothing everywhere'],
  ];
  const some = rights.some.map(({ action, pattern }) => `${action} on ${pattern}`);
  if (some.length > 0) facts.push(['And', some.join(', ')]);
  if (scope !== undefined) facts.push(['But only', scope.join(', ') || 'nothing']);
  if (actors.length > 0) facts.push(['Acting', actors.join(' for ')]);
  if (credential.sessionId !== undefined) facts.push(['Session', credential.sessionId]);
  return renderFacts(context, facts);
}

function credentialName(kind: Me['credential']['kind']): string {
  if (kind === 'owner') return 'the token of the data folder';
  if (kind === 'api_key') return 'an API key';
  return kind === 'session' ? 'a session' : 'an access token';
}
