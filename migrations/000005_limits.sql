-- What holds for the whole fleet: circuit breakers, and budgets that runs share. All times here are the
-- database's, so that workers with different clocks agree.

-- A row for each agent, model or tool that has ever failed.
create table breakers (
  key text primary key check (key ~ '^(agent|model|tool):' and length(key) between 6 and 220),
  state text not null default 'closed' check (state in ('closed', 'open', 'half_open')),
  -- Closed: the calls that failed within the window, with when. Half-open: the calls that were let
  -- through and have not ended, with when each place is free again unless it is renewed.
  calls text[] not null default '{}',
  calls_at timestamptz[] not null default '{}',
  open_until timestamptz,
  -- Calls that succeeded since it became half-open.
  successes smallint not null default 0,
  openings bigint not null default 0,
  last_failure_at timestamptz,
  last_failure_code text,
  changed_at timestamptz not null default now(),
  reset_at timestamptz,
  reset_by text,
  check (cardinality(calls) = cardinality(calls_at)),
  check ((state = 'open') = (open_until is not null))
);
-- What every worker looks at each second; nearly always empty.
create index breakers_not_closed on breakers (key) where state <> 'closed';

create table budgets (
  name text primary key check (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
  period text not null check (period in ('day', 'week', 'month', 'forever')),
  -- Null: no limit. Money in millionths of a US dollar, time in milliseconds.
  limit_micro_usd bigint check (limit_micro_usd between 0 and 1000000000000000),
  limit_tokens bigint check (limit_tokens between 0 and 1000000000000000),
  limit_ms bigint check (limit_ms between 0 and 1000000000000000),
  limit_concurrency integer check (limit_concurrency between 0 and 1000000),
  -- The period that the sums below are of; the first use after its end begins the next one.
  period_start timestamptz not null,
  spent_micro_usd bigint not null default 0 check (spent_micro_usd >= 0),
  spent_tokens bigint not null default 0 check (spent_tokens >= 0),
  spent_ms bigint not null default 0 check (spent_ms >= 0),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  updated_by text
);

-- What calls under way may use. A row counts until expires_at; from then on what it held is given back,
-- and the row only waits for the use of a call that may yet end, so that it is counted once.
create table budget_reservations (
  attempt_id uuid not null,
  budget text not null references budgets (name) on delete cascade,
  run_id uuid not null,
  agent text not null,
  micro_usd bigint not null check (micro_usd >= 0),
  tokens bigint not null check (tokens >= 0),
  ms bigint not null check (ms >= 0),
  reserved_at timestamptz not null default now(),
  expires_at timestamptz not null,
  primary key (attempt_id, budget)
);
create index budget_reservations_by_budget on budget_reservations (budget, expires_at);
create index budget_reservations_by_end on budget_reservations (expires_at);

-- Who used how much, by period, run and agent.
create table budget_use (
  budget text not null references budgets (name) on delete cascade,
  period_start timestamptz not null,
  run_id uuid not null,
  agent text not null,
  micro_usd bigint not null default 0,
  tokens bigint not null default 0,
  ms bigint not null default 0,
  calls integer not null default 0,
  -- Calls of which not all is known: their worker died, or the agent did not say.
  unknown_calls integer not null default 0,
  last_at timestamptz not null default now(),
  primary key (budget, period_start, run_id, agent)
);
create index budget_use_by_age on budget_use (last_at);
