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
export { openHost } from './host/open-host.ts';
export {
  openSigningKey,
  parsePublicKey,
  publicKeyName,
  readTrustedKeys,
  trustKey,
  type Signer,
  type TrustedKey,
} from './package/signing.ts';
export { readBundle } from './package/bundle.ts';
export { packageDebian, packageFolder, packageServer } from './package/package.ts';
export type { Package as ServerPackage } from './package/content.ts';
export { openPackage, readPackageFacts, type OpenedPackage } from './package/open-package.ts';
export { buildExtension, type Built } from './build/build.ts';
export { checkBundle } from './check/check.ts';
export { stage } from './release/store.ts';
export { openTarget, planDeployment, type Target as ExtTarget } from './deploy/target.ts';
export { deploy, type Deployed, type DeployOptions } from './deploy/deploy.ts';
export { rollBack, type RolledBack, type RollbackOptions } from './deploy/rollback.ts';
export { statusOf } from './deploy/status.ts';
export { verifyLive } from './deploy/verify.ts';
export { runMatrix, type MatrixRow } from './matrix/matrix.ts';
