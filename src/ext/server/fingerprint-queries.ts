import { sql, type Sql } from '../../database/database.ts';

/**
 * What extensions have made, a row an object: what it is, and what it is like. Names stand in place of
 * object ids, since what is dropped and made anew is the same to whoever uses it. Kinds of objects that have
 * no words of their own here are described by their identity alone.
 */
export const describeMembers = (
  extension: string | null,
): Sql<{ object: string; details: string }> => sql`
  with members as (
    select e.extname, d.classid, d.objid from pg_extension e join pg_depend d
      on d.refclassid = 'pg_extension'::regclass and d.refobjid = e.oid and d.deptype = 'e'
    where ${extension}::text is null or e.extname = ${extension}::text
  ), described as (
    select m.extname || ': ' || i.type || ' ' || i.identity as object, concat_ws(' | ',
      (select case when p.prokind = 'a' then
          (select concat_ws(' ', 'aggregate', g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggserialfn,
            g.aggdeserialfn, g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn, g.aggkind, g.aggnumdirectargs,
            g.aggtranstype::regtype, g.aggsortop::regoperator, g.agginitval, p.proparallel)
          from pg_aggregate g where g.aggfnoid = p.oid)
        else pg_get_functiondef(p.oid) || coalesce(p.probin, '') end
        || ' by ' || p.proowner::regrole || ' for ' || coalesce(p.proacl::text, 'all')
        from pg_proc p where m.classid = 'pg_proc'::regclass and p.oid = m.objid),
      (select concat_ws(' ', t.typlen, t.typbyval, t.typtype, t.typcategory, t.typispreferred, t.typinput,
          t.typoutput, t.typreceive, t.typsend, t.typmodin, t.typmodout, t.typalign, t.typstorage,
          t.typnotnull, t.typbasetype::regtype, t.typdefault, t.typacl,
          (select string_agg(l.enumlabel, ',' order by l.enumsortorder) from pg_enum l where l.enumtypid = t.oid),
          (select string_agg(pg_get_constraintdef(c.oid), ',' order by c.conname) from pg_constraint c
            where c.contypid = t.oid))
        from pg_type t where m.classid = 'pg_type'::regclass and t.oid = m.objid),
      (select concat_ws(' ', o.oprcode, o.oprresult::regtype, o.oprcom::regoperator,
          o.oprnegate::regoperator, o.oprrest, o.oprjoin, o.oprcanmerge, o.oprcanhash)
        from pg_operator o where m.classid = 'pg_operator'::regclass and o.oid = m.objid),
      (select concat_ws(' ', c.castfunc::regprocedure, c.castcontext, c.castmethod)
        from pg_cast c where m.classid = 'pg_cast'::regclass and c.oid = m.objid),
      (select concat_ws(' ', c.opcintype::regtype, c.opcdefault, c.opckeytype::regtype, f.opfname)
        from pg_opclass c join pg_opfamily f on f.oid = c.opcfamily
        where m.classid = 'pg_opclass'::regclass and c.oid = m.objid),
      (select string_agg(concat_ws(' ', a.amopstrategy, a.amoppurpose, a.amopopr::regoperator), ','
          order by a.amopstrategy, a.amopopr::regoperator::text)
        from pg_amop a where m.classid = 'pg_opfamily'::regclass and a.amopfamily = m.objid),
      (select string_agg(concat_ws(' ', a.amprocnum, a.amproc::regprocedure), ','
          order by a.amprocnum, a.amproc::regprocedure::text)
        from pg_amproc a where m.classid = 'pg_opfamily'::regclass and a.amprocfamily = m.objid),
      (select concat_ws(' ', c.relkind, c.relpersistence, c.reloptions, c.relacl, c.relowner::regrole,
          case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end,
          (select string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
              pg_get_expr(v.adbin, v.adrelid)), ',' order by a.attnum)
            from pg_attribute a left join pg_attrdef v on v.adrelid = a.attrelid and v.adnum = a.attnum
            where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
          (select string_agg(pg_get_constraintdef(k.oid), ',' order by k.conname)
            from pg_constraint k where k.conrelid = c.oid),
          (select string_agg(pg_get_indexdef(x.indexrelid), ',' order by x.indexrelid::regclass::text)
            from pg_index x where x.indrelid = c.oid),
          (select string_agg(pg_get_triggerdef(g.oid), ',' order by g.tgname)
            from pg_trigger g where g.tgrelid = c.oid and not g.tgisinternal))
        from pg_class c where m.classid = 'pg_class'::regclass and c.oid = m.objid),
      (select a.amhandler::text || a.amtype::text from pg_am a where m.classid = 'pg_am'::regclass and a.oid = m.objid),
      (select d.description from pg_description d
        where d.classoid = m.classid and d.objoid = m.objid and d.objsubid = 0)
    ) as details
    from members m cross join lateral pg_identify_object(m.classid, m.objid, 0) i
  )
  select object, details from described
  union all
  select e.extname || ': extension', concat_ws(' ', e.extversion, e.extnamespace::regnamespace,
    e.extowner::regrole, e.extrelocatable, e.extcondition,
    (select string_agg(c::regclass::text, ',' order by c::regclass::text) from unnest(e.extconfig) c))
  from pg_extension e where ${extension}::text is null or e.extname = ${extension}::text
  order by 1, 2`;
