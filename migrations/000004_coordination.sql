-- centuria: breaking
-- Runs that wait without a worker, definitions of several formats at once, and one row a turn.

-- What a worker must know to drive the run: one that does not know it leaves the run to others.
alter table runs add column format smallint not null default 1;
-- A run that nobody holds: null may be claimed now, a time from then on, infinity when it is woken.
alter table runs add column wake_at timestamptz;
-- Equal for runs that failed in the same way: what dead letters are grouped by.
alter table runs add column fingerprint text;
-- How a run's effects stand once somebody asked to undo them.
alter table runs add column undo text check (undo in ('requested', 'undone', 'failed'));
-- The principal who asked for it; null for what the system started.
alter table runs add column started_by text;
-- The run that this one was forked from.
alter table runs add column forked_from uuid;

drop index runs_unowned;
create index runs_unowned on runs (priority desc, run_id)
  where owner is null and finished_at is null and wake_at is null;
-- Parked runs must not be walked over by every claim.
create index runs_due on runs (wake_at)
  where owner is null and finished_at is null and wake_at is not null;
create index runs_by_fingerprint on runs (fingerprint, run_id desc) where fingerprint is not null;

-- A row holds the events of one turn, in order: a serial task costs one row. `body` is their array (an
-- object in rows from before: one event), `seq` the first one's number, `events` how many there are.
alter table run_events drop column type, drop column task;
alter table run_events add column events smallint not null default 1 check (events between 1 and 256);

alter table run_signals drop constraint run_signals_kind_check;
alter table run_signals add constraint run_signals_kind_check check (kind in
  ('cancel', 'retry', 'pause', 'resume', 'answer', 'signal', 'undo'));

insert into permission_bits (bit, action, implied_by, since, description) values
  (30, 'runs.approve', 8, 2, 'Answer what a run asks a person, by the name of its workflow'),
  (31, 'runs.undo', 40, 2, 'Undo what a run has changed, by the name of its workflow'),
  (32, 'schedules.read', 1, 2, 'See schedules'),
  (33, 'schedules.write', 40, 2, 'Make, change and delete schedules'),
  (34, 'limits.read', 17, 2, 'See budgets and circuit breakers'),
  (35, 'limits.write', 40, 2, 'Change budgets and reset circuit breakers');

insert into permissions (permission_name, resource_type, action, permission_value, description)
  select action, split_part(action, '.', 1), split_part(action, '.', 2), 1::bigint << bit, description
  from permission_bits where since = 2;
