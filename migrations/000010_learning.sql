-- Learning: what came of every attempt, what the tasks asked for, and what is made of both.

insert into permission_bits (bit, action, implied_by, since, description) values
  (36, 'learning.read', 17, 3, 'See what is known of how agents do, and ask which one should do a task'),
  (37, 'learning.write', 2, 3, 'Report outcomes and rate what agents did'),
  (38, 'learning.execute', 40, 3, 'Change how agents are chosen, and fit the choice again');

insert into permissions (permission_name, resource_type, action, permission_value, description)
  select action, split_part(action, '.', 1), split_part(action, '.', 2), 1::bigint << bit, description
  from permission_bits where since = 3;

-- The words of a task, once for all its attempts: SHA-256 of type, a zero byte and text.
create table task_texts (
  task_hash bytea primary key check (octet_length(task_hash) = 32),
  task_type text not null check (length(task_type) between 1 and 200),
  description text not null check (length(description) <= 4000),
  first_seen_at timestamptz not null default now()
);

-- 256 float32, little-endian, of unit length. A text has one of each embedder that is in use or was.
create table task_embeddings (
  task_hash bytea not null references task_texts on delete cascade,
  embedder text not null,
  embedding bytea not null check (octet_length(embedding) = 1024),
  primary key (embedder, task_hash)
);
create index task_embeddings_by_task on task_embeddings (task_hash);

-- One row an attempt, written with the events of its run or reported from outside.
create table agent_task_executions (
  attempt_id uuid primary key,
  -- In the order in which they became visible: readers go on where they were, and miss none.
  tx xid8 not null default pg_current_xact_id(),
  run_id uuid,
  task text,
  workflow text,
  mode text,
  agent text not null,
  definition_hash text,
  task_type text not null,
  -- No foreign key: checking one locked the row of the text for each of its attempts.
  task_hash bytea not null,
  complexity real check (complexity between 0 and 1),
  input_bytes bigint check (input_bytes >= 0),
  context json,
  started_at timestamptz not null,
  ended_at timestamptz not null check (ended_at >= started_at),
  result text not null check (result in ('succeeded', 'failed', 'cancelled')),
  own_fault boolean,
  error_code text,
  wall_ms double precision check (wall_ms >= 0),
  cpu_ms double precision check (cpu_ms >= 0),
  peak_memory_bytes bigint check (peak_memory_bytes >= 0),
  output_bytes bigint check (output_bytes >= 0),
  tokens bigint check (tokens >= 0),
  cost_micro_usd bigint check (cost_micro_usd >= 0),
  partners text[],
  policy text,
  propensity double precision check (propensity > 0 and propensity <= 1),
  -- What was said of it before it began: for calibration, and predicted against actual time.
  predicted_success double precision check (predicted_success between 0 and 1),
  predicted_ms double precision check (predicted_ms >= 0),
  -- Of its time, the interval that was to hold it with a probability of 90 %.
  predicted_ms_low double precision check (predicted_ms_low >= 0),
  predicted_ms_high double precision check (predicted_ms_high >= 0),
  -- All who could have been chosen.
  candidates text[],
  -- Who told of it, when no run of this database did.
  reported_by text,
  -- By the key of this installation, where there is one.
  signature bytea
);
create index agent_task_executions_in_order on agent_task_executions (tx, attempt_id);
create index agent_task_executions_by_task on agent_task_executions (task_hash);
create index agent_task_executions_by_run on agent_task_executions (run_id) where run_id is not null;
create index agent_task_executions_reported on agent_task_executions (reported_by, agent, tx, attempt_id)
  where reported_by is not null;

-- Writes outcomes, each once, and the texts that they bring. `outcomes` holds columns, values joined
-- by commas or, of texts, by U+001F, an empty one for null: a list of objects took as long to read as all
-- the rest together. `held`: "run epoch" of the runs whose outcomes may be written; null: all. Gives back
-- the hashes of texts that are neither brought nor there. PL/pgSQL, which keeps its plan: a function in
-- SQL is planned anew in every statement that calls it.
create function record_outcomes(outcomes json, held text[]) returns text[]
language plpgsql as $$
declare
  missing text[];
