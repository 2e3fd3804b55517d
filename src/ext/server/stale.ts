/** Which processes of a server still run the code of an older release, as the kernel has it mapped. */
import { basename } from 'node:path';
import type { Known, StaleBackend } from '../deployment-types.ts';
import type { Host } from '../host/host.ts';
import type { TargetClient } from './connect.ts';
import { selectBackends, type BackendRow } from './queries.ts';

/**
 * `$1` is a backend of the server, `$2` and on are paths. Prints, each as a block that NUL begins: the
 * title of the backend, the real paths, then the maps of the postmaster and its children.
 * `read` stays within the shell: a server may have thousands of processes, and grep may not be there.
 */
const lookScript = String.raw`
backend=$1; shift
parent() { while read -r key value rest; do
  if [ "$key" = PPid: ]; then found=$value; return; fi; done 2>/dev/null <"$1"; found=; }
[ -r "/proc/$backend/status" ] || { echo "process $backend is not to be seen in /proc" >&2; exit 3; }
parent "/proc/$backend/status"; postmaster=$found
printf '\0title '; tr '\0' ' ' <"/proc/$backend/cmdline"
printf '\0postmaster %s' "$postmaster"
for path do printf '\0path %s' "$(readlink -f -- "$path")"; done
for status in /proc/[0-9]*/status; do
  pid=${'${status#/proc/}'}; pid=${'${pid%/status}'}
  if [ "$pid" != "$postmaster" ]; then
    parent "$status"
    [ "$found" = "$postmaster" ] || continue
  fi
  printf '\0maps %s\n' "$pid"
  cat "/proc/$pid/maps" 2>/dev/null || { [ -d "/proc/$pid" ] && printf '\0denied %s' "$pid"; }
done
exit 0`;

/**
 * From the paths that the server opens; what they lead to now is looked up on the target.
 * The name of a library's file decides which mappings are meant, and the path whether it is today's:
 * releases never change in place. Inode numbers are not compared, since on overlay file systems the
 * kernel's maps and `stat` name different ones. Unavailable where the processes or their maps can't be seen.
 */
export async function findStale(
  host: Host,
  client: TargetClient,
  user: string,
  libraries: Iterable<string>,
): Promise<Known<readonly StaleBackend[]>> {
  const names = [...libraries];
  if (names.length === 0) return { value: [] };
  const backends = await client.query(selectBackends());

  const { exit, stdout, stderr } = await host.run(lookScript, {
    args: [String(client.pid), ...names],
  });
  if (exit !== 0) {
    const why = stderr.trim().split('\n').at(-1) ?? '';
    return { unavailable: `${why}: the server may run on another machine, or in a container` };
  }
  const blocks = stdout.toString('utf8').split('\0').slice(1);
  const seen = (word: string): string[] =>
    blocks.filter((block) => block.startsWith(`${word} `)).map((b) => b.slice(word.length + 1));
  const [title = ''] = seen('title');
  // A process of the same number may be anybody's where the server has numbers of its own.
  if (!title.includes('postgres: ') || !title.includes(` ${user} ${client.database} `)) {
    return { unavailable: `process ${client.pid} is not our backend: the server runs elsewhere` };
  }
  const maps = seen('maps').map(readMaps);
  const denied = seen('denied').length;
  if (denied > 0) {
    return {
      unavailable: `the maps of ${denied} of ${maps.length} processes can not be read: only root and the server's own user may`,
    };
  }
  const [postmaster] = seen('postmaster').map(Number);
  const current = new Map(seen('path').map((path, index) => [basename(names[index] ?? ''), path]));
  return {
    value: maps.flatMap(({ pid, files }) => {
      if (pid === client.pid) return [];
      const old = files.filter((file) => isOld(file, current));
      if (old.length === 0) return [];
      return [described(pid, old, pid === postmaster, backends)];
    }),
  };
}

function readMaps(block: string): { pid: number; files: string[] } {
  const [pid, ...lines] = block.split('\n');
  // Address, permissions, offset, device, inode, and then the path to the end of the line.
  const paths = lines.flatMap((line) => /^(?:\S+ +){5}(\/.*)$/.exec(line)?.[1] ?? []);
  return { pid: Number(pid), files: [...new Set(paths)] };
}

const gone = ' (deleted)';

function isOld(file: string, current: ReadonlyMap<string, string>): boolean {
  const isGone = file.endsWith(gone);
  const today = current.get(basename(isGone ? file.slice(0, -gone.length) : file));
  return today !== undefined && (isGone || file !== today);
}

function described(
  pid: number,
  libraries: readonly string[],
  isPostmaster: boolean,
  backends: readonly BackendRow[],
): StaleBackend {
  const row = backends.find((backend) => backend.pid === pid);
  const told = Object.entries({ user: row?.user, database: row?.database, since: row?.since });
  return {
    pid,
    kind: isPostmaster ? 'postmaster' : (row?.kind ?? 'unknown'),
    libraries,
    ...Object.fromEntries(told.filter(([, text]) => text !== undefined && text !== null)),
  };
}
