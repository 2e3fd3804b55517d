import { execFileSync } from 'node:child_process';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { buildProgram } from './cli.ts';
import { completionScript, shells, valueFlags } from './completion-scripts.ts';
import { commandWords } from './completion.ts';

const { stdin, stdout, stderr } = process;
const { program } = buildProgram({ stdin, stdout, stderr, env: {}, cwd: '/' });
const words = commandWords(program);

test('a flag takes a value everywhere or nowhere, so that scripts know which word is a command', () => {
  const taking = new Set(valueFlags(words).keys());
  const flags = words.flatMap(({ options }) => options);
  const wrong = flags.filter(
    ({ flags: names, value }) => value === undefined && names.some((name) => taking.has(name)),
  );
  expect(wrong).toEqual([]);
});

test('a flag that completes from names or choices does so everywhere', () => {
  const uses = words.flatMap(({ options }) =>
    options.flatMap(({ flags, value }) =>
      flags.map((flag) => ({ flag, from: JSON.stringify(value) })),
    ),
  );
  const byFlag = Map.groupBy(uses, ({ flag }) => flag);
  const wrong = [...byFlag].filter(([, all]) => new Set(all.map(({ from }) => from)).size > 1);
  expect(wrong).toEqual([]);
});

test('hidden commands and refused flags are not offered', () => {
  const script = shells.map((shell) => completionScript(shell, words)).join('\n');
  expect(script).not.toContain('database-url');
  expect(words.map(({ path }) => path)).not.toContain('__complete');
});

const bash = completionScript('bash', words);

function offered(line: string): string[] {
  const typed = line.split(' ');
  const script = `${bash}
centuria() { printf '%s\\n' "asked-$2"; }
COMP_WORDS=(${typed.map((word) => `'${word}'`).join(' ')})
COMP_CWORD=${typed.length - 1}
_centuria
printf '%s\\n' "\${COMPREPLY[@]}"
`;
  return execFileSync('bash', [], { input: script, encoding: 'utf8' }).trim().split('\n');
}

test('the script for bash parses', () => {
  expect(() => execFileSync('bash', ['-n'], { input: bash })).not.toThrow();
  expect(() => execFileSync('bash', ['-n'], { input: `${bash} (`, stdio: 'pipe' })).toThrow(
    /syntax error/,
  );
});

test.each([
  ['centuria ', ['run', 'agent', 'up', 'workflow']],
  ['centuria ru', ['run']],
  ['centuria -o json ru', ['run']],
  ['centuria --home run ag', ['agent']],
  ['centuria run st', ['start']],
  ['centuria run list --st', ['--status']],
  ['centuria run list --status fai', ['failed']],
  ['centuria run list --workflow ', ['asked-workflow']],
  ['centuria run show ', ['asked-run']],
  ['centuria run -o json start ', ['asked-workflow']],
  ['centuria agent diff one ', ['asked-agent']],
  ['centuria -o j', ['json', 'jsonl']],
  ['centuria completion ', ['bash', 'zsh', 'fish']],
])('after %j bash offers %j', (line, wanted) => {
  const found = offered(line);
  expect(found).toEqual(expect.arrayContaining(wanted));
  // What was typed so far is the beginning of everything that is offered.
  const last = line.split(' ').at(-1) ?? '';
  expect(found.filter((word) => !word.startsWith(last))).toEqual([]);
});

test('the scripts for zsh and fish name every command and flag', () => {
  for (const shell of ['zsh', 'fish'] as const) {
    const script = completionScript(shell, words);
    for (const { path, options } of words) {
      expect(script).toContain(path);
      for (const { flags } of options) expect(script).toContain(flags.at(-1)?.slice(2));
    }
  }
});

test('every command has a description, and every one that does something has examples', () => {
  const all: Command[] = [];
  const visit = (command: Command): void => {
    all.push(command);
    for (const child of command.commands) if (child.name() !== '__complete') visit(child);
  };
  visit(program);
  const undescribed = all.filter((command) => !command.description().endsWith('.'));
  expect(undescribed.map((command) => command.name())).toEqual([]);
  const leaves = all.filter((command) => command.commands.length === 0);
  expect(leaves.length).toBeGreaterThan(20);
  const without = leaves.filter((command) => !/\nExamples:\n {2}# /.test(helpOf(command)));
  expect(without.map((command) => command.name())).toEqual([]);
});

/** The help as it is printed; what stands after the options is not part of `helpInformation`. */
function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({ ...command.configureOutput(), writeOut: (part) => (text += part) });
  command.outputHelp();
  return text;
}