begin
  with told as materialized (
    select o.* from json_to_record(outcomes) as c (
      attempt_id text, run_id text, epoch text, task text, workflow text, mode text, agent text,
      definition_hash text, task_type text, task_hash text, description text, complexity text,
      input_bytes text, context text, started_ms text, ended_ms text, result text, own_fault text,
      error_code text, wall_ms text, cpu_ms text, peak_memory_bytes text, output_bytes text,
      tokens text, cost_micro_usd text, partners text, policy text, propensity text,
      predicted_success text, predicted_ms text, predicted_ms_low text, predicted_ms_high text,
      candidates text, reported_by text
    ),
    unnest(
      string_to_array(c.attempt_id, ',')::uuid[], string_to_array(c.run_id, ',', '')::uuid[],
      string_to_array(c.epoch, ',', ''), string_to_array(c.task, e'\x1f', ''),
      string_to_array(c.workflow, e'\x1f', ''), string_to_array(c.mode, ',', ''),
      string_to_array(c.agent, e'\x1f'), string_to_array(c.definition_hash, ',', ''),
      string_to_array(c.task_type, e'\x1f'), string_to_array(c.task_hash, ','),
      string_to_array(c.description, e'\x1f', ''),
      string_to_array(c.complexity, ',', '')::real[],
      string_to_array(c.input_bytes, ',', '')::bigint[],
      string_to_array(c.context, e'\x1f', ''),
      string_to_array(c.started_ms, ',')::double precision[],
      string_to_array(c.ended_ms, ',')::double precision[], string_to_array(c.result, ','),
      string_to_array(c.own_fault, ',', '')::boolean[],
      string_to_array(c.error_code, e'\x1f', ''),
      string_to_array(c.wall_ms, ',', '')::double precision[],
      string_to_array(c.cpu_ms, ',', '')::double precision[],
      string_to_array(c.peak_memory_bytes, ',', '')::bigint[],
      string_to_array(c.output_bytes, ',', '')::bigint[],
      string_to_array(c.tokens, ',', '')::bigint[],
      string_to_array(c.cost_micro_usd, ',', '')::bigint[],
      string_to_array(c.partners, e'\x1f', ''), string_to_array(c.policy, e'\x1f', ''),
      string_to_array(c.propensity, ',', '')::double precision[],
      string_to_array(c.predicted_success, ',', '')::double precision[],
      string_to_array(c.predicted_ms, ',', '')::double precision[],
      string_to_array(c.predicted_ms_low, ',', '')::double precision[],
      string_to_array(c.predicted_ms_high, ',', '')::double precision[],
      string_to_array(c.candidates, e'\x1f', ''),
      string_to_array(c.reported_by, e'\x1f', '')
    ) as o (
      attempt_id, run_id, epoch, task, workflow, mode, agent, definition_hash, task_type, task_hash,
      description, complexity, input_bytes, context, started_ms, ended_ms, result, own_fault,
      error_code, wall_ms, cpu_ms, peak_memory_bytes, output_bytes, tokens, cost_micro_usd, partners,
      policy, propensity, predicted_success, predicted_ms, predicted_ms_low, predicted_ms_high,
      candidates, reported_by
    )
    where held is null or o.run_id || ' ' || o.epoch in (select unnest(held))
  ), texts as (
    insert into task_texts (task_hash, task_type, description)
    select distinct on (t.task_hash) decode(t.task_hash, 'hex'), t.task_type, t.description
    from told t where t.description is not null
    -- In the order of their keys, so that two such statements never wait for each other.
    order by t.task_hash
    on conflict (task_hash) do nothing
  ), written as (
    insert into agent_task_executions (
      attempt_id, run_id, task, workflow, mode, agent, definition_hash, task_type, task_hash,
      complexity, input_bytes, context, started_at, ended_at, result, own_fault, error_code, wall_ms,
      cpu_ms, peak_memory_bytes, output_bytes, tokens, cost_micro_usd, partners, policy, propensity,
      predicted_success, predicted_ms, predicted_ms_low, predicted_ms_high, candidates, reported_by
    )
    select t.attempt_id, t.run_id, t.task, t.workflow, t.mode, t.agent, t.definition_hash,
      t.task_type, decode(t.task_hash, 'hex'), t.complexity, t.input_bytes, t.context::json,
      to_timestamp(t.started_ms / 1000), to_timestamp(t.ended_ms / 1000), t.result, t.own_fault,
      t.error_code, t.wall_ms, t.cpu_ms, t.peak_memory_bytes, t.output_bytes, t.tokens,
      t.cost_micro_usd, string_to_array(t.partners, ','), t.policy, t.propensity,
      t.predicted_success, t.predicted_ms, t.predicted_ms_low, t.predicted_ms_high,
      string_to_array(t.candidates, ','), t.reported_by
    from told t
    on conflict (attempt_id) do nothing
  )
  select array_agg(d.task_hash) into missing
  from (select distinct t.task_hash from told t where t.description is null) d
  where not exists (select from task_texts k where k.task_hash = decode(d.task_hash, 'hex'));
  return missing;
