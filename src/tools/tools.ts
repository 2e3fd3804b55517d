/**
 * The tools of the shipped fleet: each does real work on any git repository, with no model. A tool
 * is a program: it prints one report as JSON on standard output and its progress on standard error.
 */
import { parseArgs } from 'node:util';
import { exitCodes, ToolError } from './errors.ts';

export interface ToolContext {
  /** Where the repository is, as it was given. */
  readonly repo: string;
  /** Findings in the report, at most. */
  readonly limit: number;
  /** Where a tool with a product writes it; every other tool writes nothing. */
  readonly folder: string | undefined;
  /** What it takes beyond those, by name. */
  readonly input: Readonly<Record<string, unknown>>;
  readonly nowMs: number;
  /** Says on standard error what is being done. */
  progress(text: string): void;
}

interface Tool {
  /** When to use it, in a line. */
  readonly summary: string;
  /** Loaded when it is run and not before: the libraries of all tools together take seconds to load. */
  load(): Promise<{ run(context: ToolContext): Promise<unknown> }>;
}

/** Every tool by name. All print a `ToolReport`; `review-report` prints what it merged. */
const tools: Readonly<Record<string, Tool>> = {
  // Git and text.
  'code-ownership': {
    summary: 'who knows what: one-author files, people gone quiet, CODEOWNERS',
    load: () => import('./code-ownership.ts'),
  },
  'git-history': {
    summary: 'activity, churn, huge commits, commit hygiene, stale branches',
    load: () => import('./git-history.ts'),
  },
  'hot-spots': {
    summary: 'files ranked by churn times complexity, and files that change together',
    load: () => import('./hot-spots.ts'),
  },
  'link-check': {
    summary: 'relative links and anchors in Markdown lead somewhere',
    load: () => import('./link-check.ts'),
  },
  'log-triage': {
    summary: 'failures, bursts, gaps and what stopped, in logs of any size',
    load: () => import('./log-triage.ts'),
  },
  'markdown-lint': {
    summary: 'Markdown that renders wrong or reads badly',
    load: () => import('./markdown-lint.ts'),
  },
  'merge-conflicts': {
    summary: 'conflict markers, invisible characters, mixed line ends, clashing names',
    load: () => import('./merge-conflicts.ts'),
  },
  'review-report': {
    summary: 'merges the reports of the other tools into one ranked report',
    load: () => import('./review-report.ts'),
  },
  'release-facts': {
    summary: 'version, tag, changelog, tree and branch agree, as a release needs',
    load: () => import('./release-facts.ts'),
  },
  'secret-scan': {
    summary: 'credentials and keys in the tree, redacted',
    load: () => import('./secret-scan.ts'),
  },
  'shell-check': {
    summary: 'shell scripts that do not parse or are dangerous',
    load: () => import('./shell-check.ts'),
  },
  'size-scan': {
    summary: 'large files, build products, dependencies and long sources in the tree',
    load: () => import('./size-scan.ts'),
  },
  spelling: {
    summary: 'misspelled words in docs and comments',
    load: () => import('./spelling.ts'),
  },
  'todo-scan': {
    summary: 'TODO, FIXME and HACK with their age',
    load: () => import('./todo-scan.ts'),
  },

  // Code.
  complexity: {
    summary: 'functions that are hard to follow: cognitive complexity, nesting, parameters, length',
    load: () => import('./complexity.ts'),
  },
  'dead-code': {
    summary: 'scripts that no entry point reaches, exports that nobody takes',
    load: () => import('./dead-code.ts'),
  },
  'dependency-audit': {
    summary: 'known vulnerabilities of locked npm packages (asks the registry)',
    load: () => import('./dependency-audit.ts'),
  },
  'dependency-graph': {
    summary: 'import cycles, imports that lead nowhere, undeclared and unused packages',
    load: () => import('./dependency-graph.ts'),
  },
  'dependency-outdated': {
    summary: 'declared npm packages with newer versions (asks the registry)',
    load: () => import('./dependency-outdated.ts'),
  },
  'duplicate-code': {
    summary: 'code that was copied, with where from and to',
    load: () => import('./duplicate-code.ts'),
  },
  licences: {
    summary: 'own licence, and those of dependencies that do not go with it',
    load: () => import('./licences.ts'),
  },
  'lint-scan': {
    summary: 'likely defects in JavaScript and TypeScript',
    load: () => import('./lint-scan.ts'),
  },
  sbom: {
    summary: 'what lock files pin and what they leave open; --folder writes CycloneDX',
    load: () => import('./sbom.ts'),
  },
  'migration-check': {
    summary: 'what each SQL migration locks, rewrites, breaks or loses, and the safe form',
    load: () => import('./migration-check.ts'),
  },
  'sql-check': {
    summary: 'SQL that PostgreSQL does not parse, migrations dangerous to run',
    load: () => import('./sql-check.ts'),
  },
  'syntax-check': {
    summary: 'JavaScript, TypeScript, JSON, YAML and TOML that do not parse',
    load: () => import('./syntax-check.ts'),
  },
  'test-inventory': {
    summary: 'tests that are focused, skipped or assert nothing; folders without any',
    load: () => import('./test-inventory.ts'),
  },
  'type-check': {
    summary: 'type errors of every TypeScript project, under its own settings',
    load: () => import('./type-check.ts'),
  },
  'upgrade-plan': {
    summary:
      'npm upgrades by step, what holds them, what breaks, in which order (asks the registry)',
    load: () => import('./upgrade-plan.ts'),
  },
};

