/** Likely defects in JavaScript and TypeScript, found by oxlint under rules of ours. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import type { Severity, ToolReport } from '../base/base.ts';
import { ToolError } from './errors.ts';
import { declared, dependencyFields, readPackages } from './packages.ts';
import { isTest } from './paths.ts';
import { runProgram } from './process.ts';
import { count, ReportBuilder } from './report.ts';
import { openRepository, type Repository } from './repository.ts';
import { ownFile, plainEnvironment, withFolder, withSnapshot } from './snapshot.ts';
import { isOwnScript, maxScriptBytes } from './syntax.ts';
import type { ToolContext } from './tools.ts';

/** Wrong whatever was meant: the code can not do what it says. */
const certain = new Set(
  (
    'eslint(constructor-super) eslint(for-direction) eslint(no-async-promise-executor) ' +
    'eslint(no-class-assign) eslint(no-compare-neg-zero) eslint(no-const-assign) eslint(no-constant-binary-expression) ' +
    'eslint(no-dupe-class-members) eslint(no-dupe-else-if) eslint(no-dupe-keys) eslint(no-duplicate-case) ' +
    'eslint(no-func-assign) eslint(no-import-assign) eslint(no-invalid-regexp) eslint(no-loss-of-precision) ' +
    'eslint(no-obj-calls) eslint(no-setter-return) eslint(no-this-before-super) eslint(no-unsafe-finally) ' +
    'eslint(no-unsafe-negation) eslint(no-unsafe-optional-chaining) eslint(use-isnan) eslint(valid-typeof) ' +
    'eslint(no-eval) oxc(bad-array-method-on-arguments) oxc(bad-char-at-comparison) oxc(bad-comparison-sequence) ' +
    'oxc(bad-min-max-func) oxc(bad-object-literal-comparison) oxc(const-comparisons) oxc(erasing-op) ' +
    'oxc(missing-throw) unicorn(no-await-in-promise-methods) ' +
    'unicorn(no-invalid-remove-event-listener) react(rules-of-hooks) typescript(no-misused-new)'
  ).split(' '),
);
/** Untidy, and right. */
const untidy =
  /^(unicorn\(|eslint\((no-unused-(vars|labels|expressions|private-class-members)|no-useless-.*|no-extra-boolean-cast|no-control-regex|no-empty-.*|no-shadow-restricted-names|no-irregular-whitespace|require-yield|no-misleading-character-class|no-unneeded-ternary)\)|typescript\((no-(unnecessary|useless|wrapper|this|non-null|extra|empty|duplicate)[\w-]*|prefer-[\w-]+|triple-slash-reference)\)|oxc\((only-used-in-recursion|double-comparisons|misrefactored-assign-op|uninvoked-array-callback)\))/;
/** Rules beyond what is outright wrong that find more defects than they annoy. */
const chosen = {
  'array-callback-return': 'warn',
  eqeqeq: ['warn', 'smart'],
  'no-extend-native': 'warn',
  'no-implied-eval': 'warn',
  'no-new-func': 'warn',
  'no-promise-executor-return': 'off',
  'no-self-compare': 'warn',
  'no-throw-literal': 'warn',
  'no-unmodified-loop-condition': 'warn',
  'no-unexpected-multiline': 'warn',
  'no-unused-vars': ['warn', { args: 'none', caughtErrors: 'none', ignoreRestSiblings: true }],
  'preserve-caught-error': 'warn',
  'oxc/approx-constant': 'warn',
  'oxc/no-accumulating-spread': 'warn',
  'promise/no-multiple-resolved': 'warn',
  'typescript/no-unsafe-declaration-merging': 'warn',
  'unicorn/no-array-fill-with-reference-type': 'warn',
  // Below: right in general, and mostly false alarms on code that was not written under them.
  'no-control-regex': 'off',
  'no-unused-expressions': 'off',
  'no-useless-escape': 'off',
  'typescript/triple-slash-reference': 'off',
  'unicorn/no-empty-file': 'off',
  'unicorn/no-instanceof-builtins': 'off',
  'unicorn/no-invalid-fetch-options': 'off',
  'unicorn/no-thenable': 'off',
  'unicorn/require-module-specifiers': 'off',
  'unicorn/no-new-array': 'off',
} as const;

const diagnosticSchema = Type.Object({
  message: Type.String(),
  code: Type.Optional(Type.String()),
  url: Type.Optional(Type.String()),
  help: Type.Optional(Type.String()),
  filename: Type.String(),
  labels: Type.Array(
    Type.Object({ span: Type.Object({ line: Type.Integer(), column: Type.Integer() }) }),
  ),
});
const outputSchema = Type.Object({
  diagnostics: Type.Array(diagnosticSchema),
  number_of_files: Type.Integer(),
});

export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  const report = new ReportBuilder('lint-scan', context.limit);
  const output = await lint(repository);
  report.notes(repository.notes());
  report.metric('files', output?.number_of_files ?? 0);
  if (output === undefined)
    return report.build('Nothing to examine: no JavaScript or TypeScript of its own.');
  let broken = 0;
  for (const item of output.diagnostics) {
    if (item.code === undefined) broken += 1;
    else add(item, item.code, report);
  }
  if (broken > 0)
    report.note(`${count(broken, 'script')} with syntax errors not linted: see syntax-check.`);
  report.note(
    'Linted with the settings of this tool; those of the repository were not read, comments that disable a rule were.',
  );
  return report.build(
    `${count(output.number_of_files, 'script')} linted; ${report.total === 0 ? 'nothing found' : count(report.total, 'finding')}.`,
  );
}

