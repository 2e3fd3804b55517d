-- Definitions that a run was pinned to: it goes on with them after the file has changed or gone.

create table agent_definitions (
  -- SHA-256 of the file's bytes.
  hash text primary key check (hash ~ '^[0-9a-f]{64}$'),
  name text not null,
  -- The file's bytes, not text: a byte order mark and line ends count in the hash.
  source bytea not null,
  created_at timestamptz not null default now()
);
