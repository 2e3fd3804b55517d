import { sql, type Sql } from '../../database/database.ts';

/** Made when the first deployment is recorded; everybody may read. */
export const deploymentTables = `
  create schema if not exists centuria_ext;
  create table if not exists centuria_ext.deployments (
    id uuid primary key,
    bundle text not null,
    version text not null,
    release text not null,
    previous text,
    host text not null,
    server_version text not null,
    state text not null,
    started_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    actor text not null,
    plan jsonb not null,
    steps jsonb
  );
  comment on table centuria_ext.deployments is 'Deployments of native extensions by Centuria, each with its last state';
  grant usage on schema centuria_ext to public;
  grant select on centuria_ext.deployments to public;
`;

export const selectRecovery = (): Sql<{ is_standby: boolean }> => sql`
  select pg_is_in_recovery() as is_standby`;

export interface DeploymentRow {
  readonly id: string;
  readonly bundle: string;
  readonly version: string;
  readonly release: string;
  readonly previous: string | null;
  readonly host: string;
  readonly serverVersion: string;
  readonly state: string;
  readonly hasEnded: boolean;
  readonly actor: string;
  readonly plan: string;
  readonly steps: string;
}

export const insertDeployment = (row: DeploymentRow): Sql<{ id: string }> => sql`
  insert into centuria_ext.deployments as d
    (id, bundle, version, release, previous, host, server_version, state, ended_at, actor, plan, steps)
  values (${row.id}::uuid, ${row.bundle}, ${row.version}, ${row.release}, ${row.previous}, ${row.host},
    ${row.serverVersion}, ${row.state}, case when ${row.hasEnded}::boolean then clock_timestamp() end,
    ${row.actor}, ${row.plan}::jsonb, nullif(${row.steps}::jsonb, 'null'))
  on conflict (id) do update set state = excluded.state, ended_at = excluded.ended_at,
    actor = excluded.actor, steps = coalesce(excluded.steps, d.steps)
  returning id::text as id`;
