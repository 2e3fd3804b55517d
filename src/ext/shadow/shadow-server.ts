/**
 * A throwaway server on the target that nobody else can reach: a mirrored install, data of its own,
 * a unix socket in a folder of mode 0700. Everything is in one folder, named after who owns it:
 *
 *     TEMP/centuria-rehearsal-BOOT-PID-XXXXXX/   usr/… (the mirror), run/data, run/.s.PGSQL.5432, log
 *
 * PID is the process that runs the scripts on the target: ourselves, or our connection's end in
 * sshd. When that is gone, a watch on the target stops the server and removes the folder; should the
 * watch be gone too (a reset), the next rehearsal does.
 */
import { AppError, type Log } from '../../base/base.ts';
import type { Forward, Host } from '../host/host.ts';
import type { ServerPaths } from '../types.ts';
import { mirrorInstall } from './mirror.ts';

export interface ShadowOptions {
  readonly paths: ServerPaths;
  /** On the target; `/tmp` unless given. Its path must be short: a socket's may have 107 bytes. */
  readonly tempFolder?: string;
  /**
   * Where data as initdb makes them are kept on the target, another folder for each build of a
   * server; copied instead of initdb, which takes more than half of a rehearsal.
   */
  readonly templateFolder?: string;
  readonly signal?: AbortSignal;
  readonly log: Log;
}

export interface ShadowServer {
  /** On the target. */
  readonly folder: string;
  readonly paths: ServerPaths;
  /** Where `pg` connects to, as `postgres`, without a password; from the first start on. */
  readonly forward: Forward;
  /** Throws `ext_failed` with the server's last words. */
  start(preload: readonly string[]): Promise<void>;
  stop(): Promise<void>;
  /** What the server said last, after it was given two seconds to end by itself. */
  lastWords(): Promise<string>;
  /** Stops the server and removes the folder, also when the signal has aborted. */
  close(): Promise<void>;
}

const port = 5432;
/** What the socket's own name and the folder `run` take of the 107 bytes. */
const longestFolder = 107 - '/run/.s.PGSQL.5432.lock'.length;

/** sh functions that all scripts share: `end FOLDER` stops its server, `as_owner` drops root's rights. */
const common = `
set -eu
export LC_ALL=C
umask 022
pause() { sleep 0.02 2>/dev/null || sleep 1; }
server_of() {
  pid=
  { read -r pid; } 2>/dev/null < "$1/run/data/postmaster.pid" || return 1
  case $pid in '' | *[!0-9]*) return 1 ;; esac
  # The file is written by the server's user, who must not choose what root ends.
  case $(tr '\\0' ' ' 2>/dev/null < "/proc/$pid/cmdline") in *"$1/run/data"*) ;; *) return 1 ;; esac
}
end() {
  server_of "$1" || return 0
  kill -QUIT "$pid" 2>/dev/null || return 0
  tries=0
  # A zombie that its parent has not asked after answers to kill -0, but runs nothing any more.
  while [ -e "/proc/$pid/exe" ]; do
    tries=$((tries + 1))
    if [ "$tries" -eq 400 ]; then kill -KILL "$pid" 2>/dev/null || true; fi
    pause
  done
}
owner() {
  if [ "$(id -u)" != 0 ]; then id -un; return; fi
  for user in postgres nobody; do
    if id -u "$user" >/dev/null 2>&1; then echo "$user"; return; fi
  done
  echo 'PostgreSQL can not run as root, and there is no user postgres or nobody' >&2
  exit 1
}
as_owner() {
  [ "$(id -u)" = 0 ] || exec "$@"
  user=$(owner) group=$(id -g "$(owner)")
  if setpriv --reuid "$user" --regid "$group" --clear-groups true 2>/dev/null; then
    exec setpriv --reuid "$user" --regid "$group" --clear-groups "$@"
  elif command -v runuser >/dev/null 2>&1; then exec runuser -u "$user" -- "$@"
  else exec su -s /bin/sh -c 'exec "$@"' -- "$user" sh "$@"; fi
}
`;

/** `$1` the temporary folder. Removes what rehearsals left whose owner is gone; prints the new folder. */
const openScript = `${common}
read -r boot < /proc/sys/kernel/random/boot_id
boot=\${boot%%-*}
for left in "$1"/centuria-rehearsal-*; do
  if [ ! -d "$left" ] || [ -L "$left" ]; then continue; fi
  if [ "$(stat -c %u "$left")" != "$(id -u)" ]; then continue; fi
  rest=\${left##*/centuria-rehearsal-}
  theirs=\${rest%%-*} rest=\${rest#*-}
  if [ "$theirs" = "$boot" ] && [ -d "/proc/\${rest%%-*}" ]; then continue; fi
  end "$left"
  rm -rf "$left"
done
folder=$(mktemp -d "$1/centuria-rehearsal-$boot-$PPID-XXXXXX")
chmod 711 "$folder"
mkdir -m 700 "$folder/run"
if [ "$(id -u)" = 0 ]; then chown "$(owner)" "$folder/run"; fi
watch() {
  while [ -d "/proc/$PPID" ] && [ -d "$folder/run" ]; do sleep 1; done
  end "$folder"
  rm -rf "$folder"
}
# By exec: redirecting a function keeps copies of what it had, and our caller waits for their end.
(exec </dev/null >/dev/null 2>&1; watch) &
echo $! > "$folder/watch"
printf %s "$folder"
`;

