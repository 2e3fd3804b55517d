-- What the migrations of this folder come to. Written by npm run generate; never run.
-- Indexes and triggers stand below their table, partitions below all tables.
-- Of sources with SHA-256 47b55cd632c0a99f44c3a517dc35907b51213ad2957240a0d809a3dff9ece4b9.

CREATE OR REPLACE FUNCTION public.announce_identity_change(kind text, subject text)
 RETURNS void
 LANGUAGE sql
AS $function$
  insert into identity_changes (kind, subject) values (kind, subject);
  select pg_notify('centuria_identity', kind || ':' || subject);
$function$;

CREATE OR REPLACE FUNCTION public.authenticate_user(typed_name text, computed_hash text)
 RETURNS TABLE(user_id uuid, username text, password_hash text, salt text, status text, failed_attempts integer, locked_until timestamp with time zone, roles text[], permissions text[], permission_bitmask bigint)
 LANGUAGE plpgsql
AS $function$
#variable_conflict use_column
declare
  typed text := left(lower(normalize(coalesce($1, ''), NFKC)), 63);
  judged record;
begin
  select * into judged from judge_login(typed, coalesce($2, ''), 10, '15 minutes', '1 minute', '1 hour');
  insert into security_events (event_type, severity, user_id, username, database_ms)
  values (
    case judged.outcome when 'ok' then 'login_success' else 'login_failure' end,
    case judged.outcome when 'ok' then 1 else 3 end, judged.judged_user, typed,
    1000 * extract(epoch from clock_timestamp() - statement_timestamp()));
  if judged.outcome = 'wrong' and judged.locked is not null then
    insert into security_events (event_type, severity, username, details)
    values ('account_locked', 3, typed, json_build_object('until', judged.locked));
  end if;
  return query
    select u.user_id, u.username, u.password_hash, split_part(u.password_hash, '$', 5), u.status,
      judged.failures, judged.locked, m.roles, m.permissions, m.permission_bitmask
    from users u join user_permissions_mv m on m.user_id = u.user_id
    where u.user_id = judged.judged_user;
end
$function$;

CREATE OR REPLACE FUNCTION public.check_permission(for_user uuid, resource text, mask bigint)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  with place as (
    select coalesce(split_part(resource, '/', 1), '') as type,
      substr(resource, length(split_part(resource, '/', 1)) + 2) as name
  ), granted as (
    select coalesce(bit_or(g.permission_value), 0) as bits
    from place, user_grants g
    where g.user_id = for_user
      and (g.resource_pattern = '*'
        or (g.resource_type = place.type and matches_resource(g.resource_pattern, place.name)))
  )
  select coalesce(bool_and(
    (place.type = '' or asked.bit < 6 or split_part(known.action, '.', 1) = place.type or known.action is null)
    and granted.bits & (
      (1::bigint << coalesce(narrow.bit, asked.bit)) | coalesce(narrow.implied_by, known.implied_by, 0)) <> 0
  ), false)
  from place
  cross join granted
  cross join generate_series(0, 63) as asked (bit)
  left join permission_bits known on known.bit = asked.bit
  left join permission_bits narrow on asked.bit < 6 and narrow.action = place.type || '.' || known.action
  where mask & (1::bigint << asked.bit) <> 0
$function$;

CREATE OR REPLACE FUNCTION public.get_optimal_agents(task_type text, max_agents integer DEFAULT 5, min_success double precision DEFAULT 0.6, min_samples integer DEFAULT 3)
 RETURNS TABLE(agent text, executions bigint, success_rate double precision, confidence double precision, avg_ms double precision, avg_micro_usd double precision)
 LANGUAGE sql
 STABLE
AS $function$
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
$function$;

CREATE OR REPLACE FUNCTION public.identity_changed()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
declare
  before text := '';
  after text := '';
begin
  if tg_nargs > 1 then
    if tg_op <> 'INSERT' then before := to_jsonb(old) ->> tg_argv[1]; end if;
    if tg_op <> 'DELETE' then after := to_jsonb(new) ->> tg_argv[1]; end if;
    if tg_op = 'DELETE' then after := before; end if;
    if tg_op = 'UPDATE' and before is distinct from after then
      perform announce_identity_change(tg_argv[0], before);
    end if;
  end if;
  perform announce_identity_change(tg_argv[0], after);
  return null;
end
$function$;

CREATE OR REPLACE FUNCTION public.identity_truncated()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  execute format('select count(announce_identity_change(%L, %I::text)) from %I.%I',
    tg_argv[0], tg_argv[1], tg_table_schema, tg_table_name);
  return null;
end
$function$;

CREATE OR REPLACE FUNCTION public.judge_login(typed_name text, computed_hash text, max_failures integer, forget_after interval, first_lock interval, longest_lock interval, OUT outcome text, OUT judged_user uuid, OUT failures integer, OUT locked timestamp with time zone)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
declare
  attempts login_attempts;
begin
  select u.user_id into judged_user from users u
  where u.username = typed_name and u.status = 'active'
    and sha256(convert_to(u.password_hash, 'UTF8')) = sha256(convert_to(computed_hash, 'UTF8'));
  if judged_user is not null then
    select * into attempts from login_attempts a where a.username = typed_name for update;
    if attempts.locked_until > clock_timestamp() then
      outcome := 'locked';
      judged_user := null;
    else
      outcome := 'ok';
      -- Beside a second factor the password is half of the proof: whoever has it could otherwise
      -- begin the count of guessed codes anew with each sign-in. The second factor forgets them.
      if not exists (select 1 from users u where u.user_id = judged_user and u.totp_secret is not null) then
        delete from login_attempts a where a.username = typed_name;
        attempts.failed_attempts := 0;
        attempts.locked_until := null;
      end if;
    end if;
  else
    insert into login_attempts as a (username, failed_attempts, last_failed_at)
    values (typed_name, 0, clock_timestamp())
    on conflict (username) do update set username = a.username
    returning a.* into attempts;
    if attempts.locked_until > clock_timestamp() then
      outcome := 'locked';
    else
      outcome := 'wrong';
      if attempts.last_failed_at < clock_timestamp() - forget_after then
        attempts.failed_attempts := 0;
        attempts.lockouts := 0;
      elsif attempts.locked_until is not null then
        -- The lock has run out: counting begins again, and the next lock is longer.
        attempts.failed_attempts := 0;
      end if;
      attempts.failed_attempts := attempts.failed_attempts + 1;
      attempts.locked_until := null;
      if attempts.failed_attempts >= max_failures then
        attempts.locked_until := clock_timestamp()
          + least(longest_lock, first_lock * power(2, least(attempts.lockouts, 20)));
        attempts.lockouts := attempts.lockouts + 1;
      end if;
      update login_attempts a set failed_attempts = attempts.failed_attempts,
        lockouts = attempts.lockouts, last_failed_at = clock_timestamp(),
        locked_until = attempts.locked_until
      where a.username = typed_name;
    end if;
  end if;
  failures := coalesce(attempts.failed_attempts, 0);
  locked := attempts.locked_until;
end
$function$;

