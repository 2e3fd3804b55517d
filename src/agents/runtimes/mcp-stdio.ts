import type { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import {
  parseJSONRPCMessage,
  type JSONRPCMessage,
  type Transport,
} from '@modelcontextprotocol/client';
import type { ChildEnd } from './child.ts';
import type { Children } from './children.ts';
import type { FoundProgram } from '../programs.ts';

/** A transport whose other end is a program of ours, with the limits that programs have. */
export interface ChildTransport extends Transport {
  /** By both the client knows that silence is a program's, not a network's. */
  readonly stderr: null;
  readonly pid: number | null;
  /** Begins a call: from here on its bytes are counted, and its lines are told to it. */
  begin(call: { maxBytes: number; onLine: ((line: string) => void) | undefined }): void;
  /** What it has written since. */
  bytes(): number;
  /** How the program ended; undefined while it runs. */
  ended(): ChildEnd | undefined;
  /** Settles when it and everything that it started is gone. Rejects where it could not be started. */
  readonly end: Promise<ChildEnd>;
  /** What it wrote that is no message, the first of it. */
  rubbish(): string | undefined;
}

export interface ChildTransportOptions {
  readonly agent: string;
  readonly program: FoundProgram;
  readonly arguments: readonly string[];
  readonly directory: string | undefined;
  readonly environment: Readonly<Record<string, string>>;
  readonly sessionId: string;
  readonly memoryBytes: number;
  readonly children: Children;
}

/** The name under which a server's processes carry the id of their session in their environment. */
const sessionVariable = 'CENTURIA_SESSION_ID';
/** After its input has ended a server is to go by itself (specification, stdio, shutdown). */
const leaveMs = 1_000;
const rubbishKept = 200;

export function childTransport(options: ChildTransportOptions): ChildTransport {
  const stop = new AbortController();
  let pid: number | null = null;
  let stdin: Writable | undefined;
  let end: ChildEnd | undefined;
  let onLine: ((line: string) => void) | undefined;
  let maxBytes = 0;
  let bytes = 0;
  let rubbish: string | undefined;
  const lines = lineSplitter((line) => {
    const message = messageOf(line);
    if (message !== undefined) transport.onmessage?.(message);
    else if (line.trim() !== '') rubbish ??= line.slice(0, rubbishKept);
  });

  const started = Promise.withResolvers<void>();
  function run(): Promise<ChildEnd> {
    return options.children.run(
      options.program,
      {
        arguments: options.arguments,
        directory: options.directory,
        environment: { ...options.environment, [sessionVariable]: options.sessionId },
        input: undefined,
        talk: {
          onStart(input, id) {
            stdin = input;
            pid = id;
            // A program that is gone: its end says so.
            stdin.on('error', () => undefined);
            started.resolve();
          },
          onOutput(chunk) {
            bytes += chunk.length;
            if (bytes > maxBytes) return false;
            lines(chunk);
            return true;
          },
        },
        mark: { variable: sessionVariable, value: options.sessionId },
        timeoutMs: Number.POSITIVE_INFINITY,
        memoryBytes: options.memoryBytes,
        outputBytes: 0,
        signal: stop.signal,
        onLine: (line) => onLine?.(line),
      },
      options.agent,
    );
  }
  async function follow(): Promise<void> {
    try {
      end = await run();
      ending.resolve(end);
      transport.onclose?.();
    } catch (error) {
      started.reject(error);
      ending.reject(error);
    }
  }
  const ending = Promise.withResolvers<ChildEnd>();
  // Nobody may be waiting when it ends.
  ending.promise.catch(() => undefined);

  const transport: ChildTransport = {
    stderr: null,
    get pid() {
      return pid;
    },
    end: ending.promise,
    async start() {
      void follow();
      await started.promise;
    },
    async send(message) {
      const text = `${JSON.stringify(message)}\n`;
      if (stdin === undefined || !stdin.writable) throw new Error('the program takes no input');
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      stdin.write(text, (error) => (error ? reject(error) : resolve()));
      await promise;
    },
    async close() {
      stdin?.end();
      if (pid === null) return;
      const leaving = new AbortController();
      const late = delay(leaveMs, undefined, { signal: leaving.signal }).catch(() => undefined);
      await Promise.race([ending.promise.catch(() => undefined), late]);
      leaving.abort();
      stop.abort();
      await ending.promise.catch(() => undefined);
    },
    begin(call) {
      bytes = 0;
      ({ maxBytes, onLine } = call);
    },
    bytes: () => bytes,
    ended: () => end,
    rubbish: () => rubbish,
  };
  return transport;
}

/** What is no message is left out: many servers greet people on standard output. */
function messageOf(line: string): JSONRPCMessage | undefined {
  try {
    return parseJSONRPCMessage(JSON.parse(line));
  } catch {
    return undefined;
  }
}

/** Hands on whole lines; what it holds is bounded by whoever feeds it. */
function lineSplitter(onLine: (line: string) => void): (chunk: Buffer) => void {
  let held: Buffer[] = [];
  return (chunk) => {
    let from = 0;
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, from)) {
      held.push(chunk.subarray(from, at));
      const line = Buffer.concat(held).toString('utf8');
      held = [];
      from = at + 1;
      onLine(line);
    }
    if (from < chunk.length) held.push(chunk.subarray(from));
  };
}
