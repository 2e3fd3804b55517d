import type { Command } from 'commander';
import type { ApiKeyPage, SigningKeyList } from '../api/api.ts';
import { AppError, toAppError } from '../base/base.ts';
import type { Client } from '../client/client.ts';
import { connect } from './connection.ts';
import type { CliContext } from './context.ts';
import { addExamples, collect, wholeNumber } from './flags.ts';
import { formatAge, note, printDocument, printRows, type Column } from './output.ts';
import { confirm } from './prompts.ts';
import { momentAfter } from './times.ts';

type ApiKey = ApiKeyPage['items'][number];
type SigningKey = SigningKeyList['items'][number];

/** `centuria token`: the credentials of programs, and the keys that tokens are signed with. */
export function registerToken(program: Command, context: CliContext): void {
  const group = program
    .command('token')
    .description('Make, list and revoke API keys; look after the signing keys.');
  registerCreate(group, context);
  registerList(group, context);
  registerRevoke(group, context);
  registerKeys(group, context);
}

interface CreateOptions {
  readonly for?: string;
  readonly scope?: string[];
  readonly network?: string[];
  readonly expires?: string;
  readonly rate?: number;
}

function registerCreate(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('create')
      .description('Make an API key and print it; it is not shown again.')
      .argument('<name>', 'What it is for, as lists show it.')
      .option('--for <principal>', 'For somebody else: an agent, or another user.')
      .option('--scope <action>', 'Only these permissions. May repeat.', collect)
      .option('--network <cidr>', 'Only from these networks, as 10.0.0.0/8. May repeat.', collect)
      .option('--expires <when>', 'When it ends: 30d, 12h or a date. Never unless given.')
      .option('--rate <number>', 'Requests a minute, at most.', wholeNumber(1, 1_000_000)),
    [
      [
        'Into a file that a service reads',
        '(umask 077; centuria token create ci --expires 30d > key)',
      ],
      ['For an agent, reading only', 'centuria token create watch --for watcher --scope runs.read'],
    ],
  ).action(async (name: string, options: CreateOptions) => {
    const client = connect(context);
    const { expires, network, rate, scope } = options;
    const body = {
      name,
      ...(scope === undefined ? {} : { scopes: scope }),
      ...(network === undefined ? {} : { allowedNetworks: network }),
      ...(rate === undefined ? {} : { rateLimitPerMinute: rate }),
      ...(expires === undefined
        ? {}
        : { expiresAt: momentAfter('--expires', expires, context.clock.nowMs()) }),
    };
    const made =
      options.for === undefined
        ? await client.createMyApiKey(body)
        : await client.createApiKeyFor(options.for, body);
    printDocument(context, made, ({ key }) => key);
    if (context.format === 'table') {
      note(
        context,
        `This is the only time that it is shown. Programs give it as CENTURIA_API_KEY_FILE. Revoke it: centuria token revoke ${made.info.prefix}`,
      );
    }
  });
}

function registerList(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('list')
      .description('List your API keys, or those of others. The keys themselves are not kept.')
      .option('--for <principal>', 'Those of this principal.')
      .option('--all', 'Those of everybody.')
      .option('--limit <number>', 'At most so many, 1 to 500.', wholeNumber(1, 500), 50)
      .option('--cursor <cursor>', 'Go on where an earlier list ended.'),
    [
      ['Your own', 'centuria token list'],
      ['Never used', `centuria token list --all -o jsonl | jq 'select(.lastUsedAt==null)'`],
    ],
  ).action(async (options: { for?: string; all?: true; limit: number; cursor?: string }) => {
    const client = connect(context);
    const { items, nextCursor } = await pageOfKeys(client, options);
    const now = context.clock.nowMs();
    printRows(context, items, {
      columns: [
        { title: 'PREFIX', cell: (row) => row.prefix },
        { title: 'NAME', cell: (row) => row.name, cut: true },
        { title: 'OF', cell: (row) => row.username },
        { title: 'STATE', cell: (row) => stateOf(row, now) },
        { title: 'ONLY', cell: limitsOf, cut: true },
        { title: 'USED', cell: (row) => formatAge(row.lastUsedAt, now) },
      ],
      empty: 'No API keys. Make one: centuria token create NAME',
      ...(nextCursor === undefined ? {} : { more: { nextCursor } }),
    });
    if (nextCursor !== undefined && context.format !== 'json') {
      note(context, `There are more: --cursor ${nextCursor}`);
    }
  });
}

