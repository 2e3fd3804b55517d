import { json, sql, type Sql } from '../database/database.ts';
import type { ErrorRecord } from '../base/base.ts';
import { knownFormat } from './definition.ts';
import type { Answer, EventBody } from './events.ts';
import type { RunStatus, TaskStatus, UndoStatus } from './types.ts';

/** Channel on which a new or released run is announced; the payload is empty. */
export const runsChannel = 'centuria_runs';
/** Channel on which a request to a run is announced; the payload is the run's id. */
export const signalsChannel = 'centuria_signals';

export interface RunRow {
  readonly run_id: string;
  readonly workflow: string;
  readonly definition_hash: string;
  readonly status: RunStatus;
  readonly priority: number;
  readonly owner: string | null;
  readonly epoch: bigint;
  readonly task_counts: Partial<Record<TaskStatus, number>> | null;
  readonly error: ErrorRecord | null;
  readonly created_at: Date;
  readonly started_at: Date | null;
  readonly finished_at: Date | null;
  readonly format: number;
  readonly wake_at: Date | null;
  readonly fingerprint: string | null;
  readonly undo: UndoStatus | null;
  readonly started_by: string | null;
  readonly forked_from: string | null;
  readonly parent_run_id: string | null;
  readonly parent_task: string | null;
}

/** A run as it was just taken. */
export interface ClaimedRow extends RunRow {
  /** By the database's clock, which all times of a run go by. */
  readonly claimed_at: Date;
}

/** A taken run with its events and what was asked of it. */
export interface ClaimedWhole extends ClaimedRow {
  /** By turn: the first event's number, milliseconds since 1970, the epoch, the events. */
  readonly turns: readonly (readonly [number, number, number, TurnRow['body']])[] | null;
  readonly signals: readonly (readonly [string, SignalKind, SignalBody])[] | null;
}

/** The events of one turn. */
export interface TurnRow {
  readonly run_id: string;
  /** The first event's number. */
  readonly seq: number;
  readonly at: Date;
  readonly epoch: bigint;
  /** An object in rows of the first format: one event. */
  readonly body: readonly EventBody[] | EventBody;
}

/** Until when a run is parked that only somebody can wake. */
export const never = '9999-12-31T00:00:00.000Z';

/** Most events of one row; a turn with more takes several. */
export const maxEventsInRow = 256;

export interface SignalRow {
  readonly run_id: string;
  readonly signal_id: string;
  readonly kind: SignalKind;
  readonly body: SignalBody;
}

export type SignalKind = 'cancel' | 'retry' | 'pause' | 'resume' | 'answer' | 'signal' | 'undo';

export interface SignalBody {
  readonly by?: string;
  readonly reason?: string;
  /** Of a retry: the task to begin from. */
  readonly from?: string;
  readonly question?: string;
  readonly answer?: Answer;
  /** Of a signal. */
  readonly name?: string;
  readonly data?: unknown;
  /** Of an undo. */
  readonly force?: boolean;
}

/**
 * Columns of one append: element i of each belongs to run i, then to row i, then to signal i. The
 * long ones are joined, by commas and JSON by line ends, which JSON texts do not hold: as arrays,
 * every quote in every event was escaped first, a tenth of the worker's time.
 */
export interface AppendColumns {
  readonly worker: string;
  readonly runIds: string;
  readonly epochs: string;
  /** A RowChange as JSON, or nothing. */
  readonly changes: string;
  readonly rowRunIds: string;
  readonly rowEpochs: string;
  readonly seqs: string;
  readonly eventCounts: string;
  readonly bodies: string;
  readonly signalRunIds: readonly string[];
  readonly signalIds: readonly string[];
  /** Of the attempts that ended, as JSON; null: of none. */
  readonly outcomes: string | null;
}

/** What became of one run's events. */
export interface AppendedRow {
  readonly run_id: string;
  readonly epoch: bigint;
  readonly appended: number;
  /** When the run's row was changed; null when it was not. */
  readonly at: Date | null;
  /** Hashes of texts that the outcomes of the whole statement lack, the same in each row. */
  readonly missing: readonly string[] | null;
}

