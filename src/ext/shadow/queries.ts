/** Statements for the rehearsal's own server, PostgreSQL 12 to 18. */
import { sql, type Sql } from '../../database/database.ts';

/** What each version of the extensions requires, as far as the server's scripts can make it. */
export const selectVersions = (
  names: readonly string[],
): Sql<{ name: string; version: string; requires: string[] }> => sql`
  select name::text, version, coalesce(requires::text[], '{}') as requires
  from pg_available_extension_versions where name = any(${names}::text[])`;

export const selectPath = (
  name: string,
  from: string,
  to: string,
): Sql<{ path: string | null }> => sql`
  select path from pg_extension_update_paths(${name}::name)
  where source = ${from}::text and target = ${to}::text`;

export const selectFolders = (): Sql<{ name: string; setting: string }> => sql`
  select name, setting from pg_config where name in ('PKGLIBDIR', 'SHAREDIR', 'VERSION')`;

export interface MemberRow {
  /** As people call it: `function public.cosine_distance(public.vector,public.vector)`. */
  readonly object: string;
  /** All that another install of the same version would have as well: no OIDs, no owner. */
  readonly definition: string;
}

/**
 * The members of an extension with their definitions. Names come qualified where the session's
 * search_path is pg_catalog, so that two databases give the same text for the same thing.
 */
export const selectMembers = (extension: string): Sql<MemberRow> => sql`
  with member as (
    select d.classid, d.objid, d.objsubid from pg_depend d
    where d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
      and d.refobjid = (select oid from pg_extension where extname = ${extension}::name)
  ), family as (
    select objid as oid from member where classid = 'pg_opfamily'::regclass
  ), listed as (
    select classid, objid, objsubid from member
    union all select 'pg_amop'::regclass, oid, 0 from pg_amop where amopfamily in (select oid from family)
    union all select 'pg_amproc'::regclass, oid, 0 from pg_amproc where amprocfamily in (select oid from family)
  )
  select pg_describe_object(l.classid, l.objid, l.objsubid) as object,
    coalesce(
      case when p.prokind = 'a' then concat_ws(' ', a.aggkind, a.aggtransfn::text, a.aggfinalfn::text,
          a.aggcombinefn::text, a.aggserialfn::text, a.aggdeserialfn::text, a.aggmtransfn::text,
          a.aggsortop::regoperator::text, a.aggtranstype::regtype::text, a.agginitval, p.proparallel)
        when p.oid is not null then pg_get_functiondef(p.oid) end,
      case when t.oid is not null then concat_ws(' ', t.typlen, t.typbyval, t.typtype, t.typcategory,
          t.typispreferred, t.typdelim, t.typalign, t.typstorage, t.typinput::text, t.typoutput::text,
          t.typreceive::text, t.typsend::text, t.typmodin::text, t.typmodout::text, t.typanalyze::text,
          t.typnotnull, t.typdefault, format_type(t.typbasetype, t.typtypmod)) end,
      case when o.oid is not null then concat_ws(' ', o.oprcode::text, o.oprrest::text, o.oprjoin::text,
          o.oprcom::regoperator::text, o.oprnegate::regoperator::text, o.oprcanmerge, o.oprcanhash) end,
      case when k.oid is not null then concat_ws(' ', k.castcontext, k.castmethod,
          k.castfunc::regprocedure::text) end,
      case when f.oid is not null then concat_ws(' ', f.opcdefault, f.opcintype::regtype::text,
          f.opckeytype::regtype::text) end,
      case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid)
        when c.oid is not null then c.relkind::text || ' ' || coalesce((
          select string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull), ', '
            order by attnum) from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped), '') end,
      '') || coalesce(' acl ' || p.proacl::text, ' acl ' || t.typacl::text, ' acl ' || c.relacl::text, '')
      as definition
  from listed l
  left join pg_proc p on l.classid = 'pg_proc'::regclass and p.oid = l.objid
  left join pg_aggregate a on a.aggfnoid = p.oid
  left join pg_type t on l.classid = 'pg_type'::regclass and t.oid = l.objid
  left join pg_operator o on l.classid = 'pg_operator'::regclass and o.oid = l.objid
  left join pg_cast k on l.classid = 'pg_cast'::regclass and k.oid = l.objid
  left join pg_opclass f on l.classid = 'pg_opclass'::regclass and f.oid = l.objid
  left join pg_class c on l.classid = 'pg_class'::regclass and c.oid = l.objid
  order by 1`;
