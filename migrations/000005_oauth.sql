-- What a client that asks too often must wait, and for which resource a session's tokens are (RFC 8707).

alter table device_codes add column interval_seconds integer not null default 5;
alter table device_codes add column resource text;
alter table refresh_tokens add column resource text;
create index refresh_tokens_by_client on refresh_tokens (client_id);
-- The browser session that approved: when it ends before the exchange, so does the approval.
alter table authorization_codes add column approved_by uuid;
