/** Whether every JavaScript, TypeScript, JSON, YAML and TOML file parses, and where it stops. */
import { parse as parseJson, printParseErrorCode, type ParseError } from 'jsonc-parser';
import { parse as parseToml, TomlError } from 'smol-toml';
import { LineCounter, parseAllDocuments } from 'yaml';
import type { Finding, ToolReport } from '../base/base.ts';
import { extensionOf, isGenerated, isTest, isVendored } from './paths.ts';
import { count, ReportBuilder } from './report.ts';
import { openRepository, type TrackedFile } from './repository.ts';
import { isScript, maxScriptBytes, parseSource, positions, whyUnparsed } from './syntax.ts';
import type { ToolContext } from './tools.ts';

export type Language = 'script' | 'json' | 'jsonc' | 'jsonl' | 'yaml' | 'toml';

export interface Fault {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** What a template engine fills in later: such a file is not meant to parse as it lies there. */
const templateName =
  /\.(j2|jinja2?|tmpl|tpl|gotmpl|hbs|ejs|mustache|erb|liquid|in|dist|template)\b/i;
const templateMark = /\{\{|\{%|<%|\$\{\{|@@[A-Z_]+@@/;
const helmTemplate = /(^|\/)(charts?\/[^/]+|helm(\/[^/]+)?)\/templates\/|(^|\/)(\{\{|cookiecutter)/;
/** Names whose readers accept comments and trailing commas. */
const commentedJson =
  /(^|\/)([jt]sconfig[^/]*\.json|\.(eslintrc|babelrc|swcrc|jshintrc|oxlintrc|oxfmtrc|jscsrc|prettierrc|markdownlint|devcontainer)(\.json)?|devcontainer\.json|deno\.json|api-extractor[^/]*\.json|turbo\.json|nx\.json|biome\.json|renovate\.json5?|language-configuration\.json|wrangler\.json)$|(^|\/)(\.vscode|\.zed|\.devcontainer)\//;
const lineJson = /\.(jsonl|ndjson)$/;
const maxBytes = 4 * 1024 * 1024;
/** Further faults of a file are mostly echoes of the first. */
const faultsPerFile = 3;

export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  const report = new ReportBuilder('syntax-check', context.limit);
  const files: Record<Language, number> = {
    script: 0,
    json: 0,
    jsonc: 0,
    jsonl: 0,
    yaml: 0,
    toml: 0,
  };
  let broken = 0;
  let templates = 0;
  for (const { path, text } of repository.texts(isWanted, maxBytes)) {
    const language = languageOf(path);
    if (language === undefined) continue;
    if (isTemplate(path, text, language)) {
      templates += 1;
      continue;
    }
    const why = language === 'script' ? whyLeftOut(text) : undefined;
    if (why !== undefined) {
      report.note(`${path} is ${why}.`);
      continue;
    }
    files[language] += 1;
    const faults = firstOfLines(check(path, text, language));
    if (faults.length > 0) broken += 1;
    for (const fault of faults.slice(0, faultsPerFile))
      report.add(toFinding(path, language, fault, text));
  }
  const checked = Object.values(files).reduce((sum, amount) => sum + amount, 0);
  for (const [language, amount] of Object.entries(files)) report.metric(language, amount);
  report.metric('files', checked);
  report.metric('broken', broken);
  if (templates > 0)
    report.note(
      `${count(templates, 'file')} with template marks left out: no parser of the target language reads them.`,
    );
  report.notes(repository.notes());
  if (checked === 0)
    return report.build('Nothing to examine: no JavaScript, TypeScript, JSON, YAML or TOML.');
  return report.build(
    broken === 0
      ? `All ${count(checked, 'file')} parse.`
      : `${broken} of ${count(checked, 'file')} ${broken === 1 ? 'does' : 'do'} not parse.`,
  );
}

/** The second fault of a line is the echo of the first. */
function firstOfLines(faults: readonly Fault[]): Fault[] {
  return faults.filter((fault, at) => faults.findIndex(({ line }) => line === fault.line) === at);
}

function isWanted(file: TrackedFile): boolean {
  return languageOf(file.path) !== undefined && !isVendored(file.path);
}

/** What a file claims to be; undefined where it is none of ours. */
export function languageOf(path: string): Language | undefined {
  if (isScript(path)) return 'script';
  if (lineJson.test(path)) return 'jsonl';
  if (commentedJson.test(path)) return 'jsonc';
  switch (extensionOf(path)) {
    case 'json':
    case 'webmanifest':
      return 'json';
    case 'jsonc':
    case 'code-workspace':
      return 'jsonc';
    case 'yaml':
    case 'yml':
      return 'yaml';
    case 'toml':
      return 'toml';
    default:
      return undefined;
  }
}

function isTemplate(path: string, text: string, language: Language): boolean {
  if (templateName.test(path) || helmTemplate.test(path)) return true;
  if (language === 'script' || !templateMark.test(text)) return false;
  // A file that parses with its marks (in strings, as GitHub's workflows do) is checked like any other.
  return check(path, text, language).length > 0;
}

function whyLeftOut(text: string): string | undefined {
  if (Buffer.byteLength(text) > maxScriptBytes)
    return `larger than ${maxScriptBytes / 1024} KiB, left out`;
  return whyUnparsed(text);
}

/** Where a text breaks the rules of its language. */
export function check(path: string, text: string, language: Language): Fault[] {
  switch (language) {
    case 'script':
      return [...parseSource(path, text, true).faults];
    case 'json':
    case 'jsonc':
      return checkJson(text, language === 'jsonc');
    case 'jsonl':
      return checkJsonLines(text);
    case 'yaml':
      return checkYaml(text);
    case 'toml':
      return checkToml(text);
  }
}

function checkJson(text: string, relaxed: boolean): Fault[] {
  if (!relaxed && isJson(text)) return [];
  const errors: ParseError[] = [];
  parseJson(text, errors, { allowTrailingComma: relaxed, disallowComments: !relaxed });
  const at = positions(text);
  return errors.map((error) => {
    const { line, column } = at(error.offset);
    return { line, column, message: words(printParseErrorCode(error.error)) };
  });
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** `CommaExpected` becomes `comma expected`. */
function words(code: string): string {
  return code.replaceAll(/(?<!^)([A-Z])/g, ' $1').toLowerCase();
}

function checkJsonLines(text: string): Fault[] {
  return text
    .split('\n')
    .flatMap((line, index) =>
      line.trim() === '' || isJson(line)
        ? []
        : [{ line: index + 1, column: 1, message: 'the line is not one JSON value' }],
    );
}

function checkYaml(text: string): Fault[] {
  const lineCounter = new LineCounter();
  // Tags of the reader's own (!Ref, !vault) are no fault; a key given twice is one.
  const documents = parseAllDocuments(text, {
    lineCounter,
    prettyErrors: false,
    logLevel: 'silent',
    customTags: [],
  });
  if (!Array.isArray(documents)) return [];
  return documents.flatMap((document) =>
    document.errors
      .filter((error) => error.code !== 'TAG_RESOLVE_FAILED')
      .map((error) => {
        const { line, col } = lineCounter.linePos(error.pos[0]);
        return { line: Math.max(1, line), column: Math.max(1, col), message: error.message };
      }),
  );
}

function checkToml(text: string): Fault[] {
  try {
    parseToml(text);
    return [];
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const message = error.message.split('\n')[0]?.replace(/^Invalid TOML document: /, '') ?? '';
    return [{ line: error.line, column: Math.max(1, error.column), message }];
  }
}

function toFinding(path: string, language: Language, fault: Fault, text: string): Finding {
  const evidence = text.split('\n', fault.line)[fault.line - 1]?.trim() ?? '';
  return {
    // A broken fixture is broken on purpose more often than not.
    severity: isTest(path) || isGenerated(path) ? 'low' : 'high',
    rule: `${language === 'script' ? 'javascript' : language}-syntax`,
    message: `Does not parse: ${fault.message}`,
    file: path,
    line: fault.line,
    column: fault.column,
    ...(evidence === '' ? {} : { evidence }),
  };
}
