/** Secrets by reference: `${secret.NAME}` in a runtime's templates, and keeping their values out of all that is told. */
import { readFile, stat } from 'node:fs/promises';
import { AppError, redact, references } from '../../base/base.ts';
import type { AgentDefinition } from '../agents.ts';
import { AgentFailure } from '../failure.ts';
import { complain, valueAt, type Path } from '../fields.ts';
import type { Frontmatter } from '../frontmatter.ts';
import { checkTemplate } from '../template-checks.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** The secrets that one agent's runtime refers to. */
export interface Secrets {
  /** By name: what templates see as `secret`. */
  readonly values: Readonly<Record<string, string>>;
  /** A text without their values and without what looks like a secret of anybody. */
  redact(text: string): string;
  /** A copy without their values, at any depth and in names of fields, too; the same object where it held none. */
  redactValue<T>(value: T): T;
  /** The same error without their values; of its cause, which is logged with all its fields, a defect keeps the stack alone. */
  redactError(error: AppError): AppError;
}

/** Below this length a value would be found inside ordinary words. */
const wordLength = 8;
const maxSecretBytes = 65_536;

/**
 * Reads what `agent.runtime` refers to as `${secret.NAME}`, and `names` beside it: the variable NAME, or
 * the file that NAME_FILE names, without the white space around it. Throws `agent_unavailable` for one that is not there.
 */
export async function readSecrets(
  agent: AgentDefinition,
  environment: Environment,
  names: readonly string[] = [],
): Promise<Secrets> {
  const values: Record<string, string> = {};
  for (const name of new Set([...namedSecrets(agent.runtime), ...names])) {
    // The parser has refused it; a definition that was made in another way is held to it, too.
    if (!agent.requires.environment.includes(name)) {
      throw unavailable(agent, `${name} is not listed in requires.environment`);
    }
    const found = await readVariable(name, environment);
    if ('problem' in found) throw unavailable(agent, found.problem);
    values[name] = found.value;
  }
  return secretsOf(values);
}

/** Why the variable, or the file that is to hold its value, can't be used; undefined when it can. */
export async function missingVariable(
  name: string,
  environment: Environment,
): Promise<string | undefined> {
  const found = await readVariable(name, environment);
  return 'problem' in found ? found.problem : undefined;
}

/** Complains as `checkTemplate` does, and of secrets that are not listed in `requires.environment`. */
export function checkSecretTemplate(front: Frontmatter, template: unknown, path: Path): void {
  checkTemplate(front, template, path, ['secret']);
  const listed = valueAt(front.fields, ['centuria', 'requires', 'environment']);
  for (const name of namedSecrets(template)) {
    if (Array.isArray(listed) && listed.includes(name)) continue;
    const message = `holds \${secret.${name}}, and ${name} is not listed in centuria.requires.environment`;
    complain(front, path, message, `Add ${name} to centuria.requires.environment.`);
  }
}

/** For tests and for values that come from elsewhere, such as a settings file. */
export function secretsOf(values: Readonly<Record<string, string>>): Secrets {
  const patterns = Object.entries(values)
    .filter(([, value]) => value !== '')
    // A value that holds another one goes first, or half of it would stay.
    .toSorted(([, a], [, b]) => b.length - a.length)
    .map(([name, value]) => ({ pattern: patternOf(value), shown: `[secret ${name}]` }));
  const hide = (text: string): string =>
    patterns.reduce((left, { pattern, shown }) => left.replace(pattern, () => shown), text);
  const redactText = (text: string): string => redact(hide(text));
  const redactValue = <T>(value: T): T =>
    patterns.length === 0 ? value : (copyHidden(value, hide) as T);
  return {
    values,
    redact: redactText,
    redactValue,
    redactError(error) {
      const clean = new AppError(error.code, redactText(error.message), {
        details: redactValue(error.details),
        retryable: error.retryable,
        ...(error.remedy === undefined ? {} : { remedy: redactText(error.remedy) }),
        ...(error.code === 'internal' ? { cause: redactStack(error.cause, redactText) } : {}),
      });
      if (!(error instanceof AgentFailure)) return clean;
      const { usage, partial } = error;
      return new AgentFailure(clean, {
        ...(usage === undefined ? {} : { usage }),
        ...(partial === undefined ? {} : { partial: redactValue(partial) }),
      });
    },
  };
}

