import { spawn, type ChildProcess } from 'node:child_process';
import { ToolError } from './errors.ts';

export interface ProgramOptions {
  readonly cwd: string;
  /** The whole environment of the program; nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  readonly stdin?: string | Uint8Array;
  /** Output beyond it ends the program with an error. Default 64 MiB. */
  readonly maxOutputBytes?: number;
  /** Default two minutes. */
  readonly timeoutMs?: number;
}

export interface ProgramResult {
  readonly exitCode: number;
  readonly stdout: Buffer;
  /** The last 16 KiB. */
  readonly stderr: string;
}

const defaultOutputBytes = 64 * 1024 * 1024;
const defaultTimeoutMs = 120_000;
const stderrBytes = 16 * 1024;

/**
 * Runs a program without a shell and waits for it. Throws `unavailable` where the program is not
 * installed and `internal` where it is ended by a signal, takes too long or says too much; any exit
 * status is a result.
 */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: ProgramOptions,
): Promise<ProgramResult> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  const limit = options.maxOutputBytes ?? defaultOutputBytes;
  const running = start(program, args, options);
  for await (const chunk of running.output) {
    sizeBytes += chunk.length;
    if (sizeBytes > limit) {
      running.end();
      throw new ToolError(
        'internal',
        `${program} ${args[0] ?? ''} printed more than ${limit} bytes`,
      );
    }
    chunks.push(chunk);
  }
  const { exitCode, stderr } = await running.exit;
  return { exitCode, stdout: Buffer.concat(chunks), stderr };
}

/**
 * Runs a program and yields its standard output cut at `separator` (one byte), so that output of
 * any length takes little memory. `check` sees the result at the end. Leaving the loop early ends
 * the program.
 */
export async function* streamProgram(
  program: string,
  args: readonly string[],
  options: ProgramOptions & { readonly separator: number },
  check: (result: Omit<ProgramResult, 'stdout'>) => void,
): AsyncGenerator<Buffer> {
  const running = start(program, args, options);
  let rest: Buffer[] = [];
  let finished = false;
  try {
    for await (const chunk of running.output) {
      let from = 0;
      for (;;) {
        const at = chunk.indexOf(options.separator, from);
        if (at < 0) break;
        const piece = chunk.subarray(from, at);
        yield rest.length === 0 ? piece : Buffer.concat([...rest, piece]);
        rest = [];
        from = at + 1;
      }
      if (from < chunk.length) rest.push(chunk.subarray(from));
    }
    if (rest.length > 0) yield Buffer.concat(rest);
    finished = true;
  } finally {
    if (!finished) running.end();
  }
  check(await running.exit);
}

interface Running {
  readonly output: AsyncIterable<Buffer>;
  readonly exit: Promise<Omit<ProgramResult, 'stdout'>>;
  end(): void;
}

function start(program: string, args: readonly string[], options: ProgramOptions): Running {
  const child = spawn(program, [...args], {
    cwd: options.cwd,
    env: { ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  // A program that ends before it has read its input is judged by its exit status.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.stdin);
  let stderr = Buffer.alloc(0);
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = Buffer.concat([stderr, chunk]).subarray(-stderrBytes);
  });
  const exit = exitOf(child, program, args, options, () => stderr.toString());
  // The reader of the output may have failed first; then nobody awaits this.
  exit.catch(() => undefined);
  return { output: child.stdout, exit, end: () => void child.kill('SIGKILL') };
}

function exitOf(
  child: ChildProcess,
  program: string,
  args: readonly string[],
  options: ProgramOptions,
  stderr: () => string,
): Promise<Omit<ProgramResult, 'stdout'>> {
  return new Promise((resolve, reject) => {
    const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, timeoutMs);
    child.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      reject(
        error.code === 'ENOENT' || error.code === 'EACCES'
          ? new ToolError(
              'unavailable',
              `${program} can not be started here`,
              `Install ${program}.`,
            )
          : error,
      );
    });
    child.on('close', (exitCode, signal) => {
      clearTimeout(timer);
      const call = `${program} ${args.find((arg) => /^[a-z]/.test(arg)) ?? ''}`.trim();
      if (late) reject(new ToolError('internal', `${call} took longer than ${timeoutMs} ms`));
      else if (exitCode === null) reject(new ToolError('internal', `${call} ended by ${signal}`));
      else resolve({ exitCode, stderr: stderr() });
    });
  });
}