function pageOfKeys(
  client: Client,
  options: { for?: string; all?: true; limit: number; cursor?: string },
): Promise<ApiKeyPage> {
  const { for: owner, all, ...page } = options;
  if (owner !== undefined && all === true) {
    throw new AppError('usage', '--for and --all exclude each other');
  }
  if (owner !== undefined) return client.apiKeysOf(owner, page);
  return all === true ? client.apiKeys(page) : client.myApiKeys(page);
}

function registerRevoke(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('revoke')
      .description('Revoke an API key; it is refused from the next request on.')
      .argument('<key>', 'Its prefix or id, as the list shows it.')
      .option('-y, --yes', 'Do not ask.'),
    [['A key that leaked', 'centuria token revoke PREFIX --yes']],
  ).action(async (key: string, options: { yes?: boolean }) => {
    const client = connect(context);
    await confirm(context, `Revoke API key ${key}? What uses it is refused at once.`, options);
    await revoke(client, key);
    printDocument(context, { key, revoked: true }, () => `API key ${key} was revoked.`);
  });
}

/** One's own needs no right; anybody else's needs that over principals. */
async function revoke(client: Client, key: string): Promise<void> {
  try {
    await client.revokeMyApiKey(key);
  } catch (thrown) {
    if (toAppError(thrown).code !== 'not_found') throw thrown;
    await client.revokeApiKey(key);
  }
}

function registerKeys(group: Command, context: CliContext): void {
  const keys = group
    .command('keys')
    .description('Look after the keys that tokens are signed with.');

  addExamples(keys.command('list').description('List the signing keys with their times.'), [
    ['Which one signs now', `centuria token keys list -o jsonl | jq 'select(.state=="current")'`],
  ]).action(async () => {
    const { items } = await connect(context).signingKeys();
    printRows(context, items, {
      columns: signingKeyColumns,
      empty: 'There is no signing key, so no token can be issued: see centuria status.',
    });
  });

  addExamples(
    keys
      .command('rotate')
      .description('Sign with a new key. Tokens of the present one count until it is over.')
      .option('--compromised', 'The present keys are known to others: everybody signs in again.')
      .option('-y, --yes', 'Do not ask.'),
    [
      ['Before the time', 'centuria token keys rotate'],
      ['A signing key leaked', 'centuria token keys rotate --compromised'],
    ],
  ).action(async (options: { compromised?: true; yes?: boolean }) => {
    const client = connect(context);
    if (options.compromised === true) {
      await confirm(context, 'Stop all tokens at once? Everybody has to sign in again.', options);
    }
    const { items } = await client.rotateSigningKeys(
      options.compromised === true ? 'compromised' : 'requested',
    );
    printRows(context, items, { columns: signingKeyColumns, empty: '' });
    note(
      context,
      options.compromised === true
        ? 'The keys before count no more; everybody signs in again.'
        : 'New tokens are signed with the current key; older ones count until theirs is over.',
    );
  });
}

const signingKeyColumns: readonly Column<SigningKey>[] = [
  { title: 'KEY', cell: (row) => row.kid },
  { title: 'ALGORITHM', cell: (row) => row.algorithm },
  { title: 'STATE', cell: (row) => row.state },
  { title: 'SIGNS FROM', cell: (row) => row.signsFrom },
  { title: 'SIGNS UNTIL', cell: (row) => row.signsUntil },
  { title: 'COUNTS UNTIL', cell: (row) => row.verifiesUntil },
];

function stateOf({ revokedAt, expiresAt }: ApiKey, nowMs: number): string {
  if (revokedAt !== undefined) return 'revoked';
  if (expiresAt === undefined) return 'counts';
  return Date.parse(expiresAt) <= nowMs ? 'over' : `until ${expiresAt.slice(0, 16)}Z`;
}

function limitsOf({ scopes, allowedNetworks }: ApiKey): string {
  const limits = [
    ...(scopes ?? []),
    ...(allowedNetworks ?? []).map((network) => `from ${network}`),
  ];
  return limits.join(', ') || '–';
}
