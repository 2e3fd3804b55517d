-- Learning: what is kept of the outcomes by day, and what may be asked of them in SQL.

-- Outcomes by agent, type and day (UTC): everything that is said of agents and types is summed up from
-- here, so that nobody reads millions of executions for it.
create table agent_task_days (
  agent text not null,
  task_type text not null,
  day date not null,
  succeeded bigint not null default 0,
  -- Failures that were the agent's own, and those that were not.
  failed bigint not null default 0,
  faultless bigint not null default 0,
  cancelled bigint not null default 0,
  -- Of successes and own failures: the sum of their times, and how many by the size of their time
  -- (buckets of 2 %, as {"bucket": count}).
  ms double precision not null default 0,
  times json not null default '{}',
  -- Over successes: the logarithm of their time in ms, and its square.
  log_ms double precision not null default 0,
  log_ms_squares double precision not null default 0,
  paid bigint not null default 0,
  micro_usd double precision not null default 0,
  micro_usd_squares double precision not null default 0,
  told_tokens bigint not null default 0,
  tokens double precision not null default 0,
  told_complexity bigint not null default 0,
  complexity double precision not null default 0,
  last_at timestamptz not null,
  primary key (agent, task_type, day)
);
create index agent_task_days_by_type on agent_task_days (task_type, day);

-- The text of an execution may come after it; its evidence is not lost for that.
alter table task_evidence drop constraint task_evidence_task_hash_fkey;

-- Succeeded and failed by its own fault: what the success rate is of. `stale_since`: new rows came.
alter table agent_performance_metrics
  add column tried bigint not null default 0,
  add column stale_since timestamptz;
alter table task_type_analysis
  add column tried bigint not null default 0,
  add column stale_since timestamptz;

-- When figures were last made of the sums, when all of them were, and when insights were looked for.
alter table learning_state
  add column renewed_at timestamptz not null default 'epoch',
  add column surveyed_at timestamptz not null default 'epoch',
  add column insights_at timestamptz not null default 'epoch';

-- The members of a group are found by their path, however many tasks their run has.
drop index if exists agent_task_executions_by_run;
create index agent_task_executions_by_run on agent_task_executions (run_id, task collate "C")
  where run_id is not null;
create index agent_feedback_by_time on agent_feedback (given_at);
create index agent_learning_insights_open on agent_learning_insights (updated_at) where ended_at is null;
create index agent_combination_patterns_by_use on agent_combination_patterns (executions, combination_hash);

-- A bound of the score interval of a rate (Wilson 1927): the lower one for z below 0, else the upper one.
create function wilson_bound(succeeded double precision, tried double precision, z double precision)
returns double precision
language sql immutable parallel safe as $$
  select case
    when succeeded is null or tried is null or z is null then null
    when tried <= 0 then case when z < 0 then 0 else 1 end
    else greatest(0, least(1, (
      succeeded / tried + z * z / (2 * tried)
      + z * sqrt(greatest(0, succeeded / tried * (1 - succeeded / tried) / tried + z * z / (4 * tried * tried)))
    ) / (1 + z * z / tried)))
  end
$$;

-- Agents that did tasks of a type at least so well and so often, the surest first: `confidence` is what
-- their success rate is at least, with a probability of 97.5 %.
create function get_optimal_agents(
  task_type text,
  max_agents integer default 5,
  min_success double precision default 0.6,
  min_samples integer default 3
) returns table (
  agent text, executions bigint, success_rate double precision, confidence double precision,
  avg_ms double precision, avg_micro_usd double precision
)
language sql stable as $$
  with sums as (
    select d.agent, sum(d.succeeded + d.failed)::bigint as tried, sum(d.succeeded)::double precision as succeeded,
      sum(d.ms) as ms, sum(d.paid) as paid, sum(d.micro_usd) as micro_usd
    from agent_task_days d
    where d.task_type = get_optimal_agents.task_type
    group by d.agent
  )
  select s.agent, s.tried, s.succeeded / s.tried, wilson_bound(s.succeeded, s.tried, -1.959964),
    s.ms / s.tried, s.micro_usd / nullif(s.paid, 0)::double precision
  from sums s
  where s.tried >= greatest(1, coalesce(min_samples, 3)) and s.succeeded / s.tried >= coalesce(min_success, 0.6)
  order by 4 desc, 2 desc, 1
  limit least(1000, greatest(0, coalesce(max_agents, 5)))
$$;

-- How probable it is that each of the agents succeeds with a task of a type. What it did with other types
-- counts like four outcomes; the bounds hold the probability with 90 %. Without any outcome: nothing.
create function predict_task_success(task_type text, agents text[])
returns table (
  agent text, probability double precision, low double precision, high double precision,
  samples bigint, basis text
)
language sql stable as $$
  with asked as (
    select a.agent, min(a.place) as place
    from unnest(agents) with ordinality as a (agent, place)
    where a.agent is not null
    group by a.agent
  ), sums as (
    select a.agent, a.place,
      coalesce(sum(d.succeeded + d.failed) filter (where d.task_type = predict_task_success.task_type), 0)::double precision as tried,
      coalesce(sum(d.succeeded) filter (where d.task_type = predict_task_success.task_type), 0)::double precision as succeeded,
      coalesce(sum(d.succeeded + d.failed) filter (where d.task_type <> predict_task_success.task_type), 0)::double precision as other_tried,
      coalesce(sum(d.succeeded) filter (where d.task_type <> predict_task_success.task_type), 0)::double precision as other_succeeded
    from asked a left join agent_task_days d on d.agent = a.agent
    group by a.agent, a.place
  ), estimates as (
    select s.*, s.tried + 4 as n,
      s.succeeded + 4 * (s.other_succeeded + 1) / (s.other_tried + 2) as hits
    from sums s where s.tried + s.other_tried > 0
  )
  select s.agent, e.hits / e.n, wilson_bound(e.hits, e.n, -1.644854), wilson_bound(e.hits, e.n, 1.644854),
    case when s.tried > 0 then s.tried else s.other_tried end::bigint,
    case when s.tried > 0 then 'task type' when s.other_tried > 0 then 'agent' else 'nothing' end
  from sums s left join estimates e on e.agent = s.agent
  order by s.place
$$;
