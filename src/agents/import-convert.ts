/** A predecessor's definition as one of ours. */
import { basename } from 'node:path';
import { show } from './fields.ts';
import { formatAgent } from './format.ts';
import { foldCategory, foldColour, foldName, otherName, type AgentNames } from './import-names.ts';
import { oneLine, readInvokes, readTools, readTriggers, type Work } from './import-lists.ts';
import type { Field } from './import-source.ts';
import { looksLikeModel, promptOf } from './parse.ts';

export interface Converted {
  readonly name: string;
  readonly text: string;
  readonly uuid?: string;
}

export interface ConvertOptions {
  readonly file: string;
  /** Finds the agents that this one calls. */
  readonly resolveAgent: AgentNames;
  /** The other file that has this uuid. */
  readonly sameUuid: (uuid: string) => string | undefined;
}

/**
 * Makes a definition of the fields; undefined when they give none, and why is complained of. What
 * has no field with us is kept: bookkeeping as a comment, everything else at the end of the prompt.
 */
export function convertAgent(work: Work, options: ConvertOptions): Converted | undefined {
  const name = readName(work, options.file);
  const description = readDescription(work);
  const tools = readTools(work);
  const triggers = readTriggers(work);
  const invokes = name === undefined ? [] : readInvokes(work, name, options.resolveAgent);
  const model = readModel(work);
  const colour = readColour(work);
  const category = readCategory(work);
  const command = readCommand(work);
  if (name === undefined || description === undefined) return undefined;
  const frontmatter = {
    name,
    description: triggers === undefined ? description : `${description}\n\n${triggers}`,
    ...(tools === undefined ? {} : { tools }),
    ...(model === undefined ? {} : { model }),
    ...(colour === undefined ? {} : { color: colour }),
    centuria: {
      category,
      ...(invokes.length === 0 ? {} : { invokes }),
      ...(command === undefined ? {} : command),
    },
  };
  const uuid = textOf(work.fields.take('uuid'));
  const comment = readBookkeeping(work, options);
  const rest = readRest(work);
  const prompt = promptOf(work.front.body.replaceAll('\r\n', '\n'));
  if (work.front.body.includes('\r\n')) {
    work.complain('note', [], 'the file has Windows line ends', 'written with plain ones');
  }
  const text = formatAgent({ frontmatter, prompt: withRest(prompt, rest) });
  return {
    name,
    text: comment === '' ? text : text.replace('---\n', () => `---\n# ${comment}\n`),
    ...(uuid === undefined ? {} : { uuid }),
  };
}

/** The name that the file gives or has, which others may call it by. */
function readName({ fields, complain }: Work, file: string): string | undefined {
  const field = fields.take('name');
  const given = textOf(field);
  const folded = given === undefined ? undefined : foldName(given);
  if (field !== undefined && folded !== undefined) {
    if (folded !== given) complain('note', field.path, otherName(given), folded);
    return folded;
  }
  const fromFile = foldName(basename(file).replace(/\.md$/i, ''));
  const message = field === undefined ? 'name is missing' : `name is ${show(field.value)}`;
  if (fromFile === undefined) {
    complain('error', field?.path ?? [], message, 'Lower-case letters, digits and hyphens.');
  } else {
    complain('note', field?.path ?? [], message, `named after the file: ${fromFile}`);
  }
  return fromFile;
}

function textOf(field: Field | undefined): string | undefined {
  const value = field?.value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeof value === 'string' && value.trim() !== '' ? value.trim() : undefined;
}

/** What stood for an agent where no description was written. */
const roleFields = ['role', 'expertise', 'focus'] as const;

function readDescription({ fields, complain }: Work): string | undefined {
  const field = fields.take('description');
  const text = textOf(field);
  if (text !== undefined) return text;
  if (Array.isArray(field?.value) && field.value.every((line) => typeof line === 'string')) {
    complain('note', field.path, 'description is a list', 'its items became lines');
    return field.value.join('\n').trim() || undefined;
  }
  const roles = roleFields.flatMap((name) => fields.take(name) ?? []);
  for (const role of roles) fields.leave(role);
  const instead = roles.flatMap((role) => textOf(role) ?? []).join('. ');
  const message = field === undefined ? 'description is missing' : 'description is no text';
  if (instead === '') {
    complain('error', field?.path ?? [], message, 'Say in one or two sentences when to use it.');
    return undefined;
  }
  if (field !== undefined && field.value !== null) fields.leave(field);
  complain('note', field?.path ?? [], message, `written from its role: ${show(instead)}`);
  return instead;
}

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** What the predecessor kept books with, as a comment: nothing reads it, and it is not lost. */
function readBookkeeping({ fields, complain }: Work, options: ConvertOptions): string {
  const uuid = fields.take('uuid');
  const id = textOf(uuid);
  if (uuid !== undefined && (id === undefined || !uuidPattern.test(id))) {
    complain('note', uuid.path, `${show(uuid.value)} is no UUID`, 'kept as a comment');
  }
  const other = id === undefined ? undefined : options.sameUuid(id);
  if (uuid !== undefined && other !== undefined) {
    const message = `the uuid is that of ${other} too`;
    complain('note', uuid.path, message, 'agents are told apart by name; kept as a comment');
  }
  const kept = ['version', 'uuid', 'category', 'priority', 'status', 'color', 'emoji'].flatMap(
    (name) => {
      const field = fields.take(name);
      const text = textOf(field);
      if (text !== undefined) return [`${name} ${oneLine(text).slice(0, 80)}`];
      if (field !== undefined && field.value !== null) fields.leave(field);
      return [];
    },
  );
  return kept.length === 0 ? '' : `Before the import: ${kept.join(', ')}`;
}

