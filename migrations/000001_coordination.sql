-- Durable runs. Every run table leads with run_id, a UUIDv7: the key is also the time, so partitions
-- by range of run_id are partitions by time, and run_id alone can distribute the tables.
-- No foreign keys between them: they would forbid dropping one partition at a time.

create table workers (
  worker_id uuid primary key,
  host text not null,
  pid integer not null,
  started_at timestamptz not null default now(),
  -- Renewed while the worker lives, by the database's clock. Past it, its runs may be taken over.
  lease_until timestamptz not null
);

create table workflow_definitions (
  hash text primary key,
  name text not null,
  definition json not null,
  created_at timestamptz not null default now()
);

create table runs (
  run_id uuid not null,
  workflow text not null,
  definition_hash text not null,
  status text not null check (status in
    ('created', 'queued', 'running', 'paused', 'waiting', 'completed', 'failed', 'cancelled', 'recovering')),
  priority smallint not null default 50 check (priority between 1 and 100),
  -- The worker that may append events, and the number that fences out one that lost the run.
  owner uuid,
  epoch bigint not null default 0,
  task_counts json,
  error json,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  primary key (run_id)
) partition by range (run_id);
create table runs_default partition of runs default;

-- What a worker looks for: runs that nobody holds, and runs of a worker that died. Both stay small.
create index runs_unowned on runs (priority desc, run_id) where owner is null and finished_at is null;
create index runs_open_by_owner on runs (owner) where finished_at is null;
create index runs_by_workflow on runs (workflow, run_id desc);
create index runs_by_status on runs (status, run_id desc);

create table run_events (
  run_id uuid not null,
  seq integer not null check (seq > 0),
  at timestamptz not null default now(),
  epoch bigint not null,
  type text not null,
  task text,
  -- json, not jsonb: an output may hold \u0000, which jsonb refuses, and nothing searches inside.
  body json not null,
  primary key (run_id, seq)
) partition by range (run_id);
create table run_events_default partition of run_events default;

-- What others ask of a run. Only its owner appends events, so a request waits here until it has been
-- turned into one, and is deleted by the statement that appends it.
create table run_signals (
  run_id uuid not null,
  signal_id uuid not null,
  kind text not null check (kind in ('cancel', 'retry')),
  body json not null,
  at timestamptz not null default now(),
  primary key (run_id, signal_id)
) partition by range (run_id);
create table run_signals_default partition of run_signals default;

create table run_keys (
  idempotency_key text primary key check (length(idempotency_key) between 1 and 255),
  run_id uuid not null,
  -- What was asked, so that the same key with another request is refused.
  request_hash text not null,
  created_at timestamptz not null default now()
);
create index run_keys_by_run on run_keys (run_id);
