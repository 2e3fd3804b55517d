import { Option, type Command } from 'commander';
import type { Principal } from '../api/api.ts';
import type { Client, PrincipalFilter } from '../client/client.ts';
import { AppError, toAppError } from '../base/base.ts';
import { connect } from './connection.ts';
import type { CliContext } from './context.ts';
import { renderFacts } from './facts.ts';
import { addExamples, collect, wholeNumber } from './flags.ts';
import { formatAge, note, printDocument, printRows } from './output.ts';
import { confirm, readNewPassword } from './prompts.ts';
import { momentAfter } from './times.ts';

const nameArgument = 'Its name.';
const yes = ['-y, --yes', 'Do not ask.'] as const;
const passwordStdin = [
  '--password-stdin',
  'Read the password as one line of standard input.',
] as const;
const first = 'Make the first user: centuria user create NAME --role admin';

/** `centuria user`: who there is, and who may sign in. */
export function registerUser(program: Command, context: CliContext): void {
  const group = program
    .command('user')
    .description('Administer users and the principals of agents: roles, passwords, locks.');
  registerList(group, context);
  registerCreate(group, context);
  registerShow(group, context);
  registerPassword(group, context);
  registerStates(group, context);
  registerDelete(group, context);
  registerRoles(group, context);
}

interface ListOptions extends Omit<PrincipalFilter, 'status'> {
  readonly state?: 'active' | 'disabled';
}

function registerList(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('list')
      .description('List principals by name.')
      .addOption(new Option('--kind <kind>', 'Only these.').choices(['user', 'agent']))
      .addOption(new Option('--state <state>', 'Only these.').choices(['active', 'disabled']))
      .option('--role <role>', 'Only those who have it.')
      .option('--limit <number>', 'At most so many, 1 to 500.', wholeNumber(1, 500), 50)
      .option('--cursor <cursor>', 'Go on where an earlier list ended.'),
    [
      ['People only', 'centuria user list --kind user'],
      ['Who may administer', 'centuria user list --role admin'],
    ],
  ).action(async (options: ListOptions) => {
    const { state, ...rest } = options;
    const filter = { ...rest, ...(state === undefined ? {} : { status: state }) };
    const { items, nextCursor } = await connect(context).principals(filter);
    const { colours } = context.stdout;
    printRows(context, items, {
      columns: [
        { title: 'NAME', cell: (row) => row.username },
        { title: 'KIND', cell: (row) => row.kind },
        {
          title: 'STATE',
          cell: stateOf,
          style: (text) => (text === 'active' ? colours.green(text) : colours.yellow(text)),
        },
        { title: 'ROLES', cell: rolesOf, cut: true },
        { title: 'SIGNS IN WITH', cell: credentialsOf },
        { title: 'LAST', cell: (row) => formatAge(row.lastLoginAt, context.clock.nowMs()) },
      ],
      empty: `Nobody fits. ${first}`,
      ...(nextCursor === undefined ? {} : { more: { nextCursor } }),
    });
    if (nextCursor !== undefined && context.format !== 'json') {
      note(context, `There are more: --cursor ${nextCursor}`);
    } else if (items.length > 0 && isWhole(filter) && !items.some(canSignIn)) {
      note(context, `Nobody can sign in yet. ${first}`);
    }
  });
}

interface CreateOptions {
  readonly kind: 'user' | 'agent';
  readonly role?: string[];
  readonly roleExpires?: string;
  readonly displayName?: string;
  readonly email?: string;
  readonly password: boolean;
  readonly passwordStdin?: boolean;
  readonly mustChange?: boolean;
}