const help = `Usage: centuria-tool NAME [--repo PATH] [--limit N] [--input NAME=VALUE]...
       centuria-tool --list

Runs one tool on a git repository and prints its report as JSON.

  --repo PATH    the repository, or a folder in it (default: the current folder)
  --limit N      findings in the report, at most; the worst are kept (default: 200)
  --folder PATH  where review-report puts report.md and report.json, and sbom its sbom.cdx.json
  --input X=Y    an input of the tool's own, as its agent describes it; - reads all as JSON
                 from standard input
  --list         the tools, with what each is for
  --help         this text

Exit status: 0 done (with findings or without), ${exitCodes.usage} wrong call, ${exitCodes.noInput} no repository or nothing in it,
${exitCodes.unavailable} something needed is not on this machine, ${exitCodes.internal} a defect in the tool.
`;

/** Runs the command line; the result is the exit status. */
export async function main(args: readonly string[]): Promise<number> {
  // Ending by exit lets temporary folders be removed; the signal alone would leave them.
  process.once('SIGTERM', () => process.exit(143));
  process.once('SIGINT', () => process.exit(130));
  try {
    const call = await parseCall(args);
    if (call.kind === 'help') return print(help);
    if (call.kind === 'list') return print(listing());
    const tool = Object.hasOwn(tools, call.name) ? tools[call.name] : undefined;
    if (tool === undefined) throw await unknownTool(call.name);
    const { run } = await tool.load();
    const report = await run(call.context);
    return await print(`${JSON.stringify(report)}\n`);
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`);
    return error instanceof ToolError ? error.exitCode : exitCodes.internal;
  }
}

type Call =
  | { readonly kind: 'help' }
  | { readonly kind: 'list' }
  | { readonly kind: 'run'; readonly name: string; readonly context: ToolContext };

async function parseCall(args: readonly string[]): Promise<Call> {
  const { values, positionals } = parse(args);
  if (values.help === true) return { kind: 'help' };
  if (values.list === true) return { kind: 'list' };
  const [name, ...others] = positionals;
  if (name === undefined || others.length > 0) {
    throw new ToolError('usage', 'give the name of one tool', 'See centuria-tool --help.');
  }
  const limit = values.limit ?? '200';
  if (!/^[1-9]\d{0,5}$/.test(limit)) {
    throw new ToolError('usage', `--limit must be a number from 1 to 999999, not ${limit}`);
  }
  const input =
    values.input === undefined
      ? {}
      : await (await import('./tool-input.ts')).gatherInput(values.input);
  const asked = typeof input['repo'] === 'string' ? input['repo'] : undefined;
  return {
    kind: 'run',
    name,
    context: {
      repo: values.repo ?? asked ?? process.cwd(),
      input,
      limit: Number(limit),
      folder: values.folder,
      nowMs: Date.now(),
      progress: (text) => void process.stderr.write(`${text}\n`),
    },
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        repo: { type: 'string' },
        limit: { type: 'string' },
        folder: { type: 'string' },
        input: { type: 'string', multiple: true },
        list: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new ToolError('usage', message, 'See centuria-tool --help.');
  }
}

function listing(): string {
  const names = Object.keys(tools).toSorted();
  const width = Math.max(0, ...names.map((name) => name.length));
  return names.map((name) => `${name.padEnd(width)}  ${tools[name]?.summary}\n`).join('');
}

async function unknownTool(name: string): Promise<ToolError> {
  const { suggest } = await import('../base/base.ts');
  const near = suggest(name, Object.keys(tools));
  return new ToolError(
    'usage',
    `there is no tool ${name}`,
    near === undefined ? 'See centuria-tool --list.' : `Did you mean ${near}?`,
  );
}

/** A large report goes through a pipe in pieces; exiting before the last one would cut it. */
function print(text: string): Promise<0> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve(0)));
  });
}

/** The reason is the last line, in one piece: the caller of the tool reports it. */
function explain(error: unknown): string {
  if (error instanceof ToolError) {
    return error.remedy === undefined ? error.message : `${error.message}. ${error.remedy}`;
  }
  if (!(error instanceof Error)) return `defect: ${String(error)}`;
  return `${error.stack ?? ''}\ndefect: ${error.message.replaceAll('\n', ' ')}`;
}
