import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Finding, ToolReport } from '../../src/base/base.ts';

export type Files = Readonly<Record<string, string | Buffer>>;

/** A real repository in a temporary folder, with authors and dates that a test chooses. */
export class GitRepository {
  readonly path: string;
  /** The temporary folder around it, for what a test needs beside it. */
  readonly around: string;

  constructor(files: Files = {}) {
    this.around = realpathSync(mkdtempSync(join(tmpdir(), 'centuria-test-')));
    this.path = join(this.around, 'repository');
    mkdirSync(this.path);
    this.git('init', '-q', '-b', 'main');
    if (Object.keys(files).length > 0) this.commit('Add the first files', files);
  }

  git(...args: string[]): string {
    return this.gitAs({ author: 'Ada', at: new Date() }, args);
  }

  write(files: Files): void {
    for (const [name, content] of Object.entries(files)) {
      const path = join(this.path, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, content);
    }
  }

  commit(subject: string, files: Files, who: { author?: string; daysAgo?: number } = {}): string {
    this.write(files);
    const at = new Date(Date.now() - (who.daysAgo ?? 0) * 86_400_000);
    const as = { author: who.author ?? 'Ada', at };
    this.gitAs(as, ['add', '-f', '--all', '--', ...Object.keys(files)]);
    this.gitAs(as, ['commit', '-q', '--allow-empty', '--no-verify', '-m', subject]);
    return this.git('rev-parse', 'HEAD').trim();
  }

  dispose(): void {
    rmSync(this.around, { recursive: true, force: true });
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private gitAs({ author, at }: { author: string; at: Date }, args: string[]): string {
    const email = `${author.toLowerCase()}@example.org`;
    return execFileSync('git', ['-c', 'safe.directory=*', '-C', this.path, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env['PATH'],
        HOME: this.around,
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_AUTHOR_NAME: author,
        GIT_AUTHOR_EMAIL: email,
        GIT_AUTHOR_DATE: at.toISOString(),
        GIT_COMMITTER_NAME: author,
        GIT_COMMITTER_EMAIL: email,
        GIT_COMMITTER_DATE: at.toISOString(),
      },
    });
  }
}

export interface ToolRun {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The last line of standard error. */
  readonly reason: string;
}

/** Runs a tool as the fleet does: as a program. */
export function runTool(args: readonly string[], stdin = ''): Promise<ToolRun> {
  const launcher = join(import.meta.dirname, '../../bin/centuria-tool.mjs');
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [launcher, ...args], { stdio: 'pipe', timeout: 120_000 });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin.on('error', () => undefined);
    child.stdin.end(stdin);
    child.on('error', reject);
    child.on('close', (exitCode) => {
      resolve({ exitCode, stdout, stderr, reason: stderr.trim().split('\n').at(-1) ?? '' });
    });
  });
}

/** The report of a tool on a repository; throws with the reason where there is none. */
export async function reportOf(
  tool: string,
  repository: string,
  ...args: string[]
): Promise<ToolReport> {
  const run = await runTool([tool, '--repo', repository, ...args]);
  if (run.exitCode !== 0) throw new Error(`${tool} ended with ${run.exitCode}: ${run.stderr}`);
  return JSON.parse(run.stdout) as ToolReport;
}

/** `severity rule file:line`, which is what a test wants to say of a finding. */
export function brief({ severity, rule, file, line }: Finding): string {
  return `${severity} ${rule} ${file ?? '-'}${line === undefined ? '' : `:${line}`}`;
}
