/** kill -9 of a process with all that it has started, as when the machine's power goes. */
import { readdirSync, readFileSync } from 'node:fs';

/**
 * Stops them first, so that none starts another one while the others are looked for: a script whose
 * starter died has nobody's name on it any more.
 */
export function killTree(pid: number): void {
  const found = new Set<number>();
  let fresh = [pid];
  while (fresh.length > 0) {
    for (const each of fresh) {
      found.add(each);
      signal(each, 'SIGSTOP');
    }
    fresh = childrenOf(found);
  }
  for (const each of found) signal(each, 'SIGKILL');
}

function childrenOf(parents: ReadonlySet<number>): number[] {
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name);
    if (!Number.isInteger(pid) || parents.has(pid)) return [];
    const parent = parentOf(pid);
    return parent !== undefined && parents.has(parent) ? [pid] : [];
  });
}

function parentOf(pid: number): number | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended by itself.
  }
}
