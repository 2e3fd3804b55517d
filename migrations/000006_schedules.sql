-- Runs that start by themselves, failures that somebody has seen to, and what upkeep goes by.

create table schedules (
  schedule_id uuid primary key,
  name text not null unique check (length(name) between 1 and 100),
  workflow text not null,
  input json not null,
  priority smallint check (priority between 1 and 100),
  -- One of the two: the clock of a zone, or so many seconds from created_at on.
  cron text,
  every_seconds integer check (every_seconds > 0),
  timezone text not null default 'UTC',
  until_at timestamptz,
  missed text not null check (missed in ('skip', 'once', 'all')),
  overlap text not null check (overlap in ('allow', 'skip', 'cancel')),
  created_at timestamptz not null default now(),
  -- The principal whose rights its runs need. By id as well: a name can come back as somebody else.
  created_by text not null,
  created_by_id text not null,
  paused_at timestamptz,
  -- Null while it is paused, and when it is over or its times can not be told.
  next_at timestamptz,
  problem json,
  check ((cron is null) <> (every_seconds is null))
);
create index schedules_due on schedules (next_at) where next_at is not null;

-- What became of each time. A row is written in the transaction that moves next_at on, and the run is
-- started after that under a key made of both columns of the primary key: once, whoever does it.
create table schedule_fires (
  schedule_id uuid not null references schedules on delete cascade,
  fire_at timestamptz not null,
  by_hand boolean not null default false,
  status text not null check (status in ('starting', 'started', 'skipped', 'failed')),
  -- Times that were missed in one go are one row, at the last of them.
  fires integer not null default 1 check (fires > 0),
  reason text,
  error json,
  run_id uuid,
  -- A run that was seen to have ended is not looked for again.
  ended boolean not null default false,
  started_by text not null,
  started_by_id text not null,
  failed_tries integer not null default 0,
  -- Nobody else tries before that.
  try_at timestamptz not null default now(),
  cancel_asked_at timestamptz,
  recorded_at timestamptz not null default now(),
  primary key (schedule_id, fire_at)
);
create index schedule_fires_starting on schedule_fires (try_at) where status = 'starting';
create index schedule_fires_open on schedule_fires (schedule_id, fire_at)
  where status = 'starting' or (status = 'started' and not ended);

-- Failures of that kind up to then are not shown; one that comes later is.
create table dismissed_failures (
  fingerprint text primary key,
  dismissed_at timestamptz not null default now(),
  dismissed_by text not null
);

-- A group is asked for by its latest failure, all groups by theirs.
drop index runs_by_fingerprint;
create index runs_by_fingerprint on runs (fingerprint, finished_at desc, run_id desc)
  where status = 'failed' and fingerprint is not null;
create index runs_failed on runs (finished_at desc, run_id desc)
  where status = 'failed' and fingerprint is not null;
create index runs_without_fingerprint on runs (run_id)
  where status = 'failed' and fingerprint is null;

-- When a run was last started on it, to the hour; null when that is not known. A definition that is
-- older than every run that is left can go.
alter table workflow_definitions add column used_at timestamptz;
