/** Control files of extensions, read as PostgreSQL reads them (extension.c, and guc-file.l for the syntax). */
import { AppError } from '../../base/base.ts';

/** What a control file says; absent where it says nothing. */
export interface ControlFile {
  readonly directory?: string;
  readonly defaultVersion?: string;
  readonly modulePathname?: string;
  readonly comment?: string;
  readonly schema?: string;
  readonly encoding?: string;
  readonly relocatable: boolean;
  readonly superuser: boolean;
  readonly trusted: boolean;
  readonly requires: readonly string[];
  readonly noRelocate: readonly string[];
}

interface Setting {
  readonly name: string;
  readonly value: string;
  readonly line: number;
}

const textKeys = {
  directory: 'directory',
  default_version: 'defaultVersion',
  module_pathname: 'modulePathname',
  comment: 'comment',
  schema: 'schema',
  encoding: 'encoding',
} as const;
const flagKeys = {
  relocatable: 'relocatable',
  superuser: 'superuser',
  trusted: 'trusted',
} as const;
const listKeys = { requires: 'requires', no_relocate: 'noRelocate' } as const;

/**
 * Reads `NAME.control`, or `NAME--VERSION.control`, which may say neither directory nor default_version.
 * Throws `invalid_input` with `details.line` where PostgreSQL would refuse it; of a name that is set twice
 * the last one counts, as there.
 */
export function parseControl(text: string, file: string): ControlFile {
  const control: Record<string, string | boolean | readonly string[]> = {
    relocatable: false,
    superuser: true,
    trusted: false,
    requires: [],
    noRelocate: [],
  };
  const isSecondary = /--[^/]*\.control$/.test(file);
  let last = 1;
  for (const setting of readSettings(text, file)) {
    const { name, value, line } = setting;
    last = line;
    if (isSecondary && (name === 'directory' || name === 'default_version')) {
      throw fault(file, line, `${name} can not be set in the control file of one version`);
    }
    if (isKey(textKeys, name)) control[textKeys[name]] = value;
    else if (isKey(flagKeys, name)) control[flagKeys[name]] = readFlag(setting, file);
    else if (isKey(listKeys, name)) control[listKeys[name]] = readNames(setting, file);
    else throw fault(file, line, `${name} is no parameter of a control file`);
  }
  if (control['relocatable'] === true && control['schema'] !== undefined) {
    throw fault(file, last, 'schema can not be set where relocatable is true');
  }
  // All fields were set above, each from the table of its own type.
  return control as unknown as ControlFile;
}

function isKey<T extends object>(keys: T, name: string): name is Extract<keyof T, string> {
  return Object.hasOwn(keys, name);
}

function fault(file: string, line: number, what: string): AppError {
  return new AppError('invalid_input', `${file}:${line}: ${what}.`, { details: { file, line } });
}

/** One line: `name = value`, `name value` or nothing, and a comment; by the tokens of guc-file.l. */
const lineForm =
  /^[ \t\r]*(?:([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)(?=[\s='])[ \t\r]*=?[ \t\r]*('(?:[^'\\]|\\.|'')*'|[^\s'#=]+)[ \t\r]*)?(?:#.*)?$/;
/** Identifiers and bare strings, whole numbers (also with a unit) and those with a point. */
const bareForm =
  /^(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff\-.:/]*|[-+]?(?:\d+|0x[\da-fA-F]+)[a-zA-Z]*|[-+]?\d*\.\d*(?:[Ee][-+]?\d+)?)$/;

function readSettings(text: string, file: string): readonly Setting[] {
  const settings: Setting[] = [];
  for (const [index, content] of text.split('\n').entries()) {
    const line = index + 1;
    const parts = lineForm.exec(content);
    if (parts === null) throw fault(file, line, `"${content.trim()}" is not a name and a value`);
    const [, name, value] = parts;
    if (name === undefined || value === undefined) continue;
    if (!value.startsWith("'") && !bareForm.test(value)) {
      throw fault(file, line, `the value of ${name}, ${value}, needs quotes`);
    }
    // Names are compared by PostgreSQL exactly here: `Comment` is unknown to it.
    settings.push({ name, value: value.startsWith("'") ? unquoted(value) : value, line });
  }
  return settings;
}

const escapes: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

function unquoted(value: string): string {
  return value.slice(1, -1).replaceAll(/''|\\([0-7]{1,3}|.)/g, (_, escaped?: string) => {
    if (escaped === undefined) return "'";
    if (/^[0-7]/.test(escaped)) return String.fromCodePoint(Number.parseInt(escaped, 8) & 255);
    return escapes[escaped] ?? escaped;
  });
}

/** As PostgreSQL's parse_bool: any beginning of a word that is not the beginning of another one. */
function readFlag({ name, value, line }: Setting, file: string): boolean {
  const word = value.toLowerCase();
  const begins = (whole: string, least = 1): boolean =>
    word.length >= least && whole.startsWith(word);
  if (begins('true') || begins('yes') || begins('on', 2) || word === '1') return true;
  if (begins('false') || begins('no') || begins('off', 2) || word === '0') return false;
  throw fault(file, line, `${name} is ${value}, where true or false is asked`);
}

/** As SplitIdentifierString: names separated by commas; what is not in double quotes becomes small. */
function readNames({ name, value, line }: Setting, file: string): readonly string[] {
  if (value.trim() === '') return [];
  const names: string[] = [];
  const form = /\s*(?:"((?:[^"]|"")+)"|([^\s",]+))\s*(,|$)/y;
  while (form.lastIndex < value.length) {
    const match = form.exec(value);
    if (match === null) throw fault(file, line, `${name} is no list of names: ${value}`);
    names.push(match[1]?.replaceAll('""', '"') ?? match[2]?.toLowerCase() ?? '');
    if (match[3] === ',' && form.lastIndex === value.length) {
      throw fault(file, line, `${name} ends with a comma`);
    }
  }
  return names;
}
