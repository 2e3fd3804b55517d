import { sql, type Sql } from '../database/database.ts';
import type { HeldRow } from './giving.ts';

/** Every grant of a principal that counts now, with the role that gives it. */
export const selectGrants = (userId: string): Sql<HeldRow & { role_name: string }> => sql`
  select role_name, resource_type, resource_pattern, permission_value from user_grants
  where user_id = ${userId}::uuid
  order by permission_value, resource_pattern, role_name`;

export const selectRolesOf = (userId: string): Sql<{ roles: readonly string[] }> => sql`
  select roles from user_permissions_mv where user_id = ${userId}::uuid`;

/** `path` is `type/name`, or the type alone for every one of it. */
export const checkPermission = (
  userId: string,
  path: string,
  mask: bigint,
): Sql<{ allowed: boolean }> => sql`
  select check_permission(${userId}::uuid, ${path}, ${mask}::bigint) as allowed`;

export interface AbleRow {
  readonly username: string;
  readonly kind: 'user' | 'agent';
  readonly by: readonly string[];
}

/** Who may do it, with the roles that say so; on every one of the type where no resource is named. */
export const selectAble = (
  bitName: string,
  resourceType: string,
  resource: string | null,
  most: number,
): Sql<AbleRow> => sql`
  select u.username, u.kind, array_agg(distinct g.role_name order by g.role_name) as by
  from permission_bits b
  join user_grants g on g.permission_value & ((1::bigint << b.bit) | b.implied_by) <> 0
  join users u on u.user_id = g.user_id
  where b.action = ${bitName}
    and (g.resource_pattern = '*' or (
      g.resource_type = ${resourceType}
      and matches_resource(g.resource_pattern, ${resource}::text)))
  group by u.user_id order by u.username limit ${most}`;