CREATE OR REPLACE FUNCTION public.matches_resource(pattern text, resource text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select resource like replace(replace(replace(replace(pattern, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%')
$function$;

CREATE OR REPLACE FUNCTION public.predict_task_success(task_type text, agents text[])
 RETURNS TABLE(agent text, probability double precision, low double precision, high double precision, samples bigint, basis text)
 LANGUAGE sql
 STABLE
AS $function$
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
$function$;

CREATE OR REPLACE FUNCTION public.record_outcomes(outcomes json, held text[])
 RETURNS text[]
 LANGUAGE plpgsql
AS $function$
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
$function$;

CREATE OR REPLACE FUNCTION public.validate_session(jti text)
 RETURNS TABLE(session_id uuid, user_id uuid, username text, status text, roles text[], permissions text[], permission_bitmask bigint, expires_at timestamp with time zone)
 LANGUAGE sql
 STABLE
AS $function$
  select s.session_id, s.user_id, m.username, m.status, m.roles, m.permissions, m.permission_bitmask,
    s.expires_at
  from user_sessions s
  join users u on u.user_id = s.user_id and u.status = 'active'
  join user_permissions_mv m on m.user_id = s.user_id
  where s.jwt_token_id = split_part(validate_session.jti, '.', 1)
    and s.is_active and s.expires_at > now()
    and not exists (select 1 from revoked_tokens t where t.jti = validate_session.jti and t.until > now())
$function$;

CREATE OR REPLACE FUNCTION public.wilson_bound(succeeded double precision, tried double precision, z double precision)
 RETURNS double precision
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case
    when succeeded is null or tried is null or z is null then null
    when tried <= 0 then case when z < 0 then 0 else 1 end
    else greatest(0, least(1, (
      succeeded / tried + z * z / (2 * tried)
      + z * sqrt(greatest(0, succeeded / tried * (1 - succeeded / tried) / tried + z * z / (4 * tried * tried)))
    ) / (1 + z * z / tried)))
  end
$function$;

create table agent_combination_patterns (
  combination_hash bytea not null,
  mode text not null,
  agents text[] not null,
  executions bigint not null,
  succeeded bigint not null,
  expected double precision not null,
  synergy double precision not null,
  confidence double precision not null,
  last_at timestamp with time zone not null,
  updated_at timestamp with time zone default now() not null,
  constraint agent_combination_patterns_pkey PRIMARY KEY (combination_hash),
  constraint agent_combination_patterns_combination_hash_check CHECK ((octet_length(combination_hash) = 32)),
  constraint agent_combination_patterns_confidence_check CHECK (((confidence >= (0)::double precision) AND (confidence <= (1)::double precision))),
  constraint agent_combination_patterns_synergy_check CHECK (((synergy >= ('-1'::integer)::double precision) AND (synergy <= (1)::double precision)))
);
CREATE INDEX agent_combination_patterns_by_agents ON public.agent_combination_patterns USING gin (agents);
CREATE INDEX agent_combination_patterns_by_use ON public.agent_combination_patterns USING btree (executions, combination_hash);

create table agent_definitions (
  hash text not null,
  name text not null,
  source bytea not null,
  created_at timestamp with time zone default now() not null,
  constraint agent_definitions_pkey PRIMARY KEY (hash),
  constraint agent_definitions_hash_check CHECK ((hash ~ '^[0-9a-f]{64}$'::text))
);

create table agent_feedback (
  attempt_id uuid not null,
  principal_id text not null,
  principal text not null,
  agent text not null,
  score smallint not null,
  comment text,
  given_at timestamp with time zone default now() not null,
  constraint agent_feedback_pkey PRIMARY KEY (attempt_id, principal_id),
  constraint agent_feedback_attempt_id_fkey FOREIGN KEY (attempt_id) REFERENCES agent_task_executions(attempt_id) ON DELETE CASCADE,
  constraint agent_feedback_comment_check CHECK ((length(comment) <= 2000)),
  constraint agent_feedback_score_check CHECK (((score >= 1) AND (score <= 10)))
);
CREATE INDEX agent_feedback_by_agent ON public.agent_feedback USING btree (agent, principal_id);
CREATE INDEX agent_feedback_by_time ON public.agent_feedback USING btree (given_at);

create table agent_learning_insights (
  insight_key text not null,
  kind text not null,
  agents text[] default '{}'::text[] not null,
  task_type text,
  statement text not null,
  evidence json not null,
  confidence double precision not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  ended_at timestamp with time zone,
  constraint agent_learning_insights_pkey PRIMARY KEY (insight_key),
  constraint agent_learning_insights_confidence_check CHECK (((confidence >= (0)::double precision) AND (confidence <= (1)::double precision))),
  constraint agent_learning_insights_kind_check CHECK ((kind = ANY (ARRAY['optimal_combo'::text, 'avoid_pattern'::text, 'performance_tip'::text, 'resource_optimization'::text, 'specialization'::text, 'trend_alert'::text, 'anomaly_detection'::text, 'efficiency_improvement'::text])))
);
CREATE INDEX agent_learning_insights_open ON public.agent_learning_insights USING btree (updated_at) WHERE (ended_at IS NULL);

create table agent_performance_metrics (
  agent text not null,
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
  feedback_principals integer default 0 not null,
  trend_7d double precision,
  trend_30d double precision,
  anomaly_rate double precision,
  anomaly text,
  alerts text[] default '{}'::text[] not null,
  detectors json,
  last_at timestamp with time zone,
  updated_at timestamp with time zone default now() not null,
  tried bigint default 0 not null,
  stale_since timestamp with time zone,
  constraint agent_performance_metrics_pkey PRIMARY KEY (agent)
);

create table agent_task_days (
  agent text not null,
  task_type text not null,
  day date not null,
  succeeded bigint default 0 not null,
  failed bigint default 0 not null,
  faultless bigint default 0 not null,
  cancelled bigint default 0 not null,
  ms double precision default 0 not null,
  times json default '{}'::json not null,
  log_ms double precision default 0 not null,
  log_ms_squares double precision default 0 not null,
  paid bigint default 0 not null,
  micro_usd double precision default 0 not null,
  micro_usd_squares double precision default 0 not null,
  told_tokens bigint default 0 not null,
  tokens double precision default 0 not null,
  told_complexity bigint default 0 not null,
  complexity double precision default 0 not null,
  last_at timestamp with time zone not null,
  constraint agent_task_days_pkey PRIMARY KEY (agent, task_type, day)
);
CREATE INDEX agent_task_days_by_type ON public.agent_task_days USING btree (task_type, day);

create table agent_task_executions (
  attempt_id uuid not null,
  tx xid8 default pg_current_xact_id() not null,
  run_id uuid,
  task text,
  workflow text,
  mode text,
  agent text not null,
  definition_hash text,
  task_type text not null,
  task_hash bytea not null,
  complexity real,
  input_bytes bigint,
  context json,
  started_at timestamp with time zone not null,
  ended_at timestamp with time zone not null,
  result text not null,
  own_fault boolean,
  error_code text,
  wall_ms double precision,
  cpu_ms double precision,
  peak_memory_bytes bigint,
  output_bytes bigint,
  tokens bigint,
  cost_micro_usd bigint,
  partners text[],
  policy text,
  propensity double precision,
  predicted_success double precision,
  predicted_ms double precision,
  predicted_ms_low double precision,
  predicted_ms_high double precision,
  candidates text[],
  reported_by text,
  signature bytea,
  constraint agent_task_executions_pkey PRIMARY KEY (attempt_id),
  constraint agent_task_executions_check CHECK ((ended_at >= started_at)),
  constraint agent_task_executions_complexity_check CHECK (((complexity >= (0)::double precision) AND (complexity <= (1)::double precision))),
  constraint agent_task_executions_cost_micro_usd_check CHECK ((cost_micro_usd >= 0)),
  constraint agent_task_executions_cpu_ms_check CHECK ((cpu_ms >= (0)::double precision)),
  constraint agent_task_executions_input_bytes_check CHECK ((input_bytes >= 0)),
  constraint agent_task_executions_output_bytes_check CHECK ((output_bytes >= 0)),
  constraint agent_task_executions_peak_memory_bytes_check CHECK ((peak_memory_bytes >= 0)),
  constraint agent_task_executions_predicted_ms_check CHECK ((predicted_ms >= (0)::double precision)),
  constraint agent_task_executions_predicted_ms_high_check CHECK ((predicted_ms_high >= (0)::double precision)),
  constraint agent_task_executions_predicted_ms_low_check CHECK ((predicted_ms_low >= (0)::double precision)),
  constraint agent_task_executions_predicted_success_check CHECK (((predicted_success >= (0)::double precision) AND (predicted_success <= (1)::double precision))),
  constraint agent_task_executions_propensity_check CHECK (((propensity > (0)::double precision) AND (propensity <= (1)::double precision))),
  constraint agent_task_executions_result_check CHECK ((result = ANY (ARRAY['succeeded'::text, 'failed'::text, 'cancelled'::text]))),
  constraint agent_task_executions_tokens_check CHECK ((tokens >= 0)),
  constraint agent_task_executions_wall_ms_check CHECK ((wall_ms >= (0)::double precision))
);
CREATE INDEX agent_task_executions_by_run ON public.agent_task_executions USING btree (run_id, task COLLATE "C") WHERE (run_id IS NOT NULL);
CREATE INDEX agent_task_executions_by_task ON public.agent_task_executions USING btree (task_hash);
CREATE INDEX agent_task_executions_in_order ON public.agent_task_executions USING btree (tx, attempt_id);
CREATE INDEX agent_task_executions_reported ON public.agent_task_executions USING btree (reported_by, agent, tx, attempt_id) WHERE (reported_by IS NOT NULL);

create table api_keys (
  key_id uuid default gen_random_uuid() not null,
  user_id uuid not null,
  name text not null,
  key_prefix text not null,
  key_hash bytea not null,
  scopes text[],
  allowed_ips inet[],
  rate_limit_per_minute integer default 1000 not null,
  created_at timestamp with time zone default now() not null,
  expires_at timestamp with time zone,
  last_used_at timestamp with time zone,
  revoked_at timestamp with time zone,
  constraint api_keys_pkey PRIMARY KEY (key_id),
  constraint api_keys_key_prefix_key UNIQUE (key_prefix),
  constraint api_keys_name_check CHECK (((length(name) >= 1) AND (length(name) <= 100))),
  constraint api_keys_rate_limit_per_minute_check CHECK ((rate_limit_per_minute > 0)),
  constraint api_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(user_id) ON DELETE CASCADE
);
CREATE INDEX api_keys_by_user ON public.api_keys USING btree (user_id, created_at DESC);
CREATE TRIGGER api_keys_changed AFTER DELETE OR UPDATE OF user_id, key_prefix, scopes, allowed_ips, rate_limit_per_minute, expires_at, revoked_at, key_hash ON public.api_keys FOR EACH ROW EXECUTE FUNCTION identity_changed('api_key', 'key_prefix');
CREATE TRIGGER api_keys_truncated BEFORE TRUNCATE ON public.api_keys FOR EACH STATEMENT EXECUTE FUNCTION identity_truncated('api_key', 'key_prefix');

create table authorization_codes (
  code_hash bytea not null,
  client_id text not null,
  user_id uuid not null,
  redirect_uri text not null,
  code_challenge text not null,
  scope text,
  resource text,
  bound_to text,
  approved_by uuid,
  expires_at timestamp with time zone not null,
  session_id uuid,
  constraint authorization_codes_pkey PRIMARY KEY (code_hash),
  constraint authorization_codes_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(user_id) ON DELETE CASCADE
);
CREATE INDEX authorization_codes_by_expiry ON public.authorization_codes USING btree (expires_at);
CREATE INDEX authorization_codes_by_user ON public.authorization_codes USING btree (user_id);

create table breakers (
  key text not null,
  state text default 'closed'::text not null,
  calls text[] default '{}'::text[] not null,
  calls_at timestamp with time zone[] default '{}'::timestamp with time zone[] not null,
  open_until timestamp with time zone,
  successes smallint default 0 not null,
  openings bigint default 0 not null,
  last_failure_at timestamp with time zone,
  last_failure_code text,
  changed_at timestamp with time zone default now() not null,
  reset_at timestamp with time zone,
  reset_by text,
  constraint breakers_pkey PRIMARY KEY (key),
  constraint breakers_check CHECK ((cardinality(calls) = cardinality(calls_at))),
  constraint breakers_check1 CHECK (((state = 'open'::text) = (open_until IS NOT NULL))),
  constraint breakers_key_check CHECK (((key ~ '^(agent|model|tool):'::text) AND ((length(key) >= 6) AND (length(key) <= 220)))),
  constraint breakers_state_check CHECK ((state = ANY (ARRAY['closed'::text, 'open'::text, 'half_open'::text])))
);
CREATE INDEX breakers_not_closed ON public.breakers USING btree (key) WHERE (state <> 'closed'::text);

create table budget_reservations (
  attempt_id uuid not null,
  budget text not null,
  run_id uuid not null,
  agent text not null,
  micro_usd bigint not null,
  tokens bigint not null,
  ms bigint not null,
  reserved_at timestamp with time zone default now() not null,
  expires_at timestamp with time zone not null,
  constraint budget_reservations_pkey PRIMARY KEY (attempt_id, budget),
  constraint budget_reservations_budget_fkey FOREIGN KEY (budget) REFERENCES budgets(name) ON DELETE CASCADE,
  constraint budget_reservations_micro_usd_check CHECK ((micro_usd >= 0)),
  constraint budget_reservations_ms_check CHECK ((ms >= 0)),
  constraint budget_reservations_tokens_check CHECK ((tokens >= 0))
);
CREATE INDEX budget_reservations_by_budget ON public.budget_reservations USING btree (budget, expires_at);
CREATE INDEX budget_reservations_by_end ON public.budget_reservations USING btree (expires_at);

create table budget_use (
  budget text not null,
  period_start timestamp with time zone not null,
  run_id uuid not null,
  agent text not null,
  micro_usd bigint default 0 not null,
  tokens bigint default 0 not null,
  ms bigint default 0 not null,
  calls integer default 0 not null,
  unknown_calls integer default 0 not null,
  last_at timestamp with time zone default now() not null,
  constraint budget_use_pkey PRIMARY KEY (budget, period_start, run_id, agent),
  constraint budget_use_budget_fkey FOREIGN KEY (budget) REFERENCES budgets(name) ON DELETE CASCADE
);
CREATE INDEX budget_use_by_age ON public.budget_use USING btree (last_at);

create table budgets (
  name text not null,
  period text not null,
  limit_micro_usd bigint,
  limit_tokens bigint,
  limit_ms bigint,
  limit_concurrency integer,
  period_start timestamp with time zone not null,
  spent_micro_usd bigint default 0 not null,
  spent_tokens bigint default 0 not null,
  spent_ms bigint default 0 not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  updated_by text,
  constraint budgets_pkey PRIMARY KEY (name),
  constraint budgets_limit_concurrency_check CHECK (((limit_concurrency >= 0) AND (limit_concurrency <= 1000000))),
  constraint budgets_limit_micro_usd_check CHECK (((limit_micro_usd >= 0) AND (limit_micro_usd <= '1000000000000000'::bigint))),
  constraint budgets_limit_ms_check CHECK (((limit_ms >= 0) AND (limit_ms <= '1000000000000000'::bigint))),
  constraint budgets_limit_tokens_check CHECK (((limit_tokens >= 0) AND (limit_tokens <= '1000000000000000'::bigint))),
  constraint budgets_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'::text)),
  constraint budgets_period_check CHECK ((period = ANY (ARRAY['day'::text, 'week'::text, 'month'::text, 'forever'::text]))),
  constraint budgets_spent_micro_usd_check CHECK ((spent_micro_usd >= 0)),
  constraint budgets_spent_ms_check CHECK ((spent_ms >= 0)),
  constraint budgets_spent_tokens_check CHECK ((spent_tokens >= 0))
);

create table device_codes (
  device_code_hash bytea not null,
  user_code text not null,
  client_id text not null,
  scope text,
  bound_to text,
  status text default 'pending'::text not null,
  claimed_by uuid,
  user_id uuid,
  ip_address inet,
  user_agent text default ''::text not null,
  created_at timestamp with time zone default now() not null,
  expires_at timestamp with time zone not null,
  interval_seconds integer default 5 not null,
  last_polled_at timestamp with time zone,
  resource text,
  constraint device_codes_pkey PRIMARY KEY (device_code_hash),
  constraint device_codes_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'approved'::text, 'denied'::text]))),
  constraint device_codes_user_code_key UNIQUE (user_code),
  constraint device_codes_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(user_id) ON DELETE CASCADE
);
CREATE INDEX device_codes_by_expiry ON public.device_codes USING btree (expires_at);
CREATE INDEX device_codes_by_user ON public.device_codes USING btree (user_id);

create table dismissed_failures (
  fingerprint text not null,
  dismissed_at timestamp with time zone default now() not null,
  dismissed_by text not null,
  constraint dismissed_failures_pkey PRIMARY KEY (fingerprint)
);

create table identity_changes (
  change_id bigint generated always as identity not null,
  transaction_id xid8 default pg_current_xact_id() not null,
  at timestamp with time zone default now() not null,
  kind text not null,
  subject text not null,
  constraint identity_changes_pkey PRIMARY KEY (change_id),
  constraint identity_changes_kind_check CHECK ((kind = ANY (ARRAY['user'::text, 'roles'::text, 'session'::text, 'api_key'::text, 'token'::text, 'signing_keys'::text])))
);
CREATE INDEX identity_changes_by_time ON public.identity_changes USING btree (at);
CREATE INDEX identity_changes_by_transaction ON public.identity_changes USING btree (transaction_id);

create table identity_settings (
  name text not null,
  value json not null,
  constraint identity_settings_pkey PRIMARY KEY (name)
);

create table learning_policies (
  policy text not null,
  state text not null,
  parameters json not null,
  executions bigint not null,
  evaluation json,
  reason text,
  fitted_at timestamp with time zone default now() not null,
  decided_at timestamp with time zone,
  constraint learning_policies_pkey PRIMARY KEY (policy),
  constraint learning_policies_state_check CHECK ((state = ANY (ARRAY['candidate'::text, 'incumbent'::text, 'retired'::text, 'refused'::text])))
);
CREATE UNIQUE INDEX learning_policies_incumbent ON public.learning_policies USING btree (state) WHERE (state = 'incumbent'::text);

create table learning_state (
  only_row boolean default true not null,
  mode text default 'balanced'::text not null,
  read_tx xid8 default '0'::xid8 not null,
  read_attempt uuid default '00000000-0000-0000-0000-000000000000'::uuid not null,
  updated_at timestamp with time zone default now() not null,
  renewed_at timestamp with time zone default '1970-01-01 00:00:00+00'::timestamp with time zone not null,
  surveyed_at timestamp with time zone default '1970-01-01 00:00:00+00'::timestamp with time zone not null,
  insights_at timestamp with time zone default '1970-01-01 00:00:00+00'::timestamp with time zone not null,
  constraint learning_state_pkey PRIMARY KEY (only_row),
  constraint learning_state_mode_check CHECK ((mode = ANY (ARRAY['exploration'::text, 'balanced'::text, 'exploitation'::text]))),
  constraint learning_state_only_row_check CHECK (only_row)
);

create table login_attempts (
  username text not null,
  failed_attempts integer not null,
  lockouts integer default 0 not null,
  last_failed_at timestamp with time zone not null,
  locked_until timestamp with time zone,
  constraint login_attempts_pkey PRIMARY KEY (username)
);
CREATE INDEX login_attempts_by_time ON public.login_attempts USING btree (last_failed_at);

create table mcp_tools (
  server text not null,
  tool text not null,
  server_name text not null,
  state text not null,
  reason text,
  hash text not null,
  definition json not null,
  trusted_hash text,
  trusted_definition json,
  first_seen_at timestamp with time zone default now() not null,
  changed_at timestamp with time zone default now() not null,
  accepted_by text,
  accepted_by_id text,
  accepted_at timestamp with time zone,
  constraint mcp_tools_pkey PRIMARY KEY (server, tool),
  constraint mcp_tools_check CHECK (((state = 'trusted'::text) = (reason IS NULL))),
  constraint mcp_tools_check1 CHECK (((state <> 'trusted'::text) OR (trusted_hash = hash))),
  constraint mcp_tools_check2 CHECK (((trusted_hash IS NULL) = (trusted_definition IS NULL))),
  constraint mcp_tools_hash_check CHECK ((hash ~ '^[0-9a-f]{64}$'::text)),
  constraint mcp_tools_server_check CHECK ((server ~ '^[0-9a-f]{64}$'::text)),
  constraint mcp_tools_state_check CHECK ((state = ANY (ARRAY['trusted'::text, 'quarantined'::text]))),
  constraint mcp_tools_tool_check CHECK (((length(tool) >= 1) AND (length(tool) <= 256))),
  constraint mcp_tools_trusted_hash_check CHECK ((trusted_hash ~ '^[0-9a-f]{64}$'::text))
);

create table oauth_clients (
  client_id text not null,
  client_name text not null,
  redirect_uris text[] default '{}'::text[] not null,
  created_by uuid,
  created_at timestamp with time zone default now() not null,
  constraint oauth_clients_pkey PRIMARY KEY (client_id),
  constraint oauth_clients_client_id_check CHECK (((length(client_id) >= 1) AND (length(client_id) <= 200)))
);

create table passkeys (
  credential_id text not null,
  user_id uuid not null,
  public_key bytea not null,
  counter bigint not null,
  transports text[] not null,
  backed_up boolean not null,
  name text not null,
  created_at timestamp with time zone default now() not null,
  last_used_at timestamp with time zone,
  constraint passkeys_pkey PRIMARY KEY (credential_id),
  constraint passkeys_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(user_id) ON DELETE CASCADE
);
CREATE INDEX passkeys_by_user ON public.passkeys USING btree (user_id);

create table password_history (
  user_id uuid not null,
  changed_at timestamp with time zone default now() not null,
  password_hash text not null,
  constraint password_history_pkey PRIMARY KEY (user_id, changed_at),
  constraint password_history_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(user_id) ON DELETE CASCADE
);

create table permission_bits (
  bit smallint not null,
  action text not null,
  implied_by bigint default 0 not null,
  since integer not null,
  description text not null,
  constraint permission_bits_pkey PRIMARY KEY ("bit"),
  constraint permission_bits_action_key UNIQUE (action),
  constraint permission_bits_bit_check CHECK ((("bit" >= 0) AND ("bit" <= 63)))
);

create table permissions (
  permission_id uuid default gen_random_uuid() not null,
  permission_name text not null,
  resource_type text not null,
  resource_pattern text default '*'::text not null,
  action text not null,
  permission_value bigint not null,
  description text default ''::text not null,
  created_at timestamp with time zone default now() not null,
  constraint permissions_pkey PRIMARY KEY (permission_id),
  constraint permissions_check CHECK ((((permission_value & (63)::bigint) = 0) OR ((resource_type = '*'::text) AND (resource_pattern = '*'::text)))),
  constraint permissions_permission_name_key UNIQUE (permission_name),
  constraint permissions_permission_value_check CHECK ((permission_value <> 0)),
  constraint permissions_resource_pattern_check CHECK (((length(resource_pattern) >= 1) AND (length(resource_pattern) <= 200))),
  constraint permissions_resource_type_resource_pattern_action_key UNIQUE (resource_type, resource_pattern, action)
);
CREATE TRIGGER permissions_changed AFTER DELETE OR UPDATE ON public.permissions FOR EACH STATEMENT EXECUTE FUNCTION identity_changed('roles');
CREATE TRIGGER permissions_truncated AFTER TRUNCATE ON public.permissions FOR EACH STATEMENT EXECUTE FUNCTION identity_changed('roles');

create table rate_limit_events (
  limit_type text not null,
  identifier text not null,
  window_start timestamp with time zone not null,
  request_count integer not null,
  previous_count integer not null,
  blocked_until timestamp with time zone,
  constraint rate_limit_events_pkey PRIMARY KEY (limit_type, identifier)
);
CREATE INDEX rate_limit_events_by_time ON public.rate_limit_events USING btree (window_start);

create table recovery_codes (
  user_id uuid not null,
  code_hash bytea not null,
  constraint recovery_codes_pkey PRIMARY KEY (user_id, code_hash),
  constraint recovery_codes_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(user_id) ON DELETE CASCADE
);

create table refresh_tokens (
  token_hash bytea not null,
  session_id uuid not null,
  client_id text not null,
  scope text,
  bound_to text,
  resource text,
  issued_at timestamp with time zone default now() not null,
  expires_at timestamp with time zone not null,
  used_at timestamp with time zone,
  constraint refresh_tokens_pkey PRIMARY KEY (token_hash),
  constraint refresh_tokens_session_id_fkey FOREIGN KEY (session_id) REFERENCES user_sessions(session_id) ON DELETE CASCADE
);
CREATE INDEX refresh_tokens_by_client ON public.refresh_tokens USING btree (client_id);
CREATE INDEX refresh_tokens_by_session ON public.refresh_tokens USING btree (session_id);

create table revoked_tokens (
  jti text not null,
  until timestamp with time zone not null,
  constraint revoked_tokens_pkey PRIMARY KEY (jti),
  constraint revoked_tokens_jti_check CHECK (((length(jti) >= 1) AND (length(jti) <= 63)))
);
CREATE INDEX revoked_tokens_by_end ON public.revoked_tokens USING btree (until);
CREATE TRIGGER revoked_tokens_changed AFTER INSERT ON public.revoked_tokens FOR EACH ROW EXECUTE FUNCTION identity_changed('token', 'jti');

create table role_permissions (
  role_id uuid not null,
  permission_id uuid not null,
  granted_at timestamp with time zone default now() not null,
  constraint role_permissions_pkey PRIMARY KEY (role_id, permission_id),
  constraint role_permissions_permission_id_fkey FOREIGN KEY (permission_id) REFERENCES permissions(permission_id) ON DELETE CASCADE,
  constraint role_permissions_role_id_fkey FOREIGN KEY (role_id) REFERENCES roles(role_id) ON DELETE CASCADE
);
CREATE INDEX role_permissions_by_permission ON public.role_permissions USING btree (permission_id);
CREATE TRIGGER role_permissions_changed AFTER INSERT OR DELETE OR UPDATE ON public.role_permissions FOR EACH STATEMENT EXECUTE FUNCTION identity_changed('roles');
CREATE TRIGGER role_permissions_truncated AFTER TRUNCATE ON public.role_permissions FOR EACH STATEMENT EXECUTE FUNCTION identity_changed('roles');

create table roles (
  role_id uuid default gen_random_uuid() not null,
  role_name text not null,
  role_level smallint not null,
  is_system_role boolean default false not null,
  description text default ''::text not null,
  created_at timestamp with time zone default now() not null,
  constraint roles_pkey PRIMARY KEY (role_id),
  constraint roles_role_level_check CHECK (((role_level >= 1) AND (role_level <= 5))),
  constraint roles_role_name_check CHECK ((role_name ~ '^[a-z][a-z0-9_.-]{0,62}$'::text)),
  constraint roles_role_name_key UNIQUE (role_name)
);
CREATE TRIGGER roles_changed AFTER DELETE OR UPDATE ON public.roles FOR EACH STATEMENT EXECUTE FUNCTION identity_changed('roles');
CREATE TRIGGER roles_truncated AFTER TRUNCATE ON public.roles FOR EACH STATEMENT EXECUTE FUNCTION identity_changed('roles');

create table run_conversations (
  run_id uuid not null,
  principal_id uuid not null,
  workflow text not null,
  context_id text not null,
  constraint run_conversations_pkey PRIMARY KEY (run_id),
  constraint run_conversations_context_id_check CHECK (((length(context_id) >= 1) AND (length(context_id) <= 200)))
);
CREATE INDEX run_conversations_by_context ON public.run_conversations USING btree (principal_id, context_id, run_id DESC);
CREATE INDEX run_conversations_by_principal ON public.run_conversations USING btree (principal_id, run_id DESC);

create table run_events (
  run_id uuid not null,
  seq integer not null,
  at timestamp with time zone default now() not null,
  epoch bigint not null,
  body json not null,
  events smallint default 1 not null,
  constraint run_events_pkey PRIMARY KEY (run_id, seq),
  constraint run_events_events_check CHECK (((events >= 1) AND (events <= 256))),
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

create table run_messages (
  run_id uuid not null,
  message_id text not null,
  position bigint generated always as identity not null,
  body json not null,
  constraint run_messages_pkey PRIMARY KEY (run_id, message_id),
  constraint run_messages_message_id_check CHECK (((length(message_id) >= 1) AND (length(message_id) <= 200))),
  constraint run_messages_run_id_fkey FOREIGN KEY (run_id) REFERENCES run_conversations(run_id) ON DELETE CASCADE
);

create table run_signals (
  run_id uuid not null,
  signal_id uuid not null,
  kind text not null,
  body json not null,
  at timestamp with time zone default now() not null,
  constraint run_signals_pkey PRIMARY KEY (run_id, signal_id),
  constraint run_signals_kind_check CHECK ((kind = ANY (ARRAY['cancel'::text, 'retry'::text, 'pause'::text, 'resume'::text, 'answer'::text, 'signal'::text, 'undo'::text])))
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
  format smallint default 1 not null,
  wake_at timestamp with time zone,
  fingerprint text,
  undo text,
  started_by text,
  forked_from uuid,
  parent_run_id uuid,
  parent_task text,
  constraint runs_pkey PRIMARY KEY (run_id),
  constraint runs_priority_check CHECK (((priority >= 1) AND (priority <= 100))),
  constraint runs_status_check CHECK ((status = ANY (ARRAY['created'::text, 'queued'::text, 'running'::text, 'paused'::text, 'waiting'::text, 'completed'::text, 'failed'::text, 'cancelled'::text, 'recovering'::text]))),
  constraint runs_undo_check CHECK ((undo = ANY (ARRAY['requested'::text, 'undone'::text, 'failed'::text])))
) partition by RANGE (run_id);
CREATE INDEX runs_by_fingerprint ON ONLY public.runs USING btree (fingerprint, finished_at DESC, run_id DESC) WHERE ((status = 'failed'::text) AND (fingerprint IS NOT NULL));
CREATE INDEX runs_by_parent ON ONLY public.runs USING btree (parent_run_id, run_id) WHERE (parent_run_id IS NOT NULL);
CREATE INDEX runs_by_status ON ONLY public.runs USING btree (status, run_id DESC);
CREATE INDEX runs_by_workflow ON ONLY public.runs USING btree (workflow, run_id DESC);
CREATE INDEX runs_due ON ONLY public.runs USING btree (wake_at) WHERE ((owner IS NULL) AND (finished_at IS NULL) AND (wake_at IS NOT NULL));
CREATE INDEX runs_failed ON ONLY public.runs USING btree (finished_at DESC, run_id DESC) WHERE ((status = 'failed'::text) AND (fingerprint IS NOT NULL));
CREATE INDEX runs_open_by_owner ON ONLY public.runs USING btree (owner) WHERE (finished_at IS NULL);
CREATE INDEX runs_unowned ON ONLY public.runs USING btree (priority DESC, run_id) WHERE ((owner IS NULL) AND (finished_at IS NULL) AND (wake_at IS NULL));
CREATE INDEX runs_without_fingerprint ON ONLY public.runs USING btree (run_id) WHERE ((status = 'failed'::text) AND (fingerprint IS NULL));

create table schedule_fires (
  schedule_id uuid not null,
  fire_at timestamp with time zone not null,
  by_hand boolean default false not null,
  status text not null,
  fires integer default 1 not null,
  reason text,
  error json,
  run_id uuid,
  ended boolean default false not null,
  started_by text not null,
  started_by_id text not null,
  failed_tries integer default 0 not null,
  try_at timestamp with time zone default now() not null,
  cancel_asked_at timestamp with time zone,
  recorded_at timestamp with time zone default now() not null,
  constraint schedule_fires_pkey PRIMARY KEY (schedule_id, fire_at),
  constraint schedule_fires_fires_check CHECK ((fires > 0)),
  constraint schedule_fires_schedule_id_fkey FOREIGN KEY (schedule_id) REFERENCES schedules(schedule_id) ON DELETE CASCADE,
  constraint schedule_fires_status_check CHECK ((status = ANY (ARRAY['starting'::text, 'started'::text, 'skipped'::text, 'failed'::text])))
);
CREATE INDEX schedule_fires_open ON public.schedule_fires USING btree (schedule_id, fire_at) WHERE ((status = 'starting'::text) OR ((status = 'started'::text) AND (NOT ended)));
CREATE INDEX schedule_fires_starting ON public.schedule_fires USING btree (try_at) WHERE (status = 'starting'::text);

create table schedules (
  schedule_id uuid not null,
  name text not null,
  workflow text not null,
  input json not null,
  priority smallint,
  cron text,
  every_seconds integer,
  timezone text default 'UTC'::text not null,
  until_at timestamp with time zone,
  missed text not null,
  overlap text not null,
  created_at timestamp with time zone default now() not null,
  created_by text not null,
  created_by_id text not null,
  paused_at timestamp with time zone,
  next_at timestamp with time zone,
  problem json,
  constraint schedules_pkey PRIMARY KEY (schedule_id),
  constraint schedules_check CHECK (((cron IS NULL) <> (every_seconds IS NULL))),
  constraint schedules_every_seconds_check CHECK ((every_seconds > 0)),
  constraint schedules_missed_check CHECK ((missed = ANY (ARRAY['skip'::text, 'once'::text, 'all'::text]))),
  constraint schedules_name_check CHECK (((length(name) >= 1) AND (length(name) <= 100))),
  constraint schedules_name_key UNIQUE (name),
  constraint schedules_overlap_check CHECK ((overlap = ANY (ARRAY['allow'::text, 'skip'::text, 'cancel'::text]))),
  constraint schedules_priority_check CHECK (((priority >= 1) AND (priority <= 100)))
);
CREATE INDEX schedules_due ON public.schedules USING btree (next_at) WHERE (next_at IS NOT NULL);

create table schema_migrations (
  number integer not null,
  name text not null,
  checksum text not null,
  breaking boolean not null,
  applied_at timestamp with time zone default now() not null,
  constraint schema_migrations_pkey PRIMARY KEY (number)
);

create table security_events (
  event_id uuid default gen_random_uuid() not null,
  occurred_at timestamp with time zone default clock_timestamp() not null,
  event_type text not null,
  severity smallint not null,
  risk_score smallint default 0 not null,
  user_id uuid,
  username text,
  session_id uuid,
  ip_address inet,
  user_agent text,
  details json default '{}'::json not null,
  authentication_ms real,
  database_ms real,
  constraint security_events_pkey PRIMARY KEY (event_id),
  constraint security_events_event_type_check CHECK ((event_type = ANY (ARRAY['login_success'::text, 'login_failure'::text, 'token_issued'::text, 'token_expired'::text, 'permission_denied'::text, 'rate_limit_exceeded'::text, 'ddos_detected'::text, 'key_rotated'::text, 'tls_handshake'::text, 'hmac_failure'::text, 'account_locked'::text, 'password_changed'::text, 'role_assigned'::text, 'suspicious_activity'::text, 'principal_changed'::text, 'role_changed'::text, 'credential_changed'::text, 'session_ended'::text]))),
  constraint security_events_risk_score_check CHECK (((risk_score >= 0) AND (risk_score <= 100))),
  constraint security_events_severity_check CHECK (((severity >= 1) AND (severity <= 5)))
);
CREATE INDEX security_events_by_time ON public.security_events USING btree (occurred_at DESC, event_id);
CREATE INDEX security_events_by_user ON public.security_events USING btree (user_id, occurred_at DESC) WHERE (user_id IS NOT NULL);
CREATE INDEX security_events_by_username ON public.security_events USING btree (username, occurred_at DESC) WHERE (username IS NOT NULL);

create table signing_keys (
  kid text not null,
  algorithm text not null,
  public_jwk json,
  sealed_private bytea not null,
  created_at timestamp with time zone default now() not null,
  signs_from timestamp with time zone not null,
  signs_until timestamp with time zone not null,
  verifies_until timestamp with time zone not null,
  constraint signing_keys_pkey PRIMARY KEY (kid),
  constraint signing_keys_algorithm_check CHECK ((algorithm = ANY (ARRAY['ES256'::text, 'EdDSA'::text, 'HS256'::text]))),
  constraint signing_keys_check CHECK (((signs_from < signs_until) AND (signs_until <= verifies_until)))
);
CREATE TRIGGER signing_keys_changed AFTER INSERT OR DELETE OR UPDATE ON public.signing_keys FOR EACH STATEMENT EXECUTE FUNCTION identity_changed('signing_keys');
CREATE TRIGGER signing_keys_truncated AFTER TRUNCATE ON public.signing_keys FOR EACH STATEMENT EXECUTE FUNCTION identity_changed('signing_keys');

create table task_embeddings (
  task_hash bytea not null,
  embedder text not null,
  embedding bytea not null,
  constraint task_embeddings_pkey PRIMARY KEY (embedder, task_hash),
  constraint task_embeddings_embedding_check CHECK ((octet_length(embedding) = 1024)),
  constraint task_embeddings_task_hash_fkey FOREIGN KEY (task_hash) REFERENCES task_texts(task_hash) ON DELETE CASCADE
);
CREATE INDEX task_embeddings_by_task ON public.task_embeddings USING btree (task_hash);

create table task_evidence (
  task_hash bytea not null,
  agent text not null,
  tried integer default 0 not null,
  succeeded integer default 0 not null,
  log_ms double precision default 0 not null,
  log_ms_squares double precision default 0 not null,
  paid integer default 0 not null,
  micro_usd double precision default 0 not null,
  last_at timestamp with time zone not null,
  constraint task_evidence_pkey PRIMARY KEY (task_hash, agent)
);

create table task_texts (
  task_hash bytea not null,
  task_type text not null,
  description text not null,
  first_seen_at timestamp with time zone default now() not null,
  constraint task_texts_pkey PRIMARY KEY (task_hash),
  constraint task_texts_description_check CHECK ((length(description) <= 4000)),
  constraint task_texts_task_hash_check CHECK ((octet_length(task_hash) = 32)),
  constraint task_texts_task_type_check CHECK (((length(task_type) >= 1) AND (length(task_type) <= 200)))
);

create table task_type_analysis (
  task_type text not null,
  executions bigint not null,
  succeeded bigint not null,
  success_rate double precision,
  avg_ms double precision,
  p95_ms double precision,
  avg_complexity double precision,
  agents integer not null,
  best_agent text,
  best_rate double precision,
  last_at timestamp with time zone,
  updated_at timestamp with time zone default now() not null,
  tried bigint default 0 not null,
  stale_since timestamp with time zone,
  constraint task_type_analysis_pkey PRIMARY KEY (task_type)
);

create table used_nonces (
  nonce_hash bytea not null,
  until timestamp with time zone not null,
  constraint used_nonces_pkey PRIMARY KEY (nonce_hash)
);
CREATE INDEX used_nonces_by_end ON public.used_nonces USING btree (until);

create table user_profiles (
  user_id uuid not null,
  display_name text default ''::text not null,
  email text,
  attributes json default '{}'::json not null,
  updated_at timestamp with time zone default now() not null,
  constraint user_profiles_pkey PRIMARY KEY (user_id),
  constraint user_profiles_email_check CHECK ((email = lower(email))),
  constraint user_profiles_email_key UNIQUE (email),
  constraint user_profiles_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(user_id) ON DELETE CASCADE
);

create table user_roles (
  user_id uuid not null,
  role_id uuid not null,
  assigned_at timestamp with time zone default now() not null,
  assigned_by uuid,
  expires_at timestamp with time zone,
  constraint user_roles_pkey PRIMARY KEY (user_id, role_id),
  constraint user_roles_role_id_fkey FOREIGN KEY (role_id) REFERENCES roles(role_id) ON DELETE CASCADE,
  constraint user_roles_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(user_id) ON DELETE CASCADE
);
CREATE INDEX user_roles_by_role ON public.user_roles USING btree (role_id);
CREATE TRIGGER user_roles_changed AFTER INSERT OR DELETE OR UPDATE ON public.user_roles FOR EACH ROW EXECUTE FUNCTION identity_changed('user', 'user_id');
CREATE TRIGGER user_roles_truncated AFTER TRUNCATE ON public.user_roles FOR EACH STATEMENT EXECUTE FUNCTION identity_changed('roles');

create table user_sessions (
  session_id uuid default gen_random_uuid() not null,
  user_id uuid not null,
  jwt_token_id text not null,
  created_at timestamp with time zone default now() not null,
  expires_at timestamp with time zone not null,
  last_activity timestamp with time zone default now() not null,
  ip_address inet,
  user_agent text default ''::text not null,
  device_fingerprint text,
  is_active boolean default true not null,
  login_method text not null,
  session_data json default '{}'::json not null,
  ended_at timestamp with time zone,
  end_reason text,
  constraint user_sessions_pkey PRIMARY KEY (session_id),
  constraint user_sessions_jwt_token_id_key UNIQUE (jwt_token_id),
  constraint user_sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(user_id) ON DELETE CASCADE
);
CREATE INDEX user_sessions_by_creation ON public.user_sessions USING btree (created_at);
CREATE INDEX user_sessions_by_expiry ON public.user_sessions USING btree (expires_at);
CREATE INDEX user_sessions_by_user ON public.user_sessions USING btree (user_id, created_at DESC);
CREATE TRIGGER user_sessions_changed AFTER DELETE OR UPDATE OF session_id, user_id, jwt_token_id, created_at, is_active, expires_at ON public.user_sessions FOR EACH ROW EXECUTE FUNCTION identity_changed('session', 'session_id');
CREATE TRIGGER user_sessions_truncated BEFORE TRUNCATE ON public.user_sessions FOR EACH STATEMENT EXECUTE FUNCTION identity_truncated('session', 'session_id');

create table users (
  user_id uuid default gen_random_uuid() not null,
  username text not null,
  kind text default 'user'::text not null,
  status text default 'active'::text not null,
  password_hash text,
  password_changed_at timestamp with time zone,
  must_change_password boolean default false not null,
  totp_secret bytea,
  totp_pending bytea,
  totp_last_step bigint,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint users_pkey PRIMARY KEY (user_id),
  constraint users_kind_check CHECK ((kind = ANY (ARRAY['user'::text, 'agent'::text]))),
  constraint users_password_hash_check CHECK ((password_hash ~~ '$argon2id$v=19$%'::text)),
  constraint users_status_check CHECK ((status = ANY (ARRAY['active'::text, 'disabled'::text]))),
  constraint users_username_check CHECK ((username ~ '^[a-z0-9][a-z0-9._@+-]{0,62}$'::text)),
  constraint users_username_key UNIQUE (username)
);
CREATE TRIGGER users_changed AFTER DELETE OR UPDATE OF status, username, kind, must_change_password ON public.users FOR EACH ROW EXECUTE FUNCTION identity_changed('user', 'user_id');
CREATE TRIGGER users_truncated AFTER TRUNCATE ON public.users FOR EACH STATEMENT EXECUTE FUNCTION identity_changed('roles');

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
  used_at timestamp with time zone,
  constraint workflow_definitions_pkey PRIMARY KEY (hash)
);

create table run_events_default partition of run_events DEFAULT;

create table run_signals_default partition of run_signals DEFAULT;

create table runs_default partition of runs DEFAULT;

create view auth_performance_metrics as
 SELECT 'authentication_latency'::text AS metric,
    avg(security_events.authentication_ms) AS avg,
    percentile_cont(0.95::double precision) WITHIN GROUP (ORDER BY (security_events.authentication_ms::double precision)) AS p95,
    count(security_events.authentication_ms) AS sample_size,
    'ms'::text AS unit
   FROM security_events
  WHERE (security_events.event_type = ANY (ARRAY['login_success'::text, 'login_failure'::text])) AND security_events.occurred_at > (now() - '01:00:00'::interval)
UNION ALL
 SELECT 'session_creation_rate'::text AS metric,
    avg(rates.created)::double precision AS avg,
    percentile_cont(0.95::double precision) WITHIN GROUP (ORDER BY (rates.created::double precision)) AS p95,
    sum(rates.created)::bigint AS sample_size,
    '1/min'::text AS unit
   FROM ( SELECT count(s.session_id) AS created
           FROM generate_series(59, 0, '-1'::integer) minute(ago)
             LEFT JOIN user_sessions s ON s.created_at > (now() - (minute.ago + 1)::double precision * '00:01:00'::interval) AND s.created_at <= (now() - minute.ago::double precision * '00:01:00'::interval)
          GROUP BY minute.ago) rates
UNION ALL
 SELECT 'concurrent_sessions'::text AS metric,
    avg(counts.alive)::double precision AS avg,
    percentile_cont(0.95::double precision) WITHIN GROUP (ORDER BY (counts.alive::double precision)) AS p95,
    max(counts.alive) AS sample_size,
    'sessions'::text AS unit
   FROM ( SELECT count(s.session_id) AS alive
           FROM generate_series(59, 0, '-1'::integer) minute(ago)
             LEFT JOIN user_sessions s ON s.created_at <= (now() - minute.ago::double precision * '00:01:00'::interval) AND LEAST(s.expires_at, COALESCE(s.ended_at, 'infinity'::timestamp with time zone)) > (now() - minute.ago::double precision * '00:01:00'::interval)
          GROUP BY minute.ago) counts;

create view binary_integration_health as
 SELECT 'database_performance'::text AS component,
        CASE
            WHEN count(security_events.database_ms) = 0 THEN 'unknown'::text
            WHEN percentile_cont(0.95::double precision) WITHIN GROUP (ORDER BY (security_events.database_ms::double precision)) < 25::double precision THEN 'healthy'::text
            WHEN percentile_cont(0.95::double precision) WITHIN GROUP (ORDER BY (security_events.database_ms::double precision)) < 50::double precision THEN 'warning'::text
            ELSE 'critical'::text
        END AS status,
    percentile_cont(0.95::double precision) WITHIN GROUP (ORDER BY (security_events.database_ms::double precision)) AS value,
    25 AS healthy_below,
    50 AS warning_below,
    'ms p95 of authenticate_user'::text AS unit
   FROM security_events
  WHERE security_events.database_ms IS NOT NULL AND security_events.occurred_at > (now() - '01:00:00'::interval)
UNION ALL
 SELECT 'connection_capacity'::text AS component,
        CASE
            WHEN count(*) < 600 THEN 'healthy'::text
            WHEN count(*) < 700 THEN 'warning'::text
            ELSE 'critical'::text
        END AS status,
    count(*)::double precision AS value,
    600 AS healthy_below,
    700 AS warning_below,
    'client connections'::text AS unit
   FROM pg_stat_activity
  WHERE pg_stat_activity.backend_type = 'client backend'::text;

create view principal_details as
 SELECT u.user_id,
    u.username,
    u.kind,
    u.status,
    COALESCE(p.display_name, ''::text) AS display_name,
    p.email,
    ( SELECT COALESCE(json_agg(json_build_object('name', r.role_name, 'expiresAt', a.expires_at) ORDER BY r.role_level, r.role_name), '[]'::json) AS "coalesce"
           FROM user_roles a
             JOIN roles r ON r.role_id = a.role_id
          WHERE a.user_id = u.user_id AND (a.expires_at IS NULL OR a.expires_at > now())) AS roles,
    COALESCE(( SELECT bit_or(g.permission_value) AS bit_or
           FROM user_grants g
          WHERE g.user_id = u.user_id AND g.resource_pattern = '*'::text), 0::bigint) AS permission_bitmask,
    u.password_hash IS NOT NULL AS has_password,
    u.must_change_password,
    u.totp_secret IS NOT NULL AS has_totp,
    ( SELECT count(*)::integer AS count
           FROM passkeys k
          WHERE k.user_id = u.user_id) AS passkeys,
    COALESCE(( SELECT t.failed_attempts
           FROM login_attempts t
          WHERE t.username = u.username), 0) AS failed_attempts,
    ( SELECT t.locked_until
           FROM login_attempts t
          WHERE t.username = u.username AND t.locked_until > now()) AS locked_until,
    u.created_at,
    ( SELECT max(s.created_at) AS max
           FROM user_sessions s
          WHERE s.user_id = u.user_id) AS last_login_at
   FROM users u
     LEFT JOIN user_profiles p ON p.user_id = u.user_id;

create view user_grants as
 SELECT u.user_id,
    r.role_name,
    p.permission_name,
    p.resource_type,
    p.resource_pattern,
    p.permission_value,
    a.expires_at
   FROM users u
     JOIN user_roles a ON a.user_id = u.user_id AND (a.expires_at IS NULL OR a.expires_at > now())
     JOIN roles r ON r.role_id = a.role_id
     JOIN role_permissions rp ON rp.role_id = r.role_id
     JOIN permissions p ON p.permission_id = rp.permission_id
  WHERE u.status = 'active'::text;

create view user_permissions_mv as
 SELECT user_id,
    username,
    status,
    ARRAY( SELECT r.role_name
           FROM user_roles a
             JOIN roles r ON r.role_id = a.role_id
          WHERE a.user_id = u.user_id AND (a.expires_at IS NULL OR a.expires_at > now())
          ORDER BY r.role_level, r.role_name) AS roles,
    ARRAY( SELECT DISTINCT g.permission_name
           FROM user_grants g
          WHERE g.user_id = u.user_id
          ORDER BY g.permission_name) AS permissions,
    COALESCE(( SELECT bit_or(g.permission_value) AS bit_or
           FROM user_grants g
          WHERE g.user_id = u.user_id AND g.resource_pattern = '*'::text), 0::bigint) AS permission_bitmask
   FROM users u;
