-- What the migrations of this folder come to. Written by npm run generate; never run.
-- Indexes and triggers stand below their table, partitions below all tables.
-- Of sources with SHA-256 6d11eee06854f7439f2092ca8615df14f1898edbfc70fe7b50f75b0a0f660bf9.

create table agent_definitions (
  hash text not null,
  name text not null,
  source bytea not null,
  created_at timestamp with time zone default now() not null,
  constraint agent_definitions_pkey PRIMARY KEY (hash),
  constraint agent_definitions_hash_check CHECK ((hash ~ '^[0-9a-f]{64}$'::text))
);

create table run_events (
  run_id uuid not null,
  seq integer not null,
  at timestamp with time zone default now() not null,
  epoch bigint not null,
  type text not null,
  task text,
  body json not null,
  constraint run_events_pkey PRIMARY KEY (run_id, seq),
  constraint run_events_seq_check CHECK ((seq > 0))
) partition by RANGE (run_id);

create table run_keys (
  idempotency_key text not null,
  run_id uuid not null,
  request_hash text not null,
  created_at timestamp with time zone default now() not null,
  constraint run_keys_pkey PRIMARY KEY (idempotency_key),
  constraint run_keys_idempotency_key_check CHECK (((length(idempotency_key) >= 1) AND (length(idempotency_key) <= 255)))
);
CREATE INDEX run_keys_by_run ON public.run_keys USING btree (run_id);

create table run_signals (
  run_id uuid not null,
  signal_id uuid not null,
  kind text not null,
  body json not null,
  at timestamp with time zone default now() not null,
  constraint run_signals_pkey PRIMARY KEY (run_id, signal_id),
  constraint run_signals_kind_check CHECK ((kind = ANY (ARRAY['cancel'::text, 'retry'::text])))
) partition by RANGE (run_id);

create table runs (
  run_id uuid not null,
  workflow text not null,
  definition_hash text not null,
  status text not null,
  priority smallint default 50 not null,
  owner uuid,
  epoch bigint default 0 not null,
  task_counts json,
  error json,
  created_at timestamp with time zone default now() not null,
  started_at timestamp with time zone,
  finished_at timestamp with time zone,
  constraint runs_pkey PRIMARY KEY (run_id),
  constraint runs_priority_check CHECK (((priority >= 1) AND (priority <= 100))),
  constraint runs_status_check CHECK ((status = ANY (ARRAY['created'::text, 'queued'::text, 'running'::text, 'paused'::text, 'waiting'::text, 'completed'::text, 'failed'::text, 'cancelled'::text, 'recovering'::text])))
) partition by RANGE (run_id);
CREATE INDEX runs_by_status ON ONLY public.runs USING btree (status, run_id DESC);
CREATE INDEX runs_by_workflow ON ONLY public.runs USING btree (workflow, run_id DESC);
CREATE INDEX runs_open_by_owner ON ONLY public.runs USING btree (owner) WHERE (finished_at IS NULL);
CREATE INDEX runs_unowned ON ONLY public.runs USING btree (priority DESC, run_id) WHERE ((owner IS NULL) AND (finished_at IS NULL));

create table schema_migrations (
  number integer not null,
  name text not null,
  checksum text not null,
  breaking boolean not null,
  applied_at timestamp with time zone default now() not null,
  constraint schema_migrations_pkey PRIMARY KEY (number)
);

create table workers (
  worker_id uuid not null,
  host text not null,
  pid integer not null,
  started_at timestamp with time zone default now() not null,
  lease_until timestamp with time zone not null,
  constraint workers_pkey PRIMARY KEY (worker_id)
);

create table workflow_definitions (
  hash text not null,
  name text not null,
  definition json not null,
  created_at timestamp with time zone default now() not null,
  constraint workflow_definitions_pkey PRIMARY KEY (hash)
);

create table run_events_default partition of run_events DEFAULT;

create table run_signals_default partition of run_signals DEFAULT;

create table runs_default partition of runs DEFAULT;
