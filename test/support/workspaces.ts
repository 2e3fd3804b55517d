/** Workspaces on a fresh data folder, and processes that use them. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createLog, systemClock } from '../../src/base/base.ts';
import {
  openWorkspaces,
  type BeginRequest,
  type WorkspaceMark,
  type Workspaces,
} from '../../src/workspaces/workspaces.ts';
import { GitRepository, type Files } from './git-repository.ts';

export const signal = new AbortController().signal;

/** A place of its own for one test, with everything in it removed at the end. */
export class Place {
  readonly around = realpathSync(mkdtempSync(join(tmpdir(), 'centuria-workspaces-')));
  readonly home = join(this.around, 'home');
  readonly log: object[] = [];
  readonly workspaces: Workspaces;
  private readonly repositories: GitRepository[] = [];
  private readonly children: ChildProcess[] = [];
  private count = 0;

  constructor(limits?: { entries: number; bytes: number }) {
    const destination = { write: (line: string) => void this.log.push(JSON.parse(line) as object) };
    this.workspaces = openWorkspaces({
      home: this.home,
      log: createLog({ level: 'info', destination }),
      clock: systemClock,
      ...(limits === undefined ? {} : { limits }),
    });
  }

  /** An empty folder. */
  folder(name = `folder-${(this.count += 1)}`): string {
    const path = join(this.around, name);
    mkdirSync(path);
    return path;
  }

  repository(files: Files): GitRepository {
    const repository = new GitRepository(files);
    this.repositories.push(repository);
    return repository;
  }

  /** A request for the next attempt of the run `run-1`, unless told otherwise. */
  request(folder: string, more: Partial<BeginRequest> = {}): BeginRequest {
    const attemptId = `attempt-${(this.count += 1)}`;
    return { runId: 'run-1', task: 'task', attemptId, folder, kind: 'snapshot', signal, ...more };
  }

  /** Runs `work` as an attempt and gives its mark. */
  async attempt(
    folder: string,
    work: (path: string) => void,
    more: Partial<BeginRequest> = {},
  ): Promise<WorkspaceMark> {
    const mark = await this.workspaces.begin(this.request(folder, more));
    work(mark.path);
    return await this.workspaces.finish(mark);
  }

  undo(marks: readonly WorkspaceMark[], force = false) {
    return this.workspaces.undo(marks, { force, signal });
  }

  /** Starts a process and gives it with its first line. */
  async process(what: 'begin' | 'undo', argument: object): Promise<[ChildProcess, string]> {
    const script = join(import.meta.dirname, 'workspace-process.ts');
    const child = spawn(process.execPath, [script, this.home, what, JSON.stringify(argument)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      timeout: 60_000,
    });
    this.children.push(child);
    const lines = createInterface({ input: child.stdout });
    const ended = once(child, 'close').then(() => ['']);
    const [line] = (await Promise.race([once(lines, 'line'), ended])) as [string];
    return [child, line];
  }

  /** Ends a process as a crash does. */
  async kill(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  async dispose(): Promise<void> {
    for (const child of this.children) await this.kill(child);
    for (const repository of this.repositories) repository.dispose();
    rmSync(this.around, { recursive: true, force: true });
  }
}