async function lint(repository: Repository): Promise<Static<typeof outputSchema> | undefined> {
  const program = ownFile('oxlint/package.json', 'oxlint').replace('package.json', 'bin/oxlint');
  return withFolder((home) =>
    withSnapshot(repository, isOwnScript, maxScriptBytes, async ({ folder, paths }) => {
      if (paths.length === 0) return undefined;
      const config = join(home, 'rules.json');
      writeFileSync(config, JSON.stringify(rulesFor(repository)));
      const args = [program, '--config', config, '--disable-nested-config', '--no-ignore'];
      const result = await runProgram(process.execPath, [...args, '--format', 'json', '.'], {
        cwd: folder,
        env: plainEnvironment(home),
      });
      return parseOutput(result.stdout.toString(), result.stderr);
    }),
  );
}

function rulesFor(repository: Repository): object {
  const react = readPackages(repository).some((item) =>
    dependencyFields.some((field) => {
      const names = declared(item, field);
      return names.has('react') || names.has('preact');
    }),
  );
  return {
    plugins: ['typescript', 'unicorn', 'oxc', 'promise', ...(react ? ['react'] : [])],
    categories: { correctness: 'warn' },
    rules: { ...chosen, ...(react ? { 'react/rules-of-hooks': 'warn' } : {}) },
  };
}

function parseOutput(text: string, stderr: string): Static<typeof outputSchema> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (Value.Check(outputSchema, value)) return value;
  const reason = (stderr.trim() || text.trim()).split('\n')[0] ?? '';
  throw new ToolError('internal', `oxlint did not print its report: ${reason.slice(0, 300)}`);
}

function add(item: Static<typeof diagnosticSchema>, code: string, report: ReportBuilder): void {
  const span = item.labels[0]?.span;
  report.add({
    severity: severityOf(code, isTest(item.filename)),
    rule: code.replace(/^(\w+)\((.+)\)$/, (_all, plugin: string, rule: string) =>
      plugin === 'eslint' ? rule : `${plugin}/${rule}`,
    ),
    message: item.message,
    file: item.filename.replaceAll('\\', '/').replace(/^\.\//, ''),
    ...(span === undefined || span.line < 1
      ? {}
      : { line: span.line, column: Math.max(1, span.column) }),
    ...(item.help === undefined ? {} : { fix: item.help }),
  });
}

/** Tests provoke what they test. */
export function severityOf(code: string, inTest: boolean): Severity {
  if (inTest) return 'low';
  if (certain.has(code)) return 'high';
  return untidy.test(code) ? 'low' : 'medium';
}
