/**
 * The data folder's lock: at most one process has the embedded database open, since two would
 * destroy it. The lock is a file that says who holds it. What is left by a dead process is taken
 * over, by exactly one of the processes that try.
 */
import { randomUUID } from 'node:crypto';
import { linkSync, readFileSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { AppError, type Clock } from '../base/base.ts';

/** Who holds a lock, precisely enough to tell a process from a later one with the same pid. */
interface Holder {
  readonly pid: number;
  /** Start of the process in clock ticks after boot, from /proc; null where there is no /proc. */
  readonly startTicks: string | null;
  readonly host: string;
  /** Differs after a reboot. Null where there is no /proc. */
  readonly boot: string | null;
  /** Pids mean nothing across containers: their namespace is part of the name. */
  readonly pidNamespace: string | null;
  /** Tells this acquisition from all others. */
  readonly token: string;
  readonly since: string;
}

export interface HomeLock {
  /** Removes the lock. Safe to call twice. */
  release(): void;
}

/** How often, and how long apart, to look again while another process is taking over a stale lock. */
const lookAgain = { times: 100, pauseMs: 20 };

/**
 * Takes `<home>/lock`. Throws `home_locked` when a living process holds it.
 *
 * The file appears with its content at once (`link`), so nobody reads half of it. A stale lock is
 * replaced only by the process that made the file `lock.<token of the stale lock>`, and only if the
 * stale lock is still there afterwards; a claim whose maker died is itself claimed the same way.
 */
export async function lockHome(home: string, clock: Clock): Promise<HomeLock> {
  const path = join(home, 'lock');
  const self = describeSelf(clock);
  const draft = join(home, `lock.draft-${self.token}`);
  writeFileSync(draft, `${JSON.stringify(self)}\n`, { mode: 0o600 });
  try {
    for (let turn = 0; turn < lookAgain.times; turn += 1) {
      if (linkUnlessTaken(draft, path)) return heldLock(path, self);
      const holder = readHolder(path);
      if (holder === undefined) continue;
      if (isAlive(holder, self)) throw lockedBy(holder, home);
      if (replaceStale(home, draft, holder, self)) return heldLock(path, self);
      await clock.sleep(lookAgain.pauseMs);
    }
  } finally {
    rmSync(draft, { force: true });
  }
  throw new AppError('home_locked', `the lock of ${home} is being taken over by other processes`, {
    details: { home },
    remedy: 'Try again.',
  });
}

function heldLock(path: string, self: Holder): HomeLock {
  return {
    release() {
      if (readHolder(path)?.token === self.token) rmSync(path, { force: true });
    },
  };
}

/** False when a living process is at it, or when the stale lock has gone in the meantime. */
function replaceStale(home: string, draft: string, stale: Holder, self: Holder): boolean {
  const path = join(home, 'lock');
  const claims: string[] = [];
  for (let dead = stale; ;) {
    const claim = join(home, `lock.${dead.token}`);
    claims.push(claim);
    if (linkUnlessTaken(draft, claim)) break;
    const claimant = readHolder(claim);
    if (claimant === undefined || isAlive(claimant, self)) return false;
    dead = claimant;
  }
  // Only now is the stale lock ours to replace; before, somebody else may have.
  const replaced = readHolder(path)?.token === stale.token;
  if (replaced) {
    const copy = `${draft}-new`;
    linkSync(draft, copy);
    renameSync(copy, path);
  }
  for (const claim of claims) rmSync(claim, { force: true });
  return replaced;
}

function linkUnlessTaken(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}

/** Undefined when the file is gone. */
function readHolder(path: string): Holder | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
  try {
    const holder = JSON.parse(text) as Partial<Holder> | null;
    if (typeof holder?.pid === 'number' && /^[0-9a-f-]{36}$/.test(holder.token ?? '')) {
      return holder as Holder;
    }
  } catch {
    // Reported below, as any other content that is not ours.
  }
  throw new AppError('home_locked', `${path} is not a lock that Centuria wrote`, {
    details: { path },
    remedy: 'If no Centuria uses this folder, delete the file.',
  });
}

function describeSelf(clock: Clock): Holder {
  return {
    pid: process.pid,
    startTicks: startTicksOf(process.pid),
    host: hostname(),
    boot: readOrNull('/proc/sys/kernel/random/boot_id'),
    pidNamespace: pidNamespace(),
    token: randomUUID(),
    since: new Date(clock.nowMs()).toISOString(),
  };
}

/** A holder on another machine or in another container can't be looked up, so it counts as alive. */
function isAlive(holder: Holder, self: Holder): boolean {
  if (holder.host !== self.host) return true;
  if (holder.boot !== self.boot) return false;
  if (holder.pidNamespace !== self.pidNamespace) return true;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if (hasCode(error, 'ESRCH')) return false;
  }
  return holder.startTicks === startTicksOf(holder.pid);
}

function lockedBy(holder: Holder, home: string): AppError {
  const here = hostname() === holder.host && pidNamespace() === holder.pidNamespace;
  const where = here ? '' : ` on ${holder.host}, in another container or on another machine`;
  return new AppError(
    'home_locked',
    `process ${holder.pid}${where} holds the data folder ${home} since ${holder.since}`,
    {
      details: { home, pid: holder.pid, host: holder.host, since: holder.since },
      remedy: here
        ? `Use that process, stop it (kill ${holder.pid}), or name another folder with --home.`
        : `Stop that process. If it is gone for certain, delete ${join(home, 'lock')}.`,
    },
  );
}

/** Field 22 of /proc/PID/stat. The name in field 2 may hold spaces and parentheses. */
function startTicksOf(pid: number): string | null {
  const stat = readOrNull(`/proc/${pid}/stat`);
  if (stat === null) return null;
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
}

function pidNamespace(): string | null {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return null;
  }
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
