import { LangVariant, parse, ParseError } from 'sh-syntax';
import type { Finding, Severity, ToolReport } from '../base/base.ts';
import { findComments } from './comments.ts';
import { ToolError } from './errors.ts';
import { extensionOf, isVendored } from './paths.ts';
import { runProgram } from './process.ts';
import { count, ReportBuilder } from './report.ts';
import { openRepository, type TextFile } from './repository.ts';
import type { ToolContext } from './tools.ts';

/**
 * Severities: high for a script that does not parse, since it fails when it is needed; medium for
 * what can delete or run more than was meant; low for what works by luck. ShellCheck's own levels
 * map to medium, low and info: many of its errors are questions.
 */
type Dialect = 'bash' | 'sh' | 'ksh' | 'zsh';
const variants = {
  bash: LangVariant.LangBash,
  sh: LangVariant.LangPOSIX,
  ksh: LangVariant.LangMirBSDKorn,
};
const levels: Readonly<Record<string, Severity>> = {
  error: 'medium',
  warning: 'low',
  info: 'info',
  style: 'info',
};

/** Shell scripts that do not parse, that use what their shell lacks, or that are dangerous; with ShellCheck where it is installed. */
export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  const report = new ReportBuilder('shell-check', context.limit);
  const check = await findShellCheck(report);
  let scripts = 0;
  let unparsed = 0;
  for (const file of repository.texts(
    ({ path, isExecutable }) => mayBeShell(path, isExecutable),
    512 * 1024,
  )) {
    const dialect = dialectOf(file.path, file.text);
    if (dialect === undefined) continue;
    scripts += 1;
    if (dialect === 'zsh') {
      unparsed += 1;
      continue;
    }
    const broken = await findSyntaxError(file, dialect);
    if (broken !== undefined) report.add(broken);
    else if (check !== undefined)
      for (const finding of await check(file, dialect)) report.add(finding);
    for (const finding of findDangers(file)) report.add(finding);
  }
  if (unparsed > 0)
    report.note(`${count(unparsed, 'zsh script')} not parsed: the parser's zsh is incomplete.`);
  report.metric('scripts', scripts);
  report.notes(repository.notes());
  return report.build(`${count(scripts, 'shell script')}; ${count(report.total, 'remark')}.`);
}

function mayBeShell(path: string, isExecutable: boolean): boolean {
  if (isVendored(path)) return false;
  const extension = extensionOf(path);
  return (
    /^(sh|bash|ksh|zsh)$/.test(extension) ||
    (extension === '' && (isExecutable || !path.startsWith('.')))
  );
}

/** By its first line, else by its name; undefined for what is no shell script. */
export function dialectOf(path: string, text: string): Dialect | undefined {
  const shebang = /^#![ \t]*(?:\S*\/)?(?:env[ \t]+(?:-S[ \t]+)?)?(?:\S*\/)?([\w.-]+)/.exec(
    text,
  )?.[1];
  const name = shebang ?? extensionOf(path);
  if (name === 'bash' || name === 'zsh') return name;
  if (name === 'ksh' || name === 'mksh') return 'ksh';
  // A .sh without a first line may be meant for any shell, so it is read as the richest.
  if (name === 'sh' || name === 'dash' || name === 'ash')
    return shebang === undefined ? 'bash' : 'sh';
  return undefined;
}

async function findSyntaxError(
  { path, text }: TextFile,
  dialect: Exclude<Dialect, 'zsh'>,
): Promise<Finding | undefined> {
  try {
    await parse(text, { variant: variants[dialect] });
    return undefined;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // The parser has two kinds: one with a position, one with it in front of the message.
    const inText = /^(\d+):(\d+): ([^]*)$/.exec(error.message);
    const position = error instanceof ParseError ? error.Pos : undefined;
    const line = position?.Line ?? Number(inText?.[1] ?? Number.NaN);
    if (!Number.isInteger(line)) throw error;
    const reason = inText?.[3] ?? error.message;
    const isDialect = / (is|are) a .* feature/.test(reason);
    return {
      severity: isDialect ? 'medium' : 'high',
      rule: isDialect ? 'not-in-this-shell' : 'syntax-error',
      file: path,
      line,
      column: position?.Col ?? Number(inText?.[2] ?? 1),
      message: isDialect
        ? `${reason.replace(/; tried parsing.*$/, '')}, and the first line asks for ${dialect}: it fails where sh is not bash.`
        : `The script does not parse: ${reason}.`,
      evidence: text.split('\n')[line - 1]?.trim() ?? '',
      fix: isDialect
        ? 'Use #!/usr/bin/env bash, or write it in POSIX shell.'
        : 'Correct it; run bash -n on scripts in CI.',
    };
  }
}

