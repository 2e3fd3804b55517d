/** Failures that every system knows, by what their messages say, and where to look first. */
import type { Severity } from '../base/base.ts';
import { copied } from './drain.ts';

export interface FailureKind {
  readonly name: string;
  readonly severity: Severity;
  readonly look: string;
}

interface KnownKind extends FailureKind {
  readonly pattern: RegExp;
  /** Said by programs without a level (a kernel, a shell), so that an `info` line counts too. */
  readonly atAnyLevel: boolean;
}

/** The order decides: a full disk also says that a write failed. */
const kinds: readonly KnownKind[] = [
  kind(
    'disk-full',
    'critical',
    true,
    'df -h and df -i; what grew; WAL, logs, temporary files.',
    /no space left on device|\benospc\b|could not extend file|disk quota exceeded/i,
  ),
  kind(
    'out-of-memory',
    'critical',
    true,
    'dmesg, limits of the container, what grew before; a restart only postpones it.',
    /out of memory|\boom[-_ ]?kill|invoked oom-killer|outofmemoryerror|heap out of memory|cannot allocate memory|\benomem\b/i,
  ),
  kind(
    'corruption',
    'critical',
    true,
    'Stop writing, copy the files, look at the disk before anything is repaired.',
    /checksum (?:mismatch|verification failed|failure)|invalid page in block|could not read block|data corruption|corrupted? (?:page|index|database|file)|index .{1,60} is corrupted|bad magic number/i,
  ),
  kind(
    'crash',
    'critical',
    true,
    'The core or the stack; which request came last; whether others crashed at the same time.',
    /segfault|sigsegv|core dumped|kernel panic|terminated by signal (?:4|6|7|8|11)\b|^panic:|thread '[^']*' panicked|fatal error: (?:unexpected signal|concurrent map)/i,
  ),
  kind(
    'restart-after-crash',
    'high',
    true,
    'What it says before; how long recovery took; what was lost since the last commit.',
    /was not properly shut down|automatic recovery in progress|was interrupted; last known up|unclean shutdown|terminating any other active server processes/i,
  ),
  kind(
    'connections-exhausted',
    'high',
    false,
    'Who holds them (pg_stat_activity, ss -tnp), idle in transaction, pool sizes times processes.',
    /too many (?:clients|connections|open files)|remaining connection slots|connection pool .{0,40}(?:exhaust|timed? ?out)|pool (?:is )?exhausted|\bemfile\b|\benfile\b|unable to acquire .{0,20}connection|timeout acquiring|couldn't get a connection/i,
  ),
  kind(
    'deadlock',
    'high',
    false,
    'The two statements in DETAIL; the order in which they lock.',
    /deadlock (?:detected|found)|lock wait timeout exceeded/i,
  ),
  kind(
    'connection-refused',
    'high',
    false,
    'Whether the other side runs and listens there; what changed in addresses and firewalls.',
    /econnrefused|connection refused|no live upstreams|connect\(\) failed/i,
  ),
  kind(
    'name-resolution',
    'high',
    false,
    'The resolver, its search list, and whether the name was ever there.',
    /enotfound|eai_again|name resolution|could not resolve (?:host|hostname|name)|no such host|unknown host|host not found in upstream/i,
  ),
  kind(
    'certificate',
    'high',
    false,
    'Dates and names of the certificate, the clock, the chain.',
    /certificate .{0,30}(?:expired|not yet valid|verify failed|unknown)|x509:|\bcert_[a-z_]+|tls handshake (?:error|failed)|ssl_error|unable to (?:verify|get local issuer)/i,
  ),
  kind(
    'schema-mismatch',
    'high',
    false,
    'Whether code and migrations of the same release run; which side was deployed first.',
    /(?:relation|column|table|function) .{1,100} does not exist|no such (?:table|column)|unknown column|undefined (?:column|table)/i,
  ),
  kind(
    'read-only',
    'high',
    false,
    'A failover, a replica behind the writer’s address, a file system that was remounted.',
    /read-only (?:transaction|file ?system|mode|replica)|cannot execute \w+ in a read-only/i,
  ),
  kind(
    'timeout',
    'medium',
    false,
    'What it waited for, not who waited: the slowest part below; queues; locks.',
    /etimedout|timed? ?out|deadline exceeded|(?:statement|lock) timeout|context deadline/i,
  ),
  kind(
    'connection-lost',
    'medium',
    false,
    'The other side’s log at that time: a restart, an idle limit, a kill.',
    /econnreset|connection (?:was )?(?:reset|closed|terminated|aborted)|broken pipe|\bepipe\b|prematurely closed|socket hang up|unexpected eof|terminating connection/i,
  ),
  kind(
    'authentication',
    'medium',
    false,
    'One source or many; one account or many; a rotated secret or an attack.',
    /authentication fail|password authentication|failed password|invalid (?:user|credentials?|token|password)|access denied|unauthori[sz]ed|permission denied|jwt (?:expired|malformed)/i,
  ),
  kind(
    'throttled',
    'medium',
    false,
    'Who calls so often, and whether it waits before it tries again.',
    /rate.?limit|too many requests|throttl|quota exceeded|overloaded/i,
  ),
  kind(
    'constraint',
    'medium',
    false,
    'Which caller sends it twice or too early; since which release.',
    /violates .{1,40}constraint|duplicate (?:key|entry)|unique constraint failed/i,
  ),
  kind(
    'missing-file',
    'medium',
    false,
    'What was to put it there, and whether the path is of this release.',
    /\benoent\b|no such file or directory|module not found|cannot find module|filenotfound/i,
  ),
  kind(
    'health-check',
    'medium',
    false,
    'The probe’s own limit, then what it asks.',
    /(?:health|liveness|readiness)[ -]?(?:check|probe) fail|unhealthy/i,
  ),
];

