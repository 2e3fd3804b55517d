import type { Argument, Command, Option } from 'commander';
import { errorCodes } from '../src/base/base.ts';
import { buildProgram } from '../src/cli/cli.ts';

/** What the exit statuses mean beyond the codes that have them. */
const statuses: Readonly<Record<number, string>> = {
  0: 'ok',
  1: 'failed',
  2: 'wrong usage',
  3: 'denied',
  4: 'not found',
  5: 'conflict',
  6: 'unavailable',
  130: 'let go of, or forced to stop, by Ctrl-C',
};

/** The reference of the command line, from the tree of commands. */
export async function generateCliReference(): Promise<{ path: string; text: string }[]> {
  const { stdin, stdout, stderr } = process;
  const env = { NO_COLOR: '1' };
  const { program } = buildProgram({ stdin, stdout, stderr, env, cwd: '/' });
  const text = `# Command line

<!-- Generated from src/cli by \`npm run generate\`. -->

Results go to standard output, everything else to standard error. Options that hold for all commands
may stand anywhere. A run is named by its id, by six or more of the last characters of it, or by
\`latest\`. An input is \`name=value\`, or \`name:=JSON\` where its type is not known.

${table(['option', ''], program.options.filter(isShown).map(optionRow))}

\`-o json\` prints one document, \`-o jsonl\` one line a row. Errors are then one JSON document on
standard error. \`NO_COLOR\` and \`FORCE_COLOR\` are respected.

## Exit statuses

${table(['status', 'meaning', 'error codes'], Object.entries(statuses).map(statusRow))}

${commandsOf(program).map(section).join('\n')}`;
  return [{ path: 'docs/reference/cli.md', text }];
}

/** Every command that can be called, in the order of the help. */
function commandsOf(parent: Command): Command[] {
  const help = parent.createHelp();
  const children = help.visibleCommands(parent).filter((child) => child.name() !== 'help');
  return children.flatMap((child) => (child.commands.length === 0 ? [child] : commandsOf(child)));
}

function section(command: Command): string {
  const parts = [`## ${pathOf(command)}`, '', command.description(), ''];
  parts.push('```text', `${pathOf(command)} ${command.usage()}`.trim(), '```', '');
  if (command.registeredArguments.length > 0) {
    parts.push(table(['argument', ''], command.registeredArguments.map(argumentRow)), '');
  }
  const own = command.options.filter(isShown);
  const settings = own.filter((option) => option.helpGroupHeading !== undefined);
  const options = own.filter((option) => option.helpGroupHeading === undefined);
  if (options.length > 0) parts.push(table(['option', ''], options.map(optionRow)), '');
  if (settings.length > 0) {
    const names = settings.map(({ long }) => `\`${long}\``).join(', ');
    parts.push(`Settings, as in [configuration](configuration.md): ${names}.`, '');
  }
  const examples = examplesOf(command);
  if (examples !== undefined) parts.push('```sh', examples, '```', '');
  return parts.join('\n');
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

/** As they stand under the printed help, which is the only place that has them. */
function examplesOf(command: Command): string | undefined {
  let help = '';
  command.configureOutput({ ...command.configureOutput(), writeOut: (text) => (help += text) });
  command.outputHelp();
  return /\nExamples:\n([^]*?)\n*$/.exec(help)?.[1]?.replace(/^ {2}/gm, '');
}

function isShown(option: Option): boolean {
  return !option.hidden;
}

function optionRow({ flags, description, argChoices, defaultValue }: Option): string[] {
  const choices = argChoices?.map((choice) => `\`${choice}\``).join(', ');
  const standard = ['string', 'number'].includes(typeof defaultValue)
    ? `Default: \`${String(defaultValue)}\`.`
    : undefined;
  const more = [choices === undefined ? undefined : `One of ${choices}.`, standard];
  return [`\`${flags}\``, [description, ...more.filter((part) => part !== undefined)].join(' ')];
}

function argumentRow(argument: Argument): string[] {
  const name = argument.variadic ? `${argument.name()}…` : argument.name();
  const choices = argument.argChoices?.map((choice) => `\`${choice}\``).join(', ');
  const optional = argument.required ? '' : ' Optional.';
  const words = choices === undefined ? '' : ` One of ${choices}.`;
  return [`\`${name}\``, `${argument.description}${words}${optional}`];
}

function statusRow([status, meaning]: [string, string]): string[] {
  const codes = Object.entries(errorCodes).filter(([, { exit }]) => exit === Number(status));
  return [status, meaning, codes.map(([code]) => `\`${code}\``).join(', ')];
}

function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  return [
    tableLine(titles),
    `|${titles.map(() => '---').join('|')}|`,
    ...rows.map((row) => tableLine(row)),
  ].join('\n');
}

function tableLine(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}
