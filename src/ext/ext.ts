/**
 * Deploys native extensions to PostgreSQL: package, build, check, stage, plan, deploy, verify, roll back.
 * Nothing is written in place: releases are immutable and addressed by their content, and a deployment
 * is one rename, with a journal that says what to do after a crash.
 */
export type {
  Architecture,
  Bundle,
  ElfFacts,
  ExtFinding,
  Magic,
  Metadata,
  ServerFacts,
  ServerPaths,
} from './types.ts';
export type * from './deployment-types.ts';
export type { Host } from './host/host.ts';
export { openLocalHost } from './host/local.ts';