/**
 * Appends events of many runs, checks in the same statement that the worker still holds each of
 * them, projects their status, deletes the requests that the events answer, and writes what came of
 * the attempts that they end. A run that does not
 * come back with its epoch was lost, and nothing of that lease was written: a batch may hold one run under
 * two epochs, when its worker lost it and took it again. Rows are locked in id order,
 * so two such statements never deadlock. The lateral look-up keeps each lock an index scan: as a plain
 * join it became a scan of all runs, 12 ms a statement instead of 2.
 */
export const appendEvents = (columns: AppendColumns): Sql<AppendedRow> =>
  sql`
    with head as (
      select * from unnest(
        string_to_array(${columns.runIds}::text, ',')::uuid[],
        string_to_array(${columns.epochs}::text, ',')::bigint[],
        string_to_array(${columns.changes}::text, e'\\n', '')
      ) as h (run_id, epoch, change)
    ), held as materialized (
      select own.run_id, own.epoch from (select run_id, epoch from head order by run_id, epoch) h
      cross join lateral (
        select r.run_id, r.epoch from runs r
        where r.run_id = h.run_id and r.owner = ${columns.worker}::uuid and r.epoch = h.epoch
        for no key update of r
      ) own
    ), appended as (
      insert into run_events (run_id, seq, epoch, events, body)
      select e.run_id, e.seq, e.epoch, e.events, e.body::json
      from unnest(
        string_to_array(${columns.rowRunIds}::text, ',')::uuid[],
        string_to_array(${columns.rowEpochs}::text, ',')::bigint[],
        string_to_array(${columns.seqs}::text, ',')::integer[],
        string_to_array(${columns.eventCounts}::text, ',')::smallint[],
        string_to_array(${columns.bodies}::text, e'\\n')
      ) as e (run_id, epoch, seq, events, body)
      join held using (run_id, epoch)
      on conflict (run_id, seq) do nothing
      returning run_id, events
    ), projected as (
      update runs r set
        status = coalesce(c.status, r.status),
        task_counts = coalesce(c.counts, r.task_counts),
        error = case when c.status is null then r.error else c.error end,
        fingerprint = case when c.status is null then r.fingerprint else c.fingerprint end,
        undo = coalesce(c.undo, r.undo),
        owner = case when c.release then null else r.owner end,
        wake_at = case when c.release then c."wakeAt" else r.wake_at end,
        finished_at = case when c.finished then coalesce(c."finishedAt", now()) else r.finished_at end
      from head h
      join held using (run_id, epoch)
      cross join lateral json_to_record(h.change::json) as c (
        status text, counts json, error json, fingerprint text, undo text, release boolean,
        "wakeAt" timestamptz, finished boolean, "finishedAt" timestamptz
      )
      where r.run_id = h.run_id and h.change is not null
    ), consumed as (
      delete from run_signals s
      using unnest(${columns.signalRunIds}::uuid[], ${columns.signalIds}::uuid[]) as c (run_id, signal_id)
      join held using (run_id)
      where s.run_id = c.run_id and s.signal_id = c.signal_id
    ), learned as materialized (
      select case when o.rows is not null then
        record_outcomes(o.rows, (select array_agg(run_id || ' ' || epoch) from held))
      end as missing
      from (select ${columns.outcomes}::json as rows) o
    )
    select held.run_id, held.epoch, coalesce(sum(appended.events), 0)::integer as appended,
      case when bool_or(h.change is not null) then now() end as at,
      (select missing from learned) as missing
    from held join head h using (run_id, epoch) left join appended using (run_id)
    group by held.run_id, held.epoch`;

/** Columns of a batch of new runs: element i of each belongs to run i. */
export interface CreateColumns {
  readonly runIds: readonly string[];
  readonly workflows: readonly string[];
  readonly definitionHashes: readonly string[];
  readonly priorities: readonly number[];
  readonly keys: readonly (string | null)[];
  readonly requestHashes: readonly string[];
  readonly bodies: readonly string[];
  readonly formats: readonly number[];
  readonly startedBy: readonly (string | null)[];
  readonly forkedFrom: readonly (string | null)[];
  readonly parentRunIds: readonly (string | null)[];
  readonly parentTasks: readonly (string | null)[];
}

