import { redact, type Clock } from '../../base/base.ts';

const perSecond = 10;
const burst = 20;
const maxLineLength = 500;

/** Takes what an agent writes and passes its lines on. */
export interface Progress {
  write(text: string): void;
  /** Passes on what is still held back. */
  end(): void;
}

/**
 * Passes lines on at a bounded rate: 20 at once, then ten a second. Of the lines above it the newest
 * is kept and passed on next, since the newest says where the agent is. Secrets are redacted, and
 * lines cut at 500 characters.
 */
export function createProgress(clock: Clock, emit: (line: string) => void): Progress {
  let tokens = burst;
  let filledAtMs = clock.monotonicMs();
  let partial = '';
  let held: string | undefined;
  let timer: NodeJS.Timeout | undefined;

  function refill(): void {
    const nowMs = clock.monotonicMs();
    tokens = Math.min(burst, tokens + ((nowMs - filledAtMs) * perSecond) / 1_000);
    filledAtMs = nowMs;
  }

  function offer(line: string): void {
    if (line.trim() === '') return;
    refill();
    if (tokens >= 1) {
      held = undefined;
      tokens -= 1;
      emit(clean(line));
      return;
    }
    held = line;
    timer ??= setTimeout(() => {
      timer = undefined;
      if (held !== undefined) offer(held);
    }, 1_000 / perSecond);
  }

  return {
    write(text) {
      const lines = (partial + text).split(/\r?\n|\r/);
      partial = lines.pop() ?? '';
      // Text without an end of line is a progress bar or a flood: it must not grow.
      if (partial.length > maxLineLength) partial = partial.slice(0, maxLineLength);
      for (const line of lines) offer(line);
    },
    end() {
      clearTimeout(timer);
      timer = undefined;
      const last = partial.trim() === '' ? held : partial;
      partial = '';
      held = undefined;
      if (last !== undefined) emit(clean(last));
    },
  };
}

function clean(line: string): string {
  return redact(line.length > maxLineLength ? `${line.slice(0, maxLineLength)}…` : line);
}
