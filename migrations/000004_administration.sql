-- What administration changes is told by name, not as a login or a suspicion.
alter table security_events drop constraint security_events_event_type_check;
alter table security_events add constraint security_events_event_type_check check (event_type in (
  'login_success', 'login_failure', 'token_issued', 'token_expired', 'permission_denied',
  'rate_limit_exceeded', 'ddos_detected', 'key_rotated', 'tls_handshake', 'hmac_failure',
  'account_locked', 'password_changed', 'role_assigned', 'suspicious_activity',
  'principal_changed', 'role_changed', 'credential_changed', 'session_ended'));

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
