import { sql, type Sql } from '../database/database.ts';
import type { HeldRow } from './giving.ts';

export interface RoleRow {
  readonly role_id: string;
  readonly role_name: string;
  readonly role_level: number;
  readonly is_system_role: boolean;
  readonly description: string;
  /** Of what holds on every resource. */
  readonly mask: bigint;
  readonly permissions: readonly { action: string; pattern: string }[];
  readonly members: number;
}

/** All of them, or the one of a name. */
export const selectRoles = (roleName: string | null): Sql<RoleRow> => sql`
  select r.role_id, r.role_name, r.role_level, r.is_system_role, r.description,
    coalesce(bit_or(p.permission_value) filter (where p.resource_pattern = '*'), 0) as mask,
    coalesce(json_agg(json_build_object(
      'action', case p.resource_type when '*' then p.action else p.resource_type || '.' || p.action end,
      'pattern', p.resource_pattern) order by p.permission_value, p.resource_pattern)
      filter (where p.permission_id is not null), '[]') as permissions,
    (
      select count(*)::integer from user_roles a
      where a.role_id = r.role_id and (a.expires_at is null or a.expires_at > now())
    ) as members
  from roles r
  left join role_permissions rp using (role_id)
  left join permissions p using (permission_id)
  where ${roleName}::text is null or r.role_name = ${roleName}::text
  group by r.role_id order by r.role_level, r.role_name limit 1000`;

export interface FoundRoleRow {
  readonly role_id: string;
  readonly role_name: string;
  readonly role_level: number;
  readonly is_system_role: boolean;
}

export const findRole = (roleName: string): Sql<FoundRoleRow> => sql`
  select role_id, role_name, role_level, is_system_role from roles where role_name = ${roleName}`;

export const selectRoleNames = (): Sql<{ role_name: string }> => sql`
  select role_name from roles order by role_name limit 1000`;

export const countRoles = (): Sql<{ total: number }> => sql`
  select count(*)::integer as total from roles`;

export const selectGranted = (roleId: string): Sql<HeldRow> => sql`
  select p.resource_type, p.resource_pattern, p.permission_value
  from role_permissions rp join permissions p using (permission_id)
  where rp.role_id = ${roleId}::uuid`;

export const insertRole = (
  roleName: string,
  level: number,
  description: string,
): Sql<FoundRoleRow> => sql`
  insert into roles (role_name, role_level, description) values (${roleName}, ${level}, ${description})
  returning role_id, role_name, role_level, is_system_role`;

export const deleteRole = (roleId: string): Sql => sql`
  delete from roles where role_id = ${roleId}::uuid`;

export interface PermissionKey {
  /** As people write it: `agents.execute`, or `agents.execute:review-*` for some resources. */
  readonly name: string;
  readonly resourceType: string;
  readonly pattern: string;
  readonly action: string;
}

/** Gives a permission to a role, and makes it where it is new. The bit is looked up by `action`. */
export const insertRolePermission = (
  roleId: string,
  permission: PermissionKey,
  bitName: string,
): Sql<{ permission_id: string }> => sql`
  with made as (
    insert into permissions (
      permission_name, resource_type, resource_pattern, action, permission_value, description)
    select ${permission.name}, ${permission.resourceType}, ${permission.pattern}, ${permission.action},
      1::bigint << b.bit, b.description
    from permission_bits b where b.action = ${bitName}
    on conflict (resource_type, resource_pattern, action) do nothing
    returning permission_id
  ), known as (
    select permission_id from made
    union all
    select permission_id from permissions
    where resource_type = ${permission.resourceType} and resource_pattern = ${permission.pattern}
      and action = ${permission.action}
  )
  insert into role_permissions (role_id, permission_id)
  select ${roleId}::uuid, permission_id from known
  on conflict do nothing
  returning permission_id`;

/** Takes a permission from a role; one of some resources that no role has any more goes as well. */
export const deleteRolePermission = (
  roleId: string,
  permission: PermissionKey,
): Sql<{ permission_id: string }> => sql`
  with taken as (
    delete from role_permissions rp using permissions p
    where rp.role_id = ${roleId}::uuid and p.permission_id = rp.permission_id
      and p.resource_type = ${permission.resourceType} and p.resource_pattern = ${permission.pattern}
      and p.action = ${permission.action}
    returning rp.permission_id
  ), unused as (
    delete from permissions p using taken t
    where p.permission_id = t.permission_id and p.resource_pattern <> '*'
      and not exists (
        select from role_permissions o
        where o.permission_id = p.permission_id and o.role_id <> ${roleId}::uuid)
  )
  select permission_id from taken`;

export const countPermissions = (): Sql<{ total: number }> => sql`
  select count(*)::integer as total from permissions`;
