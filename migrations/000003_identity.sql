-- Who there is, what they may do, how they prove who they are, and what was seen of it.
-- Statuses, grants and expiries are read when they are asked for; what processes keep in memory is
-- told of changes by identity_changes.

create table users (
  user_id uuid primary key default gen_random_uuid(),
  -- Lower-case ASCII, so that no two names look alike; profiles hold the name as people write it.
  username text not null unique check (username ~ '^[a-z0-9][a-z0-9._@+-]{0,62}$'),
  kind text not null default 'user' check (kind in ('user', 'agent')),
  status text not null default 'active' check (status in ('active', 'disabled')),
  -- PHC string of Argon2id; null: nobody can sign in with a password.
  password_hash text check (password_hash like '$argon2id$v=19$%'),
  password_changed_at timestamptz,
  must_change_password boolean not null default false,
  -- Sealed with the master key. Pending until a first code has proved that the authenticator works.
  totp_secret bytea,
  totp_pending bytea,
  totp_last_step bigint,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table user_profiles (
  user_id uuid primary key references users on delete cascade,
  display_name text not null default '',
  -- Normalised (NFKC, lower case) before it is compared or stored.
  email text unique check (email = lower(email)),
  attributes json not null default '{}',
  updated_at timestamptz not null default now()
);

create table roles (
  role_id uuid primary key default gen_random_uuid(),
  role_name text not null unique check (role_name ~ '^[a-z][a-z0-9_.-]{0,62}$'),
  -- agent_role_t: 1 admin, 2 system, 3 agent, 4 monitor, 5 guest.
  role_level smallint not null check (role_level between 1 and 5),
  is_system_role boolean not null default false,
  description text not null default '',
  created_at timestamptz not null default now()
);

-- The registry of permission bits. Bits 0–5 are permission_t of the C face; a bit is never given
-- another meaning. implied_by holds the bits 0–5 of which each grants this one as well.
create table permission_bits (
  bit smallint primary key check (bit between 0 and 63),
  action text not null unique,
  implied_by bigint not null default 0,
  since integer not null,
  description text not null
);

create table permissions (
  permission_id uuid primary key default gen_random_uuid(),
  permission_name text not null unique,
  resource_type text not null,
  -- `*` stands for any run of characters, everything else for itself.
  resource_pattern text not null default '*' check (length(resource_pattern) between 1 and 200),
  action text not null,
  permission_value bigint not null check (permission_value <> 0),
  description text not null default '',
  created_at timestamptz not null default now(),
  unique (resource_type, resource_pattern, action),
  -- The wide bits span every kind of resource, so a pattern could not hold them.
  check (permission_value & 63 = 0 or (resource_type = '*' and resource_pattern = '*'))
);

create table role_permissions (
  role_id uuid not null references roles on delete cascade,
  permission_id uuid not null references permissions on delete cascade,
  granted_at timestamptz not null default now(),
  primary key (role_id, permission_id)
);
create index role_permissions_by_permission on role_permissions (permission_id);

create table user_roles (
  user_id uuid not null references users on delete cascade,
  role_id uuid not null references roles on delete cascade,
  assigned_at timestamptz not null default now(),
  assigned_by uuid,
  expires_at timestamptz,
  primary key (user_id, role_id)
);
create index user_roles_by_role on user_roles (role_id);

create table user_sessions (
  session_id uuid primary key default gen_random_uuid(),
  user_id uuid not null references users on delete cascade,
  -- What every jti of the session's tokens begins with.
  jwt_token_id text not null unique,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  last_activity timestamptz not null default now(),
  ip_address inet,
  user_agent text not null default '',
  device_fingerprint text,
  is_active boolean not null default true,
  login_method text not null,
  session_data json not null default '{}',
  ended_at timestamptz,
  end_reason text
);
create index user_sessions_by_user on user_sessions (user_id, created_at desc);
create index user_sessions_by_expiry on user_sessions (expires_at);
create index user_sessions_by_creation on user_sessions (created_at);

-- One family is the refresh tokens of one session: each is used once, and a second use ends the session.
create table refresh_tokens (
  token_hash bytea primary key,
  session_id uuid not null references user_sessions on delete cascade,
  client_id text not null,
  scope text,
  -- Thumbprint of the key that the token is bound to (DPoP).
  bound_to text,
  resource text,
  issued_at timestamptz not null default now(),
  expires_at timestamptz not null,
  used_at timestamptz
);
create index refresh_tokens_by_session on refresh_tokens (session_id);
create index refresh_tokens_by_client on refresh_tokens (client_id);

-- Single tokens taken back before their end; whole sessions end in user_sessions.
create table revoked_tokens (
  jti text primary key check (length(jti) between 1 and 63),
  until timestamptz not null
);
create index revoked_tokens_by_end on revoked_tokens (until);

create table api_keys (
  key_id uuid primary key default gen_random_uuid(),
  user_id uuid not null references users on delete cascade,
  name text not null check (length(name) between 1 and 100),
  key_prefix text not null unique,
  -- SHA-256 of a key of 256 random bits.
  key_hash bytea not null,
  -- Actions that the key is narrowed to; null: all that its principal may do.
  scopes text[],
  allowed_ips inet[],
  rate_limit_per_minute integer not null default 1000 check (rate_limit_per_minute > 0),
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  last_used_at timestamptz,
  revoked_at timestamptz
);
create index api_keys_by_user on api_keys (user_id, created_at desc);

create table passkeys (
  credential_id text primary key,
  user_id uuid not null references users on delete cascade,
  public_key bytea not null,
  counter bigint not null,
  transports text[] not null,
  backed_up boolean not null,
  name text not null,
  created_at timestamptz not null default now(),
  last_used_at timestamptz
);
create index passkeys_by_user on passkeys (user_id);

create table recovery_codes (
  user_id uuid not null references users on delete cascade,
  code_hash bytea not null,
  primary key (user_id, code_hash)
);

create table password_history (
  user_id uuid not null references users on delete cascade,
  changed_at timestamptz not null default now(),
  password_hash text not null,
  primary key (user_id, changed_at)
);

-- Wrong passwords by the name that was typed, whether or not there is such a user: a name that does
-- not exist is locked out like one that does.
create table login_attempts (
  username text primary key,
  failed_attempts integer not null,
  lockouts integer not null default 0,
  last_failed_at timestamptz not null,
  locked_until timestamptz
);
create index login_attempts_by_time on login_attempts (last_failed_at);

create table signing_keys (
  kid text primary key,
  algorithm text not null check (algorithm in ('ES256', 'EdDSA', 'HS256')),
  -- Null for HS256, whose key is nobody else's to see.
  public_jwk json,
  sealed_private bytea not null,
  created_at timestamptz not null default now(),
  signs_from timestamptz not null,
  signs_until timestamptz not null,
  verifies_until timestamptz not null,
  check (signs_from < signs_until and signs_until <= verifies_until)
);

create table oauth_clients (
  client_id text primary key check (length(client_id) between 1 and 200),
  client_name text not null,
  redirect_uris text[] not null default '{}',
  created_by uuid,
  created_at timestamptz not null default now()
);

create table device_codes (
  device_code_hash bytea primary key,
  user_code text not null unique,
  client_id text not null,
  scope text,
  bound_to text,
  status text not null default 'pending' check (status in ('pending', 'approved', 'denied')),
  -- The first browser session that looked the code up; no other can approve it.
  claimed_by uuid,
  user_id uuid references users on delete cascade,
  ip_address inet,
  user_agent text not null default '',
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  -- What a client that asks too often must wait grows.
  interval_seconds integer not null default 5,
  last_polled_at timestamptz,
  -- For which resource the tokens are (RFC 8707); null: for this deployment.
  resource text
);
create index device_codes_by_expiry on device_codes (expires_at);
create index device_codes_by_user on device_codes (user_id);

create table authorization_codes (
  code_hash bytea primary key,
  client_id text not null,
  user_id uuid not null references users on delete cascade,
  redirect_uri text not null,
  code_challenge text not null,
  scope text,
  resource text,
  bound_to text,
  -- The browser session that approved: when it ends before the exchange, so does the approval.
  approved_by uuid,
  expires_at timestamptz not null,
  -- The session that it was exchanged for: a second use ends that session.
  session_id uuid
);
create index authorization_codes_by_expiry on authorization_codes (expires_at);
create index authorization_codes_by_user on authorization_codes (user_id);

-- No foreign keys: an event outlives what it speaks of.
create table security_events (
  event_id uuid primary key default gen_random_uuid(),
  occurred_at timestamptz not null default clock_timestamp(),
  event_type text not null check (event_type in (
    'login_success', 'login_failure', 'token_issued', 'token_expired', 'permission_denied',
    'rate_limit_exceeded', 'ddos_detected', 'key_rotated', 'tls_handshake', 'hmac_failure',
    'account_locked', 'password_changed', 'role_assigned', 'suspicious_activity',
    -- What administration changes is told by name, not as a login or a suspicion.
    'principal_changed', 'role_changed', 'credential_changed', 'session_ended')),
  severity smallint not null check (severity between 1 and 5),
  risk_score smallint not null default 0 check (risk_score between 0 and 100),
  user_id uuid,
  -- As it was typed, at most 63 characters: it may name nobody.
  username text,
  session_id uuid,
  ip_address inet,
  user_agent text,
  details json not null default '{}',
  -- Of a login: all of it, and the database's share, milliseconds.
  authentication_ms real,
  database_ms real
);
create index security_events_by_time on security_events (occurred_at desc, event_id);
create index security_events_by_user on security_events (user_id, occurred_at desc) where user_id is not null;
create index security_events_by_username on security_events (username, occurred_at desc) where username is not null;

-- Unlogged: a count is worth nothing after a crash, and a take waits for no disk.
create unlogged table rate_limit_events (
  limit_type text not null,
  identifier text not null,
  window_start timestamptz not null,
  request_count integer not null,
  previous_count integer not null,
  blocked_until timestamptz,
  primary key (limit_type, identifier)
);
create index rate_limit_events_by_time on rate_limit_events (window_start);

-- What counts once: challenges, proofs of possession.
create table used_nonces (
  nonce_hash bytea primary key,
  until timestamptz not null
);
create index used_nonces_by_end on used_nonces (until);

create table identity_settings (
  name text primary key,
  value json not null
);

-- What processes that keep rights and sessions in memory must forget. They are woken by NOTIFY and
-- read the rows from the oldest transaction on that they may have missed, so a lost message loses
-- nothing. Rows are deleted after an hour; a process that was silent for longer forgets everything.
create table identity_changes (
  change_id bigint generated always as identity primary key,
  transaction_id xid8 not null default pg_current_xact_id(),
  at timestamptz not null default now(),
  kind text not null check (kind in ('user', 'roles', 'session', 'api_key', 'token', 'signing_keys')),
  subject text not null
);
create index identity_changes_by_transaction on identity_changes (transaction_id);
create index identity_changes_by_time on identity_changes (at);

create function announce_identity_change(kind text, subject text) returns void
language sql as $$
  insert into identity_changes (kind, subject) values (kind, subject);
  select pg_notify('centuria_identity', kind || ':' || subject);
$$;

-- The arguments: the kind, and the column that holds the subject (none for `roles`). A row that moves
-- to another subject is a change for both.
create function identity_changed() returns trigger
language plpgsql as $$
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
$$;

create trigger users_changed after update of status, username, kind, must_change_password or delete on users
  for each row execute function identity_changed('user', 'user_id');
create trigger user_roles_changed after insert or update or delete on user_roles
  for each row execute function identity_changed('user', 'user_id');
create trigger roles_changed after update or delete on roles
  for each statement execute function identity_changed('roles');
create trigger permissions_changed after update or delete on permissions
  for each statement execute function identity_changed('roles');
create trigger role_permissions_changed after insert or update or delete on role_permissions
  for each statement execute function identity_changed('roles');
create trigger user_sessions_changed
  after update of session_id, user_id, jwt_token_id, created_at, is_active, expires_at or delete on user_sessions
  for each row execute function identity_changed('session', 'session_id');
create trigger api_keys_changed
  after update of user_id, key_prefix, scopes, allowed_ips, rate_limit_per_minute, expires_at, revoked_at, key_hash
    or delete on api_keys
  for each row execute function identity_changed('api_key', 'key_prefix');
create trigger revoked_tokens_changed after insert on revoked_tokens
  for each row execute function identity_changed('token', 'jti');
create trigger signing_keys_changed after insert or update or delete on signing_keys
  for each statement execute function identity_changed('signing_keys');

-- TRUNCATE fires no trigger of a row. What is emptied is told row by row while it can still be read.
create function identity_truncated() returns trigger
language plpgsql as $$
begin
  execute format('select count(announce_identity_change(%L, %I::text)) from %I.%I',
    tg_argv[0], tg_argv[1], tg_table_schema, tg_table_name);
  return null;
end
$$;

create trigger user_sessions_truncated before truncate on user_sessions
  for each statement execute function identity_truncated('session', 'session_id');
create trigger api_keys_truncated before truncate on api_keys
  for each statement execute function identity_truncated('api_key', 'key_prefix');
create trigger users_truncated after truncate on users
  for each statement execute function identity_changed('roles');
create trigger user_roles_truncated after truncate on user_roles
  for each statement execute function identity_changed('roles');
create trigger roles_truncated after truncate on roles
  for each statement execute function identity_changed('roles');
create trigger permissions_truncated after truncate on permissions
  for each statement execute function identity_changed('roles');
create trigger role_permissions_truncated after truncate on role_permissions
  for each statement execute function identity_changed('roles');
create trigger signing_keys_truncated after truncate on signing_keys
  for each statement execute function identity_changed('signing_keys');

create function matches_resource(pattern text, resource text) returns boolean
language sql immutable parallel safe as $$
  select resource like replace(replace(replace(replace(pattern, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%')
$$;

-- Every grant that counts now: of active users, by roles that have not expired.
create view user_grants as
  select u.user_id, r.role_name, p.permission_name, p.resource_type, p.resource_pattern,
    p.permission_value, a.expires_at
  from users u
  join user_roles a on a.user_id = u.user_id and (a.expires_at is null or a.expires_at > now())
  join roles r on r.role_id = a.role_id
  join role_permissions rp on rp.role_id = r.role_id
  join permissions p on p.permission_id = rp.permission_id
  where u.status = 'active';

-- Computed when it is read, so that it can not be stale; the mask holds what is granted on every resource.
create view user_permissions_mv as
  select u.user_id, u.username, u.status,
    array(
      select r.role_name from user_roles a join roles r on r.role_id = a.role_id
      where a.user_id = u.user_id and (a.expires_at is null or a.expires_at > now())
      order by r.role_level, r.role_name
    ) as roles,
    array(
      select distinct g.permission_name from user_grants g where g.user_id = u.user_id order by 1
    ) as permissions,
    coalesce((
      select bit_or(g.permission_value) from user_grants g
      where g.user_id = u.user_id and g.resource_pattern = '*'
    ), 0) as permission_bitmask
  from users u;

-- Whether the user may do everything that the mask asks, on a resource written as `type/name`. A wide
-- bit asks what it means for the type: READ of `users/bob` is users.read, which nobody has by reading
-- alone. A bit of another type is not granted on the resource.
create function check_permission(for_user uuid, resource text, mask bigint) returns boolean
language sql stable as $$
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
$$;

create function validate_session(jti text)
returns table (
  session_id uuid, user_id uuid, username text, status text, roles text[], permissions text[],
  permission_bitmask bigint, expires_at timestamptz
)
language sql stable as $$
  select s.session_id, s.user_id, m.username, m.status, m.roles, m.permissions, m.permission_bitmask,
    s.expires_at
  from user_sessions s
  join users u on u.user_id = s.user_id and u.status = 'active'
  join user_permissions_mv m on m.user_id = s.user_id
  where s.jwt_token_id = split_part(validate_session.jti, '.', 1)
    and s.is_active and s.expires_at > now()
    and not exists (select 1 from revoked_tokens t where t.jti = validate_session.jti and t.until > now())
$$;

-- Judges one try: `ok`, `wrong` or `locked`. The caller has computed the hash with the salt of the
-- stored one; a name that nobody has is treated alike. Tries of one name take turns at its row of
-- login_attempts, so exactly max_failures wrong ones are judged before the name is locked.
create function judge_login(
  typed_name text, computed_hash text, max_failures integer, forget_after interval,
  first_lock interval, longest_lock interval,
  out outcome text, out judged_user uuid, out failures integer, out locked timestamptz
)
language plpgsql as $$
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
$$;

-- A row when the hash is that of an active user who is not locked out, none otherwise. Wrong tries
-- are counted and lock the name: ten within fifteen minutes, for a minute, then twice as long each time.
create function authenticate_user(typed_name text, computed_hash text)
returns table (
  user_id uuid, username text, password_hash text, salt text, status text, failed_attempts integer,
  locked_until timestamptz, roles text[], permissions text[], permission_bitmask bigint
)
language plpgsql as $$
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
$$;

-- A principal as it is shown. Each column is looked up for the rows that are read only.
create view principal_details as
  select u.user_id, u.username, u.kind, u.status, coalesce(p.display_name, '') as display_name, p.email,
    (
      select coalesce(json_agg(json_build_object('name', r.role_name, 'expiresAt', a.expires_at)
        order by r.role_level, r.role_name), '[]')
      from user_roles a join roles r on r.role_id = a.role_id
      where a.user_id = u.user_id and (a.expires_at is null or a.expires_at > now())
    ) as roles,
    coalesce((
      select bit_or(g.permission_value) from user_grants g
      where g.user_id = u.user_id and g.resource_pattern = '*'
    ), 0) as permission_bitmask,
    u.password_hash is not null as has_password, u.must_change_password,
    u.totp_secret is not null as has_totp,
    (select count(*)::integer from passkeys k where k.user_id = u.user_id) as passkeys,
    coalesce((
      select t.failed_attempts from login_attempts t where t.username = u.username
    ), 0) as failed_attempts,
    (
      select t.locked_until from login_attempts t
      where t.username = u.username and t.locked_until > now()
    ) as locked_until,
    u.created_at,
    (select max(s.created_at) from user_sessions s where s.user_id = u.user_id) as last_login_at
  from users u left join user_profiles p on p.user_id = u.user_id;

create view auth_performance_metrics as
  select 'authentication_latency' as metric, avg(authentication_ms)::double precision as avg,
    percentile_cont(0.95) within group (order by authentication_ms) as p95,
    count(authentication_ms) as sample_size, 'ms' as unit
  from security_events
  where event_type in ('login_success', 'login_failure') and occurred_at > now() - interval '1 hour'
  union all
  select 'session_creation_rate', avg(created)::double precision,
    percentile_cont(0.95) within group (order by created), sum(created)::bigint, '1/min'
  from (
    select count(s.session_id) as created
    from generate_series(59, 0, -1) as minute (ago)
    left join user_sessions s on s.created_at > now() - (minute.ago + 1) * interval '1 minute'
      and s.created_at <= now() - minute.ago * interval '1 minute'
    group by minute.ago
  ) rates
  union all
  select 'concurrent_sessions', avg(alive)::double precision,
    percentile_cont(0.95) within group (order by alive), max(alive), 'sessions'
  from (
    select count(s.session_id) as alive
    from generate_series(59, 0, -1) as minute (ago)
    left join user_sessions s on s.created_at <= now() - minute.ago * interval '1 minute'
      and least(s.expires_at, coalesce(s.ended_at, 'infinity')) > now() - minute.ago * interval '1 minute'
    group by minute.ago
  ) counts;

create view binary_integration_health as
  select 'database_performance' as component,
    case when count(database_ms) = 0 then 'unknown'
      when percentile_cont(0.95) within group (order by database_ms) < 25 then 'healthy'
      when percentile_cont(0.95) within group (order by database_ms) < 50 then 'warning'
      else 'critical' end as status,
    percentile_cont(0.95) within group (order by database_ms) as value,
    25 as healthy_below, 50 as warning_below, 'ms p95 of authenticate_user' as unit
  from security_events
  where database_ms is not null and occurred_at > now() - interval '1 hour'
  union all
  select 'connection_capacity',
    case when count(*) < 600 then 'healthy' when count(*) < 700 then 'warning' else 'critical' end,
    count(*)::double precision, 600, 700, 'client connections'
  from pg_stat_activity where backend_type = 'client backend';

insert into permission_bits (bit, action, implied_by, since, description) values
  (0, 'read', 0, 1, 'Read whatever is not about people, keys or security'),
  (1, 'write', 0, 1, 'Change runs'),
  (2, 'execute', 0, 1, 'Run agents and workflows'),
  (3, 'admin', 0, 1, 'Everything about principals, roles, keys and deployments'),
  (4, 'monitor', 0, 1, 'Read metrics, security events and the state of the system'),
  (5, 'system', 0, 1, 'Change the system: definitions, checkpoints, signing keys'),
  (6, 'agents.read', 1, 1, 'See agents, their definitions and states'),
  (7, 'agents.write', 40, 1, 'Change, enable and disable agents'),
  (8, 'agents.execute', 4, 1, 'Invoke an agent'),
  (9, 'workflows.read', 1, 1, 'See workflows'),
  (10, 'workflows.write', 40, 1, 'Change workflows'),
  (11, 'workflows.execute', 4, 1, 'Start runs of a workflow'),
  (12, 'runs.read', 1, 1, 'See runs, by the name of their workflow'),
  (13, 'runs.write', 2, 1, 'Cancel and retry runs, by the name of their workflow'),
  (14, 'checkpoints.read', 56, 1, 'See checkpoints'),
  (15, 'checkpoints.write', 40, 1, 'Make checkpoints'),
  (16, 'checkpoints.execute', 8, 1, 'Restore a checkpoint'),
  (17, 'ext.read', 56, 1, 'See releases of extensions'),
  (18, 'ext.write', 8, 1, 'Package, build and stage extensions'),
  (19, 'ext.execute', 8, 1, 'Deploy extensions and roll them back'),
  (20, 'audit.read', 24, 1, 'See security events and the audit log'),
  (21, 'users.read', 8, 1, 'See principals, their roles, sessions and API keys'),
  (22, 'users.write', 8, 1, 'Change principals, end their sessions, make and revoke their API keys'),
  (23, 'roles.read', 8, 1, 'See roles and what they grant'),
  (24, 'roles.write', 8, 1, 'Change roles, and who has them'),
  (25, 'keys.read', 56, 1, 'See the state of the signing keys'),
  (26, 'keys.write', 40, 1, 'Rotate the signing keys'),
  (27, 'status.read', 17, 1, 'See the state of the system'),
  (28, 'clients.read', 8, 1, 'See OAuth clients'),
  (29, 'clients.write', 8, 1, 'Register and delete OAuth clients');

insert into permissions (permission_name, resource_type, action, permission_value, description)
  select action, case when bit < 6 then '*' else split_part(action, '.', 1) end,
    case when bit < 6 then action else split_part(action, '.', 2) end, 1::bigint << bit, description
  from permission_bits;

insert into roles (role_name, role_level, is_system_role, description) values
  ('admin', 1, true, 'Everything'),
  ('system', 2, true, 'Runs and changes the system, but not who may use it'),
  ('agent', 3, true, 'What an agent at work needs: read, write and execute'),
  ('monitor', 4, true, 'Sees everything that is not about keys and changes nothing'),
  ('guest', 5, true, 'Reads');

insert into role_permissions (role_id, permission_id)
  select r.role_id, p.permission_id
  from (values ('admin', 63), ('system', 39), ('agent', 7), ('monitor', 17), ('guest', 1)) as mask (role_name, bits)
  join roles r using (role_name)
  join permissions p on p.permission_value & 63 <> 0 and mask.bits & p.permission_value <> 0;

insert into oauth_clients (client_id, client_name, redirect_uris) values
  ('centuria-cli', 'Centuria command line', '{}');
