import type { Clock } from '../base/base.ts';
import { initialHealth, observe, type Health } from './health.ts';
import type { CheckResult } from './runtime.ts';

export const checkIntervalMs = 30_000;
export const checkTimeoutMs = 5_000;
/** Checks may start programs; more at once would slow the agents at work. */
const checksAtOnce = 4;

export interface HealthRecord {
  readonly health: Health;
  readonly checkedAtMs: number;
  /** Another one after each reset, so that an answer about what was before is not counted. */
  readonly life: symbol;
}

export interface HealthMonitorOptions {
  readonly clock: Clock;
  readonly check: (name: string, signal: AbortSignal) => Promise<CheckResult>;
  readonly onChange: (name: string, before: Health, after: Health) => void;
  /** Called before each round of checks. */
  readonly beforeRound?: () => Promise<void>;
}

/** Checks agents every 30 s, each within 5 s, and keeps their health. */
export interface HealthMonitor {
  get(name: string): HealthRecord | undefined;
  /** Forgets what is known of these agents and checks them now. */
  reset(names: readonly string[]): Promise<void>;
  forget(names: readonly string[]): void;
  /** Checks one now and counts it. */
  check(name: string): Promise<CheckResult>;
  close(): Promise<void>;
}

export function openHealthMonitor(options: HealthMonitorOptions): HealthMonitor {
  const { clock } = options;
  const records = new Map<string, HealthRecord>();
  const closing = new AbortController();

  async function check(name: string): Promise<CheckResult> {
    const before = records.get(name);
    const result = await withinTime(name);
    // Read again: another check of the same life may have been counted meanwhile.
    const now = records.get(name);
    if (now === undefined || now.life !== before?.life || closing.signal.aborted) return result;
    const health = observe(now.health, result);
    records.set(name, { ...now, health, checkedAtMs: clock.nowMs() });
    if (health.state !== now.health.state) options.onChange(name, now.health, health);
    return result;
  }

  async function withinTime(name: string): Promise<CheckResult> {
    const answered = new AbortController();
    const late = new AbortController();
    const timer = clock.sleep(checkTimeoutMs, answered.signal).then(
      () => late.abort(),
      () => undefined,
    );
    const checked = options.check(name, AbortSignal.any([late.signal, closing.signal]));
    const result = await Promise.race([checked, timer]);
    answered.abort();
    // An ended check answers, too, and what it says then is about its end.
    if (result !== undefined && !late.signal.aborted) return result;
    const reason = `its check took longer than ${checkTimeoutMs / 1_000} s`;
    return { ok: false, state: 'failed', reason };
  }

  async function checkAll(names: readonly string[]): Promise<void> {
    const waiting = [...names];
    const lane = async (): Promise<void> => {
      for (let name = waiting.shift(); name !== undefined; name = waiting.shift())
        await check(name);
    };
    await Promise.all(Array.from({ length: checksAtOnce }, lane));
  }

  async function rounds(): Promise<void> {
    for (;;) {
      await clock.sleep(checkIntervalMs, closing.signal);
      await options.beforeRound?.();
      await checkAll([...records.keys()]);
    }
  }
  const running = rounds().catch((error: unknown) => {
    if (!closing.signal.aborted) throw error;
  });

  return {
    get: (name) => records.get(name),
    async reset(names) {
      for (const name of names) {
        records.set(name, {
          health: initialHealth,
          checkedAtMs: clock.nowMs(),
          life: Symbol(name),
        });
      }
      await checkAll(names);
    },
    forget(names) {
      for (const name of names) records.delete(name);
    },
    check,
    async close() {
      closing.abort();
      await running;
    },
  };
}
