import type { Command } from 'commander';
import type { RoleDetail } from '../api/api.ts';
import { connect } from './connection.ts';
import type { CliContext } from './context.ts';
import { renderFacts } from './facts.ts';
import { addExamples, collect, wholeNumber } from './flags.ts';
import { plural, printDocument, printRows } from './output.ts';
import { confirm } from './prompts.ts';

const roleArgument = ['<role>', 'Its name.'] as const;
const actionArgument = [
  '<action>',
  'A permission, as centuria role permissions lists them.',
] as const;
const patternArgument = [
  '[pattern]',
  'On which resources; * stands for any characters. Everything unless given.',
] as const;

/** `centuria role`: what may be done by whom. */
export function registerRole(program: Command, context: CliContext): void {
  const group = program.command('role').description('Administer roles and what they grant.');
  registerReading(group, context);
  registerCreate(group, context);
  registerDelete(group, context);
  registerPermissions(group, context);
}

function registerReading(group: Command, context: CliContext): void {
  addExamples(group.command('list').description('List the roles.'), [
    ['Names for a script', 'centuria role list -o jsonl | jq -r .name'],
  ]).action(async () => {
    const { items } = await connect(context).roles();
    printRows(context, items, {
      columns: [
        { title: 'ROLE', cell: (row) => row.name },
        { title: 'LEVEL', cell: (row) => String(row.level), align: 'right' },
        { title: 'MEMBERS', cell: (row) => String(row.members), align: 'right' },
        { title: 'GRANTS', cell: grantsOf, cut: true },
        { title: 'DESCRIPTION', cell: (row) => row.description, cut: true },
      ],
      empty: 'No roles. Create one: centuria role create NAME --allow runs.read',
    });
  });

  addExamples(
    group
      .command('show')
      .description('Show a role with what it grants.')
      .argument(...roleArgument),
    [['Its bits', 'centuria role show admin -o json | jq -r .mask']],
  ).action(async (name: string) => {
    printDocument(context, await connect(context).role(name), (role) => renderRole(role, context));
  });

  addExamples(
    group.command('permissions').description('List the permissions there are, with their bits.'),
    [
      [
        'What admin implies',
        `centuria role permissions -o jsonl | jq 'select(.impliedBy|index("admin"))'`,
      ],
    ],
  ).action(async () => {
    const { items, version } = await connect(context).permissions();
    printRows(context, items, {
      columns: [
        { title: 'BIT', cell: (row) => String(row.bit), align: 'right' },
        { title: 'PERMISSION', cell: (row) => row.action },
        { title: 'IMPLIED BY', cell: (row) => row.impliedBy.join(', ') || '–' },
        { title: 'LETS', cell: (row) => row.description, cut: true },
      ],
      empty: 'The server knows no permissions.',
      more: { version },
    });
  });
}

function registerCreate(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('create')
      .description('Create a role; you can only grant what you have yourself.')
      .argument('<name>', 'Lower-case letters, digits and . _ -, 63 at most.')
      .option('--description <text>', 'What it is for.')
      .option(
        '--level <number>',
        'From 1, the strongest, to 5: the role that tokens name.',
        wholeNumber(1, 5),
      )
      .option(
        '--allow <action[=pattern]>',
        'A permission, on everything or on what fits the pattern. May repeat.',
        collect,
      ),
    [
      ['May run the linters', 'centuria role create linters --allow agents.execute=lint-*'],
      ['Reads runs', 'centuria role create auditors --allow runs.read --allow audit.read'],
    ],
  ).action(
    async (name: string, options: { description?: string; level?: number; allow?: string[] }) => {
      const made = await connect(context).createRole({
        name,
        ...(options.description === undefined ? {} : { description: options.description }),
        ...(options.level === undefined ? {} : { level: options.level }),
        ...(options.allow === undefined ? {} : { permissions: options.allow.map(permissionOf) }),
      });
      printDocument(context, made, () => `Role ${name} was created. It grants: ${grantsOf(made)}.`);
    },
  );
}

function registerDelete(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('delete')
      .description('Delete a role; whoever had it loses what it granted. System roles stay.')
      .argument(...roleArgument)
      .option('-y, --yes', 'Do not ask.'),
    [['Without being asked', 'centuria role delete linters --yes']],
  ).action(async (name: string, options: { yes?: boolean }) => {
    const client = connect(context);
    const { members } = await client.role(name);
    await confirm(context, `Delete role ${name}? It has ${plural(members, 'member')}.`, options);
    await client.deleteRole(name);
    printDocument(context, { name, deleted: true }, () => `Role ${name} was deleted.`);
  });
}

function registerPermissions(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('allow')
      .description('Let a role do something, everywhere or on some resources.')
      .argument(...roleArgument)
      .argument(...actionArgument)
      .argument(...patternArgument),
    [['On some agents', "centuria role allow linters agents.execute 'lint-*'"]],
  ).action(async (name: string, action: string, pattern: string | undefined) => {
    const changed = await connect(context).allow(name, action, pattern);
    printDocument(context, changed, () => `Role ${name} now grants: ${grantsOf(changed)}.`);
  });

  addExamples(
    group
      .command('disallow')
      .description('Take one permission from a role, with the pattern that it was given with.')
      .argument(...roleArgument)
      .argument(...actionArgument)
      .argument(...patternArgument),
    [['Not any more', "centuria role disallow linters agents.execute 'lint-*'"]],
  ).action(async (name: string, action: string, pattern: string | undefined) => {
    const changed = await connect(context).disallow(name, action, pattern);
    printDocument(context, changed, () => `Role ${name} now grants: ${grantsOf(changed)}.`);
  });
}

function permissionOf(text: string): { action: string; pattern?: string } {
  const at = text.indexOf('=');
  return at === -1 ? { action: text } : { action: text.slice(0, at), pattern: text.slice(at + 1) };
}

function grantsOf({ permissions }: RoleDetail): string {
  const texts = permissions.map(({ action, pattern }) =>
    pattern === '*' ? action : `${action} on ${pattern}`,
  );
  return texts.join(', ') || 'nothing';
}

function renderRole(role: RoleDetail, context: CliContext): string {
  return renderFacts(context, [
    ['Role', `${role.name}${role.isSystem ? ' (of the system)' : ''}`],
    ['For', role.description || '–'],
    ['Level', String(role.level)],
    ['Grants', grantsOf(role)],
    ['Bits everywhere', role.mask],
    ['Members', String(role.members)],
  ]);
}
