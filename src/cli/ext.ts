import type { Command } from 'commander';
import type { CliContext } from './context.ts';
import { registerExtBuild } from './ext-build.ts';
import { registerExtCheck } from './ext-check.ts';
import { registerExtDeploy } from './ext-deploy.ts';
import { registerExtKeys } from './ext-keys.ts';
import { registerExtMatrix } from './ext-matrix.ts';
import { registerExtPackage } from './ext-package.ts';
import { registerExtRollback } from './ext-rollback.ts';
import { registerExtStage } from './ext-stage.ts';
import { registerExtStatus } from './ext-status.ts';
import { registerExtVerify } from './ext-verify.ts';

/** `centuria ext`: native extensions, from their sources to a server and back. Works without a server of ours. */
export function registerExt(program: Command, context: CliContext): void {
  const group = program
    .command('ext')
    .description('Build native PostgreSQL extensions, deploy them to servers, roll them back.');
  for (const register of [
    registerExtPackage,
    registerExtBuild,
    registerExtCheck,
    registerExtStage,
    registerExtDeploy,
    registerExtVerify,
    registerExtRollback,
    registerExtStatus,
    registerExtMatrix,
    registerExtKeys,
  ]) {
    register(group, context);
  }
}
