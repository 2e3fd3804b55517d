import { createHash } from 'node:crypto';
import { newId, type Clock } from '../../base/base.ts';
import { attemptVariable } from '../processes.ts';
import { findProgram } from '../programs.ts';
import type { CheckResult } from '../runtime.ts';
import { neededProgram, type Children } from './children.ts';

/** Looks whether Claude Code is there, works, and knows who pays. */
export interface Login {
  /** Why the program can't be run; undefined when it can. */
  missing(): Promise<string | undefined>;
  check(
    agent: string,
    environment: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<CheckResult>;
  close(): Promise<void>;
}

interface Look {
  readonly atMs: number;
  readonly result: Promise<CheckResult>;
}

/** A look costs 0.35 s of processor time, so agents with the same environment share one. */
const keptMs = { good: 120_000, bad: 20_000 } as const;
const unpaid =
  'Claude Code has no key and no login: set ANTHROPIC_API_KEY, or log in with claude auth login as the user of this server';
const lookMs = 15_000;
const outputBytes = 65_536;
const memoryBytes = 2_048 * 1_048_576;

export function openLogin(clock: Clock, children: Children): Login {
  const looks = new Map<string, Look>();
  const closing = new AbortController();

  async function look(
    agent: string,
    environment: Readonly<Record<string, string>>,
  ): Promise<CheckResult> {
    const program = await neededProgram('claude', agent, children.places);
    const attemptId = newId(clock);
    const attempt = { attemptId, idempotencyKey: attemptId };
    // Tells of a key or a login without asking the API.
    const end = await children.run(
      program,
      {
        arguments: ['auth', 'status'],
        directory: undefined,
        environment: { ...children.environmentOf([], attempt), ...environment },
        input: undefined,
        mark: { variable: attemptVariable, value: attemptId },
        timeoutMs: lookMs,
        memoryBytes,
        outputBytes,
        signal: closing.signal,
      },
      agent,
    );
    const isLoggedIn = /"loggedIn"\s*:\s*(true|false)/.exec(end.stdout.toString())?.[1];
    if (isLoggedIn === 'true') return { ok: true };
    if (isLoggedIn === 'false') {
      return { ok: false, state: 'unavailable', reason: unpaid };
    }
    const how = end.stopped ?? end.signal ?? `exit status ${end.exitCode}`;
    const reason = `claude auth status did not say whether there is a login (${how}); version 2.1 or later is needed`;
    return { ok: false, state: 'failed', reason };
  }

  return {
    async missing() {
      if ((await findProgram('claude', children.places)) !== undefined) return undefined;
      return 'the program claude was not found: npm install -g @anthropic-ai/claude-code, or add its folder to PATH';
    },
    async check(agent, environment, signal) {
      const key = createHash('sha256').update(JSON.stringify(environment)).digest('hex');
      const nowMs = clock.monotonicMs();
      let known = looks.get(key);
      const settled = known?.result.catch(() => undefined);
      const result = settled && (await untilAborted(settled, signal));
      if (known === undefined || result === undefined || isOld(known, result, nowMs)) {
        known = { atMs: nowMs, result: look(agent, environment) };
        // Who asked may have left before it ends.
        known.result.catch(() => undefined);
        looks.set(key, known);
      }
      return untilAborted(known.result, signal);
    },
    async close() {
      closing.abort();
      await Promise.allSettled([...looks.values()].map(({ result }) => result));
    },
  };
}

function isOld({ atMs }: Look, { ok }: CheckResult, nowMs: number): boolean {
  return nowMs - atMs > (ok ? keptMs.good : keptMs.bad);
}

async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