end
$$;

-- What people and agents think of a result, 1 to 10: one word each, the last one counts.
create table agent_feedback (
  attempt_id uuid not null references agent_task_executions on delete cascade,
  principal_id text not null,
  principal text not null,
  agent text not null,
  score smallint not null check (score between 1 and 10),
  comment text check (length(comment) <= 2000),
  given_at timestamptz not null default now(),
  primary key (attempt_id, principal_id)
);
create index agent_feedback_by_agent on agent_feedback (agent, principal_id);

-- Sums over the attempts of one text, by agent: what a choice weighs by likeness.
create table task_evidence (
  task_hash bytea not null references task_texts on delete cascade,
  agent text not null,
  tried integer not null default 0,
  succeeded integer not null default 0,
  log_ms double precision not null default 0,
  log_ms_squares double precision not null default 0,
  paid integer not null default 0,
  micro_usd double precision not null default 0,
  last_at timestamptz not null,
  primary key (task_hash, agent)
);

create table agent_performance_metrics (
  agent text primary key,
  executions bigint not null,
  succeeded bigint not null,
  failed bigint not null,
  cancelled bigint not null,
  success_rate double precision,
  avg_ms double precision,
  p95_ms double precision,
  avg_micro_usd double precision,
  avg_tokens double precision,
  feedback double precision,
  feedback_principals integer not null default 0,
  -- Success rate of the last days less that of the time before; null while either is unknown.
  trend_7d double precision,
  trend_30d double precision,
  anomaly_rate double precision,
  anomaly text,
  alerts text[] not null default '{}',
  -- Of the detectors: what they have seen so far.
  detectors json,
  last_at timestamptz,
  updated_at timestamptz not null default now()
);

create table agent_combination_patterns (
  -- SHA-256 of mode and sorted agents.
  combination_hash bytea primary key check (octet_length(combination_hash) = 32),
  mode text not null,
  agents text[] not null,
  executions bigint not null,
  succeeded bigint not null,
  -- Sum of what the members' own rates would have given.
  expected double precision not null,
  -- −1 to 1: how much better or worse than expected, drawn towards 0 while there is little evidence.
  synergy double precision not null check (synergy between -1 and 1),
  confidence double precision not null check (confidence between 0 and 1),
  last_at timestamptz not null,
  updated_at timestamptz not null default now()
);
create index agent_combination_patterns_by_agents on agent_combination_patterns using gin (agents);

create table agent_learning_insights (
  -- What it is about: one insight a subject, renewed.
  insight_key text primary key,
  kind text not null check (kind in ('optimal_combo', 'avoid_pattern', 'performance_tip',
    'resource_optimization', 'specialization', 'trend_alert', 'anomaly_detection', 'efficiency_improvement')),
  agents text[] not null default '{}',
  task_type text,
  statement text not null,
  evidence json not null,
  confidence double precision not null check (confidence between 0 and 1),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  -- It does not hold any more.
  ended_at timestamptz
);

create table task_type_analysis (
  task_type text primary key,
  executions bigint not null,
  succeeded bigint not null,
  success_rate double precision,
  avg_ms double precision,
  p95_ms double precision,
  avg_complexity double precision,
  agents integer not null,
  best_agent text,
  best_rate double precision,
  last_at timestamptz,
  updated_at timestamptz not null default now()
);

-- What choices are made by: fitted numbers, and why they were taken or not.
create table learning_policies (
  policy text primary key,
  state text not null check (state in ('candidate', 'incumbent', 'retired', 'refused')),
  parameters json not null,
  executions bigint not null,
  evaluation json,
  reason text,
  fitted_at timestamptz not null default now(),
  decided_at timestamptz
);
create unique index learning_policies_incumbent on learning_policies (state) where state = 'incumbent';

-- One row: what is set for the fleet, and how far the projections have read.
create table learning_state (
  only_row boolean primary key default true check (only_row),
  mode text not null default 'balanced' check (mode in ('exploration', 'balanced', 'exploitation')),
  read_tx xid8 not null default '0',
  read_attempt uuid not null default '00000000-0000-0000-0000-000000000000',
  updated_at timestamptz not null default now()
);
insert into learning_state default values;