/** `$1` the folder, `$2` the folder of the programs, `$3` the folder of the template or nothing. */
const dataScript = `${common}
cd "$1"
data=$1/run/data template=$3
if [ -n "$template" ] && [ -e "$template/PG_VERSION" ] && cp -a "$template" "$data"; then
  if [ "$(id -u)" = 0 ]; then chown -R "$(owner)" "$data"; fi
  exit 0
fi
rm -rf "$data"
(as_owner "$2/initdb" -D "$data" -U postgres -A trust -E UTF8 --locale=C --no-sync --wal-segsize=1 >/dev/null)
if [ -n "$template" ]; then
  { mkdir -p "\${template%/*}" && cp -a "$data" "$template.$$" && mv -T "$template.$$" "$template"; } ||
    rm -rf "$template.$$"
fi
`;

/** `$1` the folder, `$2` the program, then its settings. Ends when connections are taken. */
const startScript = `${common}
folder=$1 program=$2
shift 2
cd "$folder/run"
: > "$folder/log"
as_owner "$program" -D "$folder/run/data" "$@" >> "$folder/log" 2>&1 </dev/null &
child=$!
while :; do
  case $(tail -n 1 "$folder/run/data/postmaster.pid" 2>/dev/null) in ready*) break ;; esac
  if ! kill -0 "$child" 2>/dev/null; then tail -n 20 "$folder/log" >&2; exit 1; fi
  pause
done
# Whoever gave up on us meanwhile has removed the folder, and must find no server.
if [ ! -d "$folder/run" ]; then kill -KILL "$child"; exit 1; fi
`;

const stopScript = `${common}
end "$1"
`;

const lastWordsScript = `${common}
tries=0
server_of "$1" || true
while [ -n "$pid" ] && [ -e "/proc/$pid/exe" ] && [ "$tries" -lt 100 ]; do tries=$((tries + 1)); pause; done
tail -n 20 "$1/log"
`;

const closeScript = `${common}
watch=
{ read -r watch; } 2>/dev/null < "$1/watch" || true
end "$1"
rm -rf "$1"
if [ -n "$watch" ]; then kill "$watch" 2>/dev/null || true; fi
`;

/** Nothing of a server that is thrown away must outlive a power cut, and it shall take little. */
const settings = {
  port,
  listen_addresses: '',
  unix_socket_permissions: '0700',
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  wal_level: 'minimal',
  max_wal_senders: 0,
  shared_buffers: '16MB',
  max_connections: 20,
  autovacuum: 'off',
  // A crash shall end it, so that it is seen as one.
  restart_after_crash: 'off',
};

/** Makes the install and the data; the server is started by the caller. Throws `ext_failed`. */
export async function openShadow(host: Host, options: ShadowOptions): Promise<ShadowServer> {
  const { tempFolder = '/tmp', templateFolder = '', signal, log } = options;
  const during = signal === undefined ? {} : { signal };
  const folder = (await host.check(openScript, { args: [tempFolder], ...during })).toString();
  const remove = async (): Promise<void> =>
    void (await host.check(closeScript, { args: [folder] }));
  try {
    assertShort(folder);
    const paths = await mirrorInstall(host, options.paths, folder, signal);
    await host.check(dataScript, { args: [folder, paths.binFolder, templateFolder], ...during });
    // Over SSH a socket is forwarded when it is there: from the first start on.
    let forward: Forward | undefined;
    return {
      folder,
      paths,
      get forward() {
        if (forward === undefined)
          throw new AppError('internal', 'the rehearsal has no server yet');
        return forward;
      },
      async start(preload) {
        const args = [folder, `${paths.binFolder}/postgres`];
        const all = {
          ...settings,
          unix_socket_directories: `${folder}/run`,
          shared_preload_libraries: preload.join(','),
        };
        for (const [name, value] of Object.entries(all)) args.push('-c', `${name}=${value}`);
        await host.check(startScript, { args, ...during });
        forward ??= await host.forward({ host: `${folder}/run`, port });
      },
      stop: async () => void (await host.check(stopScript, { args: [folder], ...during })),
      lastWords: async () =>
        (await host.check(lastWordsScript, { args: [folder], ...during })).toString().trim(),
      async close() {
        await forward?.close();
        await remove();
      },
    };
  } catch (error) {
    await remove().catch((cause: unknown) =>
      log.warn({ host: host.name, folder, err: String(cause) }, 'a rehearsal left its folder'),
    );
    throw error;
  }
}

function assertShort(folder: string): void {
  if (Buffer.byteLength(folder) <= longestFolder) return;
  throw new AppError('ext_failed', `${folder} is too long a path for a unix socket below it`, {
    details: { folder, longestBytes: longestFolder },
    remedy: 'Give a temporary folder with a shorter path, such as /tmp.',
  });
}