function kind(
  name: string,
  severity: Severity,
  atAnyLevel: boolean,
  look: string,
  pattern: RegExp,
): KnownKind {
  return { name, severity, atAnyLevel, look, pattern };
}

/** The kind of failure that a message tells of. `isBad` says that its level is a warning or worse. */
export function failureKind(message: string, isBad: boolean): FailureKind | undefined {
  return kinds.find((item) => (isBad || item.atAnyLevel) && item.pattern.test(message));
}

const className = /\b((?:[A-Za-z_][\w$]*\.)*[A-Z]\w*(?:Exception|Error|Fault|Panic))\b/;

/** The class of an exception, without its package. */
export function exceptionOf(message: string): string | undefined {
  return className.exec(message)?.[1]?.replace(/^.*\./, '');
}

const lifecycle =
  /database system (?:is ready|was shut down|is shut down)|server (?:is )?(?:started|listening|starting|shutting down)|listening on (?:port|https?:|address|\S+:\d)|application (?:startup|started|shutdown)|shutting down|received (?:sigterm|sigint|fast shutdown|smart shutdown)|\bbooting\b|(?:started|stopped|starting|stopping) .{2,60}\.(?:service|socket)|systemd: (?:started|stopped) /i;

/** A start or an end of a program. */
export function isLifecycle(message: string): boolean {
  return lifecycle.test(message);
}

const secrets =
  /((?:password|passwd|pwd|secret|token|authorization|api[-_]?key|cookie|credential|private[-_]?key)\w*["']?\s*[=:]\s*)(?:"[^"]*"|'[^']*'|(?:bearer |basic )?[^\s,;&"']+)|(\bbearer )[\w.~+/-]+=*|(:\/\/[^/\s:@]+:)[^@\s/]+(?=@)/gi;

/** A line without what looks like a secret: a report goes further than a log. */
export function withoutSecrets(text: string): string {
  return text.replace(
    secrets,
    (_all, named: string | undefined, bearer: string | undefined, address: string | undefined) =>
      `${named ?? bearer ?? address ?? ''}***`,
  );
}

/** The start of a text without secrets, with memory of its own: a piece of a line keeps its whole block. */
export function excerpt(text: string, length: number): string {
  return copied(withoutSecrets(text.slice(0, length * 2)).slice(0, length));
}
