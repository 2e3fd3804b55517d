-- Agents that call agents: each call is a run of its own, below the run of whoever called.

-- The run whose agent asked for this one, and the task that its agent was doing.
alter table runs add column parent_run_id uuid;
alter table runs add column parent_task text;
create index runs_by_parent on runs (parent_run_id, run_id) where parent_run_id is not null;