function readCategory({ fields, complain }: Work): string {
  const field = fields.take('category');
  const text = textOf(field);
  const found = text === undefined ? undefined : foldCategory(text);
  if (found !== undefined) return found;
  const message =
    field === undefined ? 'category is missing' : `category ${show(field.value)} is none of ours`;
  complain('note', field?.path ?? [], message, 'specialized');
  return 'specialized';
}

function readColour({ fields, complain }: Work): string | undefined {
  const field = fields.take('color');
  const text = textOf(field);
  if (field === undefined || field.value === null) return undefined;
  const colour = text === undefined ? undefined : foldColour(text);
  if (colour === text) return colour;
  const message = `Claude Code has no color ${show(field.value)}`;
  if (colour === undefined) complain('warning', field.path, message, 'left out');
  else complain('note', field.path, message, `${colour}, which is the nearest`);
  return colour;
}

function readModel({ fields, complain }: Work): string | undefined {
  const field = fields.take('model');
  const text = textOf(field);
  if (field === undefined || field.value === null) return undefined;
  if (text !== undefined && looksLikeModel(text)) return text;
  complain(
    'warning',
    field.path,
    `${show(field.value)} is no model`,
    'left out: the default is used',
  );
  return undefined;
}

/** A program with arguments, where no shell would be needed to read it. */
const plainCommand = /^(?:\/[\w@%+=:,./-]*)?\w[\w@%+:,.-]*(?: +[\w@%+=:,./-]+)*$/;

function readCommand({ fields, complain }: Work): Record<string, unknown> | undefined {
  const field = fields.take('command');
  if (field === undefined || field.value === null) return undefined;
  const words: unknown[] =
    typeof field.value === 'string' && plainCommand.test(field.value)
      ? field.value.split(/ +/)
      : Array.isArray(field.value)
        ? field.value
        : [];
  const [program, ...more] = words.map(String);
  const isText = words.every((word) => ['string', 'number'].includes(typeof word));
  if (program === undefined || !isText || !plainCommand.test(program) || program.includes(' ')) {
    fields.leave(field);
    complain(
      'warning',
      field.path,
      'command is no program with arguments',
      'kept in the prompt, as text',
    );
    return undefined;
  }
  const written = more.map((word) => word.replaceAll('${', '$${'));
  complain('note', field.path, 'the file says a command', 'it is the runtime; it is tried once');
  const runtime = { kind: 'command', program, arguments: written, stdout: 'text' };
  return { runtime, retries: 0 };
}

/** The text of every field that nothing of ours stands for. */
function readRest({ fields, complain }: Work): string {
  const rest = fields.rest();
  for (const { path, name } of rest) {
    // Objects of other programs could be given another prototype by it.
    if (name === '__proto__') complain('warning', path, '__proto__ is no field', 'left out');
  }
  const kept = rest.filter(({ name }) => name !== '__proto__');
  const [first] = kept;
  if (first === undefined) return '';
  const names = kept.map(({ name }) => name);
  const shown = names.length > 8 ? [...names.slice(0, 8), `${names.length - 8} more`] : names;
  complain(
    'note',
    first.path,
    `no field of ours: ${shown.join(', ')}`,
    'kept at the end of the prompt',
  );
  return kept.map(({ text }) => text).join('\n');
}

/** The longest row of backticks decides the fence, so that no text ends it early. */
function withRest(prompt: string, rest: string): string {
  if (rest === '') return prompt;
  const longest = Math.max(2, ...(rest.match(/`+/g) ?? []).map((row) => row.length));
  const fence = '`'.repeat(longest + 1);
  const section = `## From the imported file\n\n${fence}yaml\n${rest}\n${fence}`;
  return prompt === '' ? section : `${prompt}\n\n${section}`;
}