/** Creates runs with their first event and wakes the workers. A run whose key exists does not come back. */
export const createRuns = (columns: CreateColumns): Sql<{ run_id: string; created_at: Date }> =>
  sql`
    with wanted as (
      select * from unnest(
        ${columns.runIds}::uuid[], ${columns.workflows}::text[], ${columns.definitionHashes}::text[],
        ${columns.priorities}::smallint[], ${columns.keys}::text[], ${columns.requestHashes}::text[],
        ${columns.bodies}::text[], ${columns.formats}::smallint[], ${columns.startedBy}::text[],
        ${columns.forkedFrom}::uuid[], ${columns.parentRunIds}::uuid[], ${columns.parentTasks}::text[]
      ) as w (run_id, workflow, definition_hash, priority, key, request_hash, body, format, started_by,
        forked_from, parent_run_id, parent_task)
    ), keyed as (
      insert into run_keys (idempotency_key, run_id, request_hash)
      select key, run_id, request_hash from wanted where key is not null order by key
      on conflict (idempotency_key) do nothing
      returning run_id
    ), created as (
      insert into runs (run_id, workflow, definition_hash, status, priority, format, started_by,
        forked_from, parent_run_id, parent_task)
      select run_id, workflow, definition_hash, 'queued', priority, format, started_by, forked_from,
        parent_run_id, parent_task
      from wanted
      where key is null or run_id in (select run_id from keyed)
      returning run_id, created_at
    ), first_events as (
      insert into run_events (run_id, seq, epoch, body)
      select run_id, 1, 0, body::json from wanted join created using (run_id)
    ), woken as (
      select pg_notify(${runsChannel}, '')
    )
    select created.run_id, created.created_at from created, woken`;

export const runOfKey = (key: string): Sql<{ run_id: string; request_hash: string }> =>
  sql`select run_id, request_hash from run_keys where idempotency_key = ${key}`;

export const storeDefinition = (hash: string, name: string, definition: unknown): Sql =>
  sql`insert into workflow_definitions as d (hash, name, definition, used_at)
    values (${hash}, ${name}, ${json(definition)}::json, now())
    on conflict (hash) do update set used_at = now()
    where d.used_at is null or d.used_at < now() - interval '10 minutes'`;

export const definitionOfHash = (hash: string): Sql<{ definition: unknown }> =>
  sql`select definition from workflow_definitions where hash = ${hash}`;

/**
 * Takes runs that nobody holds, highest priority first, then oldest, and with `due` parked ones whose
 * time has come; those of a later format are left to others. Their events and requests come with them: who
 * gave a run back did so with its last events, so both are seen here or neither.
 */
export const claimFree = (worker: string, most: number, due: boolean): Sql<ClaimedWhole> =>
  sql`with free as (
      select run_id from runs
      where owner is null and finished_at is null and wake_at is null
        and format <= ${knownFormat}::smallint
      order by priority desc, run_id
      limit ${most}::integer
      for update skip locked
    ), parked as (
      select run_id from runs
      where ${due}::boolean and owner is null and finished_at is null and wake_at <= now()
        and format <= ${knownFormat}::smallint
      order by wake_at
      limit ${most}::integer
      for update skip locked
    ), taken as (
      update runs r set
        owner = ${worker}::uuid, epoch = r.epoch + 1, status = 'running', wake_at = null,
        started_at = coalesce(r.started_at, now())
      from (select run_id from free union all select run_id from parked) c
      where r.run_id = c.run_id
      returning r.*
    )
    select t.*, now() as claimed_at,
      (
        select json_agg(json_build_array(e.seq, extract(epoch from e.at) * 1000, e.epoch, e.body) order by e.seq)
        from run_events e where e.run_id = t.run_id
      ) as turns,
      (
        select json_agg(json_build_array(s.signal_id, s.kind, s.body) order by s.signal_id)
        from run_signals s where s.run_id = t.run_id
      ) as signals
    from taken t`;

/** In how many milliseconds the next parked run is due; no row when none is by time. */
export const nextDue = (): Sql<{ due_ms: number }> =>
  sql`select extract(epoch from (wake_at - now())) * 1000::float8 as due_ms from runs
    where owner is null and finished_at is null and wake_at < ${never}::timestamptz
    order by wake_at limit 1`;