function registerCreate(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('create')
      .description('Create a user, who can sign in with a password, or a principal for an agent.')
      .argument('<name>', 'Lower-case letters, digits and . _ @ + -, 63 at most.')
      .option('--role <role>', 'A role to give. May repeat.', collect)
      .option('--role-expires <when>', 'When the roles end: 30d, 12h or a date.')
      .option('--display-name <text>', 'The name as people write it.')
      .option('--email <address>', 'An address; no two may have the same.')
      .addOption(
        new Option('--kind <kind>', 'What it is.').choices(['user', 'agent']).default('user'),
      )
      .option('--no-password', 'Without a password: signs in by API key or passkey only.')
      .option(...passwordStdin)
      .option('--must-change', 'The password must be changed when it is used first.'),
    [
      ['The first administrator', 'centuria user create ada --role admin'],
      ['From a script', 'pass show ada | centuria user create ada --password-stdin'],
      ['For a month', 'centuria user create guest --role monitor --role-expires 30d'],
    ],
  ).action(async (username: string, options: CreateOptions) => {
    const client = connect(context);
    const expiresAt =
      options.roleExpires === undefined
        ? undefined
        : momentAfter('--role-expires', options.roleExpires, context.clock.nowMs());
    const password =
      options.kind === 'user' && options.password
        ? await readNewPassword(context, options)
        : undefined;
    const roles = options.role ?? [];
    const made = await client.createPrincipal({
      username,
      kind: options.kind,
      ...(options.displayName === undefined ? {} : { displayName: options.displayName }),
      ...(options.email === undefined ? {} : { email: options.email }),
      ...(password === undefined ? {} : { password }),
      ...(options.mustChange === true ? { mustChangePassword: true } : {}),
      ...(expiresAt === undefined ? { roles } : {}),
    });
    const all = expiresAt === undefined ? made : await grantAll(client, made, roles, expiresAt);
    printDocument(context, all, () => `${label(all)} was created${withRoles(all)}.`);
  });
}

/** Roles that end are given one by one; what stays is told when one can not be. */
async function grantAll(
  client: Client,
  made: Principal,
  roles: readonly string[],
  expiresAt: string,
): Promise<Principal> {
  let principal = made;
  for (const role of roles) {
    try {
      principal = await client.grantRole(made.username, role, expiresAt);
    } catch (thrown) {
      const error = toAppError(thrown);
      throw new AppError(
        error.code,
        `${made.username} was created, but without the role ${role}: ${error.message}`,
        { cause: error, ...(error.remedy === undefined ? {} : { remedy: error.remedy }) },
      );
    }
  }
  return principal;
}

function registerShow(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('show')
      .description('Show a principal with its roles and state.')
      .argument('<principal>', nameArgument),
    [['Until when a lock holds', 'centuria user show ada -o json | jq -r .lockedUntil']],
  ).action(async (name: string) => {
    printDocument(context, await connect(context).principal(name), (found) =>
      renderPrincipal(found, context),
    );
  });
}

function registerPassword(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('set-password')
      .description('Set a password, typed twice at a hidden prompt; all sessions end.')
      .argument('<principal>', nameArgument)
      .option(...passwordStdin)
      .option('--must-change', 'It must be changed when it is used first.'),
    [['For somebody who forgot it', 'centuria user set-password ada --must-change']],
  ).action(async (name: string, options: { passwordStdin?: boolean; mustChange?: boolean }) => {
    const client = connect(context);
    const password = await readNewPassword(context, options);
    await client.setPassword(name, password, options.mustChange === true);
    printDocument(
      context,
      { username: name, passwordSet: true },
      () => `The password of ${name} was set; all sessions of ${name} have ended.`,
    );
  });
}

function registerStates(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('disable')
      .description('Let a principal do nothing more, at once: sessions, tokens and keys.')
      .argument('<principal>', nameArgument)
      .option(...yes),
    [['Somebody has left', 'centuria user disable ada']],
  ).action(async (name: string, options: { yes?: boolean }) => {
    await confirm(context, `Disable ${name}? Everything it does is refused at once.`, options);
    const changed = await connect(context).updatePrincipal(name, { status: 'disabled' });
    printDocument(context, changed, () => `${label(changed)} is disabled.`);
  });

  addExamples(
    group
      .command('enable')
      .description('Let a disabled principal in again.')
      .argument('<principal>', nameArgument),
    [['Back again', 'centuria user enable ada']],
  ).action(async (name: string) => {
    const changed = await connect(context).updatePrincipal(name, { status: 'active' });
    printDocument(context, changed, () => `${label(changed)} is active.`);
  });

  addExamples(
    group
      .command('unlock')
      .description('Forget wrong passwords, so that a locked name can sign in.')
      .argument('<principal>', nameArgument),
    [['After too many tries', 'centuria user unlock ada']],
  ).action(async (name: string) => {
    await connect(context).unlockPrincipal(name);
    printDocument(context, { username: name, unlocked: true }, () => `${name} can try again.`);
  });
}

