import { join } from 'node:path';
import type { Command } from 'commander';
import { settings, type Config, type SettingName } from '../base/base.ts';
import type { CliContext } from './context.ts';
import { addExamples, addSettingFlags } from './flags.ts';
import { printDocument, printRows } from './output.ts';

interface SettingRow {
  readonly name: string;
  readonly value: unknown;
  readonly origin: string;
  readonly where: string;
}

/** `centuria config`: what is set, and by what. Works without a server. */
export function registerConfig(program: Command, context: CliContext): void {
  const group = program
    .command('config')
    .description('Show the settings and where they come from.');

  addExamples(
    addSettingFlags(
      group.command('show').description('Print every setting with its value and its origin.'),
    ),
    [
      ['What holds here', 'centuria config show'],
      ['One value for a script', "centuria config show -o json | jq -r '.items[0].value'"],
    ],
  ).action((options: Record<string, unknown>) => {
    printRows(context, settingRows(context.config(options)), {
      columns: [
        { title: 'SETTING', cell: (row) => row.name },
        { title: 'VALUE', cell: (row) => shown(row.value), cut: true },
        { title: 'ORIGIN', cell: (row) => row.origin },
        { title: 'FROM', cell: (row) => (row.where === row.origin ? '' : row.where), cut: true },
      ],
      empty: '',
    });
  });

  addExamples(group.command('path').description('Print the path of the configuration file.'), [
    ['Edit it', 'sh -c \'"${EDITOR:-vi}" "$(centuria config path)"\''],
  ]).action(() => {
    const { home } = context.config();
    printDocument(context, { path: join(home, 'config.yaml'), home }, ({ path }) => path);
  });
}

function settingRows(config: Config): SettingRow[] {
  const rows: SettingRow[] = [
    { name: 'home', value: config.home, origin: config.homeOrigin, where: config.homeOrigin },
  ];
  for (const name of Object.keys(settings) as SettingName[]) {
    const value = config.values[name];
    const isSecret = 'secret' in settings[name] && value !== '';
    rows.push({ name, value: isSecret ? '[set]' : value, ...config.origins[name] });
  }
  return rows;
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.join(':');
  return value === '' ? 'none' : String(value);
}
