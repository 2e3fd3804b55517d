import { Argument, type Command, type Help, type Option } from 'commander';
import type { CliContext } from './context.ts';
import { addExamples } from './flags.ts';
import { completionScript, shells, type Shell } from './completion-scripts.ts';
import { connect } from './connection.ts';

/** What one command can be followed by. */
export interface CommandWords {
  /** `run start`; empty for the program. */
  readonly path: string;
  readonly description: string;
  readonly subcommands: readonly { readonly name: string; readonly description: string }[];
  readonly options: readonly OptionWords[];
  /** What its arguments are, in order; the last one may repeat. */
  readonly arguments: readonly ValueKind[];
}

export interface OptionWords {
  /** `-o`, `--output`. */
  readonly flags: readonly string[];
  readonly description: string;
  /** Absent: it takes no value. */
  readonly value?: ValueKind;
}

/** What a value can be completed from. */
export type ValueKind =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'files' }
  | { readonly kind: 'asked'; readonly what: Asked }
  | { readonly kind: 'other' };

/** Names that only the server, where it runs, can tell. */
const askedKinds = ['workflow', 'run', 'agent', 'principal', 'role', 'budget', 'breaker'] as const;
export type Asked = (typeof askedKinds)[number];

/** A shell waits for this on every press of Tab. */
const askTimeoutMs = 1_500;

/** `centuria completion SHELL`, and the hidden command by which its scripts ask for names. */
export function registerCompletion(program: Command, context: CliContext): void {
  addExamples(
    program
      .command('completion')
      .description('Print the completion script of a shell.')
      .addArgument(new Argument('<shell>', 'The shell.').choices(shells)),
    [
      ['bash, for this session', 'source <(centuria completion bash)'],
      ['zsh, in a folder of $fpath', 'centuria completion zsh > ~/.zfunc/_centuria'],
      ['fish', 'centuria completion fish > ~/.config/fish/completions/centuria.fish'],
    ],
  ).action((shell: Shell) => {
    context.stdout.write(completionScript(shell, commandWords(program)));
  });

  program
    .command('__complete', { hidden: true })
    .addArgument(new Argument('<what>').choices(askedKinds))
    .action(async (what: Asked) => {
      // A shell that waits for words must not get an error instead.
      const words = await askNames(what, context).catch(() => []);
      context.stdout.write(words.map((word) => `${word}\n`).join(''));
    });
}

async function askNames(what: Asked, context: CliContext): Promise<readonly string[]> {
  const client = connect(context);
  const call = { signal: AbortSignal.timeout(askTimeoutMs) };
  if (what === 'workflow') return (await client.workflows(call)).items.map(({ name }) => name);
  if (what === 'agent') return (await client.agents(call)).items.map(({ name }) => name);
  if (what === 'principal') {
    return (await client.principals({ limit: 500 }, call)).items.map(({ username }) => username);
  }
  if (what === 'budget') {
    return (await client.budgets({ limit: 500 }, call)).items.map(({ name }) => name);
  }
  if (what === 'breaker') {
    return (await client.breakers({ limit: 500 }, call)).items.map(({ key }) => key);
  }
  if (what === 'role') return (await client.roles(call)).items.map(({ name }) => name);
  const { items } = await client.runs({ limit: 30 }, call);
  return ['latest', ...items.map(({ id }) => id.slice(-8))];
}

/** Every visible command with its words, the program first. */
export function commandWords(program: Command): CommandWords[] {
  const found: CommandWords[] = [];
  const visit = (command: Command, path: readonly string[]): void => {
    const help = command.createHelp();
    found.push(wordsOf(command, path, help));
    for (const child of help.visibleCommands(command)) visit(child, [...path, child.name()]);
  };
  visit(program, []);
  return found;
}

function wordsOf(command: Command, path: readonly string[], help: Help): CommandWords {
  const own = help.visibleOptions(command);
  const inherited = path.length === 0 ? [] : help.visibleGlobalOptions(command);
  return {
    path: path.join(' '),
    description: command.description(),
    subcommands: help
      .visibleCommands(command)
      .map((child) => ({ name: child.name(), description: firstSentence(child.description()) })),
    options: [...own, ...inherited].map(optionWords),
    arguments: command.registeredArguments.map((argument) =>
      valueKind(argument.name(), argument.argChoices),
    ),
  };
}

function optionWords(option: Option): OptionWords {
  const flags = [option.short, option.long].filter((flag) => flag !== undefined);
  const words = { flags, description: firstSentence(option.description) };
  const name = /[<[]([\w-]+)(?:\.\.\.)?[>\]]/.exec(option.flags)?.[1];
  return name === undefined ? words : { ...words, value: valueKind(name, option.argChoices) };
}

/** Names of values that are files or folders of this machine. */
const fileKinds = new Set(['path', 'file', 'bundle', 'bundle-or-source', 'source']);

/** What a value is, by the name that the help gives it. */
function valueKind(name: string, choices: readonly string[] | undefined): ValueKind {
  if (choices !== undefined) return { kind: 'words', words: choices };
  if (fileKinds.has(name)) return { kind: 'files' };
  const asked = askedKinds.find((kind) => kind === name);
  return asked === undefined ? { kind: 'other' } : { kind: 'asked', what: asked };
}

function firstSentence(text: string): string {
  return /^(.*?)(?:[.;(]|$)/s.exec(text)?.[1]?.trim() ?? '';
}