function registerDelete(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('delete')
      .description('Delete a principal with its sessions and keys; the record keeps what it did.')
      .argument('<principal>', nameArgument)
      .option(...yes),
    [['Without being asked', 'centuria user delete guest --yes']],
  ).action(async (name: string, options: { yes?: boolean }) => {
    await confirm(context, `Delete ${name} with its sessions and API keys?`, options);
    await connect(context).deletePrincipal(name);
    printDocument(context, { username: name, deleted: true }, () => `${name} was deleted.`);
  });
}

function registerRoles(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('grant')
      .description('Give a role, or change until when.')
      .argument('<principal>', nameArgument)
      .argument('<role>', 'The role.')
      .option('--expires <when>', 'When it ends: 30d, 12h or a date.'),
    [['For the weekend', 'centuria user grant ada monitor --expires 3d']],
  ).action(async (name: string, role: string, options: { expires?: string }) => {
    const expiresAt =
      options.expires === undefined
        ? undefined
        : momentAfter('--expires', options.expires, context.clock.nowMs());
    const changed = await connect(context).grantRole(name, role, expiresAt);
    printDocument(context, changed, () => `${label(changed)} now has: ${rolesOf(changed)}.`);
  });

  addExamples(
    group
      .command('revoke')
      .description('Take a role away; it counts from the next request on.')
      .argument('<principal>', nameArgument)
      .argument('<role>', 'The role.'),
    [['No administrator any more', 'centuria user revoke ada admin']],
  ).action(async (name: string, role: string) => {
    const changed = await connect(context).revokeRole(name, role);
    printDocument(context, changed, () => `${label(changed)} now has: ${rolesOf(changed)}.`);
  });
}

/** Who somebody is, one fact a line. */
export function renderPrincipal(principal: Principal, context: CliContext): string {
  const now = context.clock.nowMs();
  return renderFacts(context, [
    [principal.kind === 'user' ? 'User' : 'Agent', principal.username],
    ['State', stateOf(principal)],
    ['Name', principal.displayName || '–'],
    ['E-mail', principal.email ?? '–'],
    ['Roles', rolesOf(principal)],
    ['Signs in with', credentialsOf(principal)],
    ['Wrong tries', String(principal.failedAttempts)],
    ['Last sign-in', formatAge(principal.lastLoginAt, now)],
    ['Created', principal.createdAt],
    ['Id', principal.id],
  ]);
}

function stateOf({ status, lockedUntil }: Principal): string {
  if (status === 'disabled') return 'disabled';
  return lockedUntil === undefined ? 'active' : `locked until ${lockedUntil}`;
}

function rolesOf({ roles }: Principal): string {
  const texts = roles.map(({ name, expiresAt }) =>
    expiresAt === undefined ? name : `${name} until ${expiresAt.slice(0, 16)}Z`,
  );
  return texts.join(', ') || 'no role';
}

function credentialsOf(principal: Principal): string {
  const { hasPassword, mustChangePassword, hasTotp, passkeys } = principal;
  const ways = [
    hasPassword ? `password${mustChangePassword ? ' (to change)' : ''}` : '',
    hasTotp ? 'authenticator' : '',
    passkeys > 0 ? `passkey${passkeys > 1 ? ` ×${passkeys}` : ''}` : '',
  ];
  return ways.filter((way) => way !== '').join(', ') || '–';
}

function canSignIn({ hasPassword, passkeys }: Principal): boolean {
  return hasPassword || passkeys > 0;
}

/** Whether a list is narrowed to nothing, so that it tells who there is at all. */
function isWhole({ kind, status, role, cursor }: PrincipalFilter): boolean {
  return kind !== 'agent' && status === undefined && role === undefined && cursor === undefined;
}

function label({ kind, username }: Principal): string {
  return kind === 'user' ? `User ${username}` : `Agent ${username}`;
}

function withRoles(principal: Principal): string {
  return principal.roles.length === 0 ? ', with no role yet' : ` with ${rolesOf(principal)}`;
}
