import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Type, type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { LineCounter, parseDocument } from 'yaml';
import { AppError } from './errors.ts';
import { findHome } from './home.ts';
import { settings, type Setting, type SettingName, type Settings } from './settings.ts';
import { suggest } from './suggest.ts';

export type SettingOrigin = 'flag' | 'environment' | 'file' | 'default';

export interface Config {
  /** The data folder, absolute. */
  readonly home: string;
  readonly homeOrigin: 'flag' | 'environment' | 'found' | 'default';
  readonly values: Settings;
  readonly origins: Readonly<Record<SettingName, { origin: SettingOrigin; where: string }>>;
}

export interface ConfigSources {
  readonly flags?: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** Variables with our prefix that are no settings of a server: the data folder, and what clients go by. */
const otherVariables = new Set([
  'CENTURIA_HOME',
  'CENTURIA_CACHE',
  'CENTURIA_TEST_DATA',
  'CENTURIA_SERVER',
  'CENTURIA_API_KEY',
  'CENTURIA_API_KEY_FILE',
]);
const attemptPrefix = 'CENTURIA_ATTEMPT';

/**
 * Reads the configuration: flag over environment over `config.yaml` in the data folder over
 * default. A secret may come from a file named by `*_FILE`. Throws `config_invalid` for an unknown
 * key, a wrong value or a file that does not parse, naming the place.
 */
export function loadConfig(sources: ConfigSources): Config {
  const { home, homeOrigin } = findHome(sources);
  const names = Object.keys(settings) as SettingName[];
  rejectUnknownVariables(sources.env, names);
  const file = readConfigFile(join(home, 'config.yaml'), names);

  const values: Record<string, unknown> = {};
  const origins: Record<string, { origin: SettingOrigin; where: string }> = {};
  for (const name of names) {
    const found = fromFlag(name, sources.flags) ?? fromEnvironment(name, sources) ?? file.get(name);
    const value = found === undefined ? settings[name].default : found.value;
    const where = found?.where ?? 'default';
    assertValue(name, value, where);
    values[name] = value;
    origins[name] = { origin: found?.origin ?? 'default', where };
  }
  return { home, homeOrigin, values: values as Settings, origins: origins as Config['origins'] };
}

/** The name of a setting as a command-line flag: `bridgePort` is `--bridge-port`. */
export function flagName(name: SettingName): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

interface Found {
  readonly value: unknown;
  readonly origin: SettingOrigin;
  readonly where: string;
}

function rejectUnknownVariables(env: ConfigSources['env'], names: readonly SettingName[]): void {
  const known = new Set(otherVariables);
  for (const name of names) {
    known.add(settings[name].env);
    if ('secret' in settings[name]) known.add(`${settings[name].env}_FILE`);
  }
  for (const variable of Object.keys(env)) {
    if (!variable.startsWith('CENTURIA_') || known.has(variable)) continue;
    if (variable.startsWith(attemptPrefix)) continue;
    throw unknownKey(variable, 'the environment', known);
  }
}

function unknownKey(key: string, where: string, known: Iterable<string>): AppError {
  const near = suggest(key, known);
  return new AppError('config_invalid', `${where}: unknown setting ${key}`, {
    details: { key, where },
    remedy: near === undefined ? 'See docs/reference/configuration.md.' : `Did you mean ${near}?`,
  });
}

function fromFlag(name: SettingName, flags: ConfigSources['flags']): Found | undefined {
  const value = flags?.[name];
  if (value === undefined) return undefined;
  const where = flagName(name);
  return {
    value: typeof value === 'string' ? fromText(name, value) : value,
    origin: 'flag',
    where,
  };
}

/** An empty variable counts as not set: that is what compose files and units give for a missing one. */
function fromEnvironment(name: SettingName, { env, cwd }: ConfigSources): Found | undefined {
  const variable = settings[name].env;
  const text = env[variable] === '' ? undefined : env[variable];
  const fileVariable = 'secret' in settings[name] ? env[`${variable}_FILE`] : undefined;
  const file = fileVariable === '' ? undefined : fileVariable;
  if (text !== undefined && file !== undefined) {
    throw new AppError('config_invalid', `both ${variable} and ${variable}_FILE are set`, {
      remedy: 'Unset one of them.',
    });
  }
  if (file !== undefined) {
    const where = `${variable}_FILE (${file})`;
    const content = readText(resolve(cwd, file), where).trim();
    // Taken as not set, an empty secret file would quietly mean another database.
    if (content === '') throw new AppError('config_invalid', `${where}: the file is empty`);
    return { value: fromText(name, content), origin: 'environment', where };
  }
  if (text === undefined) return undefined;
  return { value: fromText(name, text), origin: 'environment', where: variable };
}

/** Text from a flag or a variable, as the setting's schema wants it. */
function fromText(name: SettingName, text: string): unknown {
  const { schema, separator = ':' }: Setting<TSchema> = settings[name];
  if (Type.IsInteger(schema)) return /^-?\d+$/.test(text) ? Number(text) : text;
  if (Type.IsArray(schema)) {
    return text
      .split(separator)
      .map((part) => part.trim())
      .filter((part) => part !== '');
  }
  return text;
}

function readConfigFile(path: string, names: readonly SettingName[]): Map<SettingName, Found> {
  const found = new Map<SettingName, Found>();
  if (!existsSync(path)) return found;
  const content = parseSettings(path, readText(path, path));
  if (content === null) return found;
  if (typeof content !== 'object' || Array.isArray(content)) {
    throw new AppError('config_invalid', `${path}: settings must be a map of names to values`);
  }
  for (const [key, value] of Object.entries(content)) {
    if (!(names as readonly string[]).includes(key)) throw unknownKey(key, path, names);
    found.set(key as SettingName, { value, origin: 'file', where: path });
  }
  return found;
}

/** The parser's own messages are not passed on: some quote the text, which may hold a secret. */
function parseSettings(path: string, text: string): unknown {
  const counter = new LineCounter();
  const document = parseDocument(text, { prettyErrors: false, lineCounter: counter });
  const problem = document.errors[0];
  if (problem === undefined) {
    try {
      return document.toJS();
    } catch {
      throw new AppError('config_invalid', `${path}: not valid YAML: an alias without its anchor`);
    }
  }
  const line = Math.max(1, counter.linePos(problem.pos[0]).line);
  const kind = problem.code.toLowerCase().replaceAll('_', ' ');
  throw new AppError('config_invalid', `${path}:${line}: not valid YAML: ${kind}`, {
    details: { file: path, line },
    remedy: 'One `name: value` a line, texts with special characters in quotes.',
  });
}

function readText(path: string, where: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new AppError('config_invalid', `${where}: can not be read`, { cause });
  }
}

function assertValue(name: SettingName, value: unknown, where: string): void {
  const row = settings[name];
  const problem = Value.Errors(row.schema, value)[0];
  if (problem === undefined) return;
  const shown = 'secret' in row ? 'the value' : JSON.stringify(value);
  throw new AppError('config_invalid', `${where}: ${name} ${problem.message}, got ${shown}`, {
    details: { name, where },
    remedy: row.description,
  });
}