/** Takes runs over from workers whose lease has ended. */
export const claimOrphaned = (worker: string, most: number): Sql<ClaimedRow> =>
  sql`update runs r set
      owner = ${worker}::uuid, epoch = r.epoch + 1, status = 'recovering',
      started_at = coalesce(r.started_at, now())
    from (
      select o.run_id from runs o
      where o.finished_at is null and o.format <= ${knownFormat}::smallint
        -- Its own runs it drives itself, however late it renews its lease.
        and o.owner <> ${worker}::uuid
        and o.owner in (select worker_id from workers where lease_until < now())
      order by o.priority desc, o.run_id
      limit ${most}::integer
      for update skip locked
    ) c
    where r.run_id = c.run_id
    returning r.*, now() as claimed_at`;

export const eventsOfRuns = (runIds: readonly string[]): Sql<TurnRow> =>
  sql`select run_id, seq, at, epoch, body from run_events
    where run_id = any(${runIds}::uuid[]) order by run_id, seq`;

/** Rows with events after that number; the first may hold earlier ones as well. */
export const eventsAfter = (runId: string, after: number, limit: number): Sql<TurnRow> =>
  sql`select run_id, seq, at, epoch, body from run_events
    where run_id = ${runId}::uuid and seq > ${after}::integer - ${maxEventsInRow}::integer
      and seq + events - 1 > ${after}::integer
    order by seq limit ${limit}::integer`;

export const runOfId = (runId: string): Sql<RunRow> =>
  sql`select * from runs where run_id = ${runId}::uuid`;

export const anyRun = (): Sql<{ run_id: string }> => sql`select run_id from runs limit 1`;

export interface RunFilter {
  readonly status: RunStatus | null;
  readonly workflow: string | null;
  /** Only runs before this one. */
  readonly before: string | null;
  readonly limit: number;
}

export const listRuns = (filter: RunFilter): Sql<RunRow> =>
  sql`select * from runs
    where (${filter.status}::text is null or status = ${filter.status}::text)
      and (${filter.workflow}::text is null or workflow = ${filter.workflow}::text)
      and (${filter.before}::uuid is null or run_id < ${filter.before}::uuid)
    order by run_id desc
    limit ${filter.limit}::integer`;

/** How much is open: for the status page. */
export const countOpenRuns = (): Sql<{ status: RunStatus; total: number }> =>
  sql`select status, count(*)::integer as total from runs where finished_at is null group by status`;

/** Names and bounds of the partitions of the run tables. */
export const listPartitions = (): Sql<{ parent: string; name: string; bound: string }> =>
  sql`select p.relname::text as parent, c.relname::text as name, pg_get_expr(c.relpartbound, c.oid) as bound
    from pg_inherits i
    join pg_class p on p.oid = i.inhparent
    join pg_class c on c.oid = i.inhrelid
    join pg_namespace n on n.oid = p.relnamespace
    where n.nspname = current_schema() and p.relname in ('runs', 'run_events', 'run_signals')`;

export interface BelowRow {
  readonly run_id: string;
  readonly workflow: string;
  readonly status: RunStatus;
  readonly parent_run_id: string;
  readonly parent_task: string;
  readonly depth: number;
  readonly created_at: Date;
  readonly finished_at: Date | null;
  readonly error: ErrorRecord | null;
}

/** The runs that the agents of a run asked for, and those below them, in the order in which they began. */
export const runsBelow = (runId: string, most: number): Sql<BelowRow> =>
  sql`with recursive below as (
      select r.run_id, r.workflow, r.status, r.parent_run_id, r.parent_task, 1 as depth,
        r.created_at, r.finished_at, r.error
      from runs r where r.parent_run_id = ${runId}::uuid
      union all
      select r.run_id, r.workflow, r.status, r.parent_run_id, r.parent_task, b.depth + 1,
        r.created_at, r.finished_at, r.error
      from below b join runs r on r.parent_run_id = b.run_id
      where b.depth < 20
    )
    select * from below order by run_id limit ${most}::integer`;
