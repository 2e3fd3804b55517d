-- What MCP servers say of their tools, as it was when they were first used, and what has changed since.

create table mcp_tools (
  -- SHA-256 of the command or address of the server.
  server text not null check (server ~ '^[0-9a-f]{64}$'),
  tool text not null check (length(tool) between 1 and 256),
  -- For people: what the agent that used it first calls the server.
  server_name text not null,
  state text not null check (state in ('trusted', 'quarantined')),
  reason text,
  -- What the server said last. Plain json: jsonb refuses some of what hostile servers write.
  hash text not null check (hash ~ '^[0-9a-f]{64}$'),
  definition json not null,
  -- What may be used; null before somebody or nothing against it has said so.
  trusted_hash text check (trusted_hash ~ '^[0-9a-f]{64}$'),
  trusted_definition json,
  first_seen_at timestamptz not null default now(),
  changed_at timestamptz not null default now(),
  accepted_by text,
  accepted_by_id text,
  accepted_at timestamptz,
  primary key (server, tool),
  check ((state = 'trusted') = (reason is null)),
  check (state <> 'trusted' or trusted_hash = hash),
  check ((trusted_hash is null) = (trusted_definition is null))
);
