-- Runs that somebody began by a message of a protocol, and what was said to them: the client finds its
-- tasks again by its own name for what they belong to.

-- Few beside the rows of a run, so they are not partitioned; they go when their run has gone.
create table run_conversations (
  run_id uuid not null,
  -- Who began it, and alone may ask for it: by id, since a name may come to be somebody else's.
  principal_id uuid not null,
  workflow text not null,
  context_id text not null check (length(context_id) between 1 and 200),
  primary key (run_id)
);
create index run_conversations_by_principal on run_conversations (principal_id, run_id desc);
create index run_conversations_by_context on run_conversations (principal_id, context_id, run_id desc);

create table run_messages (
  run_id uuid not null references run_conversations (run_id) on delete cascade,
  message_id text not null check (length(message_id) between 1 and 200),
  position bigint generated always as identity,
  body json not null,
  primary key (run_id, message_id)
);