interface Danger {
  readonly rule: string;
  readonly severity: Severity;
  readonly test: RegExp;
  readonly message: string;
  readonly fix: string;
}

const dangers: readonly Danger[] = [
  {
    rule: 'pipe-to-shell',
    severity: 'medium',
    test: /\b(curl|wget)\b[^|;&\n]*\|\s*(sudo\s+(-\S+\s+)*)?(ba|z|da|k)?sh\b/,
    message: 'Runs whatever the server sends, also when the transfer breaks off half way.',
    fix: 'Download to a file, check its hash, then run it.',
  },
  {
    rule: 'unguarded-delete',
    severity: 'medium',
    test: /\brm\s+(-\w+\s+)*-\w*[rR]\w*\s+(-\S+\s+)*["']?\$(\w+|\{\w+\})["']?\/(\*|["'\s]|$)/,
    message: 'Deletes from the root when the variable is empty.',
    fix: 'Write "${NAME:?}/" so that an empty variable ends the script.',
  },
  {
    rule: 'world-writable',
    severity: 'medium',
    test: /\bchmod\s+(-\w+\s+)*(0?777|a\+rwx|ugo\+rwx)\b/,
    message: 'Lets every user of the machine change it.',
    fix: 'Give the one user or group that needs it the right.',
  },
  {
    rule: 'certificate-unchecked',
    severity: 'medium',
    test: /\bcurl\b[^|;&\n]*\s(-k|--insecure)\b|\bwget\b[^|;&\n]*--no-check-certificate\b/,
    message: 'Takes any certificate, so anybody on the way can answer.',
    fix: 'Install the authority that signed it and leave the check on.',
  },
  {
    rule: 'predictable-temporary-file',
    severity: 'low',
    test: />\s*["']?\/tmp\/[\w.-]*(\$\$)?["']?\s*($|[;&|])/,
    message: 'A name in /tmp that another user can take first.',
    fix: 'Use mktemp.',
  },
];

function findDangers({ path, text }: TextFile): Finding[] {
  const comments = findComments('x.sh', text) ?? [];
  let plain = '';
  let from = 0;
  for (const { start, end } of comments) {
    plain += text.slice(from, start) + ' '.repeat(end - start);
    from = end;
  }
  plain += text.slice(from);
  const findings: Finding[] = [];
  for (const [index, line] of plain.split('\n').entries()) {
    if (line.length > 2_000) continue;
    for (const { rule, severity, test, message, fix } of dangers) {
      const match = test.exec(line);
      if (match === null || /^\s*(echo|printf)\b/.test(line)) continue;
      findings.push({
        severity,
        rule,
        file: path,
        line: index + 1,
        column: match.index + 1,
        message,
        evidence: line.trim(),
        fix,
      });
    }
  }
  return findings;
}

type Check = (file: TextFile, dialect: Dialect) => Promise<Finding[]>;

interface Comment {
  readonly line: number;
  readonly column: number;
  readonly level: string;
  readonly code: number;
  readonly message: string;
}

/** ShellCheck reads the script from its input and no file of the repository: `--norc`, and no following of sources. */
async function findShellCheck(report: ReportBuilder): Promise<Check | undefined> {
  const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C.UTF-8' };
  try {
    await runProgram('shellcheck', ['--version'], { cwd: '/', env, timeoutMs: 10_000 });
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    report.note(
      'ShellCheck is not installed here: scripts were parsed and checked for dangerous commands only.',
    );
    return undefined;
  }
  return async ({ path, text }, dialect) => {
    const args = ['--norc', '--format=json', `--shell=${dialect}`, '-'];
    const result = await runProgram('shellcheck', args, {
      cwd: '/',
      env,
      stdin: text,
      timeoutMs: 30_000,
    });
    if (result.exitCode > 1) {
      report.note(`ShellCheck could not read ${path}: ${result.stderr.trim()}`);
      return [];
    }
    const comments = JSON.parse(result.stdout.toString()) as Comment[];
    return comments.map(({ line, column, level, code, message }) => ({
      severity: levels[level] ?? 'info',
      rule: `SC${code}`,
      file: path,
      line,
      column,
      message,
      fix: `See https://www.shellcheck.net/wiki/SC${code}`,
    }));
  };
}
