import { readFile, readdir, readlink } from 'node:fs/promises';

/** The process that listens on a TCP port of this machine. */
export interface PortHolder {
  readonly pid: number;
  readonly command: string;
}

const listening = '0A';

/**
 * Who listens on `port`, as far as /proc shows it: only processes of the same user, only on Linux.
 * Undefined otherwise; never throws.
 */
export async function portHolder(port: number): Promise<PortHolder | undefined> {
  const inodes = await listeningInodes(port);
  if (inodes.size === 0) return undefined;
  const entries = await readdir('/proc').catch(() => []);
  for (const pid of entries.filter((entry) => /^\d+$/.test(entry))) {
    const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
    for (const descriptor of descriptors) {
      const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '');
      const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
      if (inode === undefined || !inodes.has(inode)) continue;
      return { pid: Number(pid), command: await commandOf(pid) };
    }
  }
  return undefined;
}

/** Socket inodes in state LISTEN on the port, from the tables that proc(5) describes under /proc/net/tcp. */
async function listeningInodes(port: number): Promise<ReadonlySet<string>> {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  const inodes = new Set<string>();
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const text = await readFile(table, 'utf8').catch(() => '');
    for (const line of text.split('\n').slice(1)) {
      const columns = line.trim().split(/\s+/);
      const inode = columns[9];
      if (inode === undefined || columns[3] !== listening) continue;
      if (columns[1]?.endsWith(`:${wanted}`) === true) inodes.add(inode);
    }
  }
  return inodes;
}

/** The program's name only: its arguments may hold secrets. */
async function commandOf(pid: string): Promise<string> {
  return (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'unknown')).trim();
}
