import { InvalidArgumentError, Option, type Command } from 'commander';
import { flagName, settings, type SettingName } from '../base/base.ts';

const shownNames = (Object.keys(settings) as SettingName[]).filter(
  (name) => !('secret' in settings[name]),
);

/** Adds a flag for each setting; secrets have none, since command lines are public. */
export function addSettingFlags(
  command: Command,
  names: readonly SettingName[] = shownNames,
): Command {
  for (const name of names) {
    const { description, env } = settings[name];
    command.addOption(
      new Option(`${flagName(name)} <value>`, `${description} (${env})`).helpGroup('Settings:'),
    );
  }
  return command;
}

/** An argument parser for whole numbers within bounds, both included. */
export function wholeNumber(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= minimum && value <= maximum)) {
      throw new InvalidArgumentError(`It takes a whole number from ${minimum} to ${maximum}.`);
    }
    return value;
  };
}

/** Collects an option that may be given several times. */
export function collect(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}

/** Examples under a command's help: what it does, then the line to type. */
export function addExamples(
  command: Command,
  examples: readonly (readonly [string, string])[],
): Command {
  const lines = examples.map(([what, line]) => `  # ${what}\n  ${line}`);
  return command.addHelpText('after', `\nExamples:\n${lines.join('\n')}`);
}