function redactStack(cause: unknown, redactText: (text: string) => string): Error | undefined {
  if (!(cause instanceof Error)) return undefined;
  const clean = new Error(redactText(cause.message));
  clean.stack = redactText(cause.stack ?? '');
  return clean;
}

/** Names after `secret.` in the expressions of a value; a malformed template names none. */
function namedSecrets(value: unknown): string[] {
  try {
    return references(value).flatMap((expression) => {
      const [scope, ...rest] = expression.split('.');
      return scope === 'secret' ? [rest.join('.')] : [];
    });
  } catch {
    return [];
  }
}

async function readVariable(
  name: string,
  environment: Environment,
): Promise<{ value: string } | { problem: string }> {
  const own = (key: string): string | undefined =>
    Object.hasOwn(environment, key) ? environment[key] : undefined;
  const value = own(name)?.trim() ?? '';
  const file = own(`${name}_FILE`) ?? '';
  if (file === '') {
    return value === '' ? { problem: `the environment variable ${name} is not set` } : { value };
  }
  if (value !== '') return { problem: `both ${name} and ${name}_FILE are set: unset one of them` };
  try {
    const found = await stat(file);
    if (!found.isFile() || found.size > maxSecretBytes) {
      return { problem: `${name}_FILE names no file of at most ${maxSecretBytes / 1_024} KiB` };
    }
    const content = (await readFile(file, 'utf8')).trim();
    return content === '' ? { problem: `the file of ${name}_FILE is empty` } : { value: content };
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code ?? 'unknown';
    return { problem: `the file of ${name}_FILE can not be read (${code})` };
  }
}

/** The value as it stands, and as it stands in JSON, in a URL and in base64: peers quote what they got in all of them. */
function patternOf(value: string): RegExp {
  const plain = [value, JSON.stringify(value).slice(1, -1), encodeURIComponent(value)];
  if (value.length < wordLength) {
    return new RegExp(`(?<![\\p{L}\\p{N}])(?:${anyOf(plain)})(?![\\p{L}\\p{N}])`, 'gu');
  }
  const bytes = Buffer.from(value);
  const encoded = [bytes.toString('base64').replace(/=+$/, ''), bytes.toString('base64url')];
  return new RegExp(`${anyOf(plain)}|(?:${anyOf(encoded)})={0,2}`, 'gu');
}

/** The longest first: a regular expression takes the first that fits. */
function anyOf(texts: readonly string[]): string {
  return [...new Set(texts)]
    .toSorted((a, b) => b.length - a.length)
    .map((text) => text.replace(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`))
    .join('|');
}

function copyHidden(value: unknown, hide: (text: string) => string): unknown {
  if (typeof value === 'string') return hide(value);
  if (Array.isArray(value)) {
    const copy = value.map((item) => copyHidden(item, hide));
    return copy.some((item, index) => item !== value[index]) ? copy : value;
  }
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value);
  const copy = entries.map(([key, item]) => [hide(key), copyHidden(item, hide)] as const);
  const isSame = copy.every(([key, item], index) => {
    const [oldKey, oldItem] = entries[index] ?? [];
    return key === oldKey && item === oldItem;
  });
  return isSame ? value : Object.fromEntries(copy);
}

function unavailable(agent: AgentDefinition, why: string): AppError {
  return new AppError('agent_unavailable', `agent ${agent.name}: ${why}`, {
    details: { agent: agent.name, reason: why },
  });
}
