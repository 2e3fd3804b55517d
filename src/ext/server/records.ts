/** Deployments as rows of the server that they were made on: for SQL, and for who comes after. */
import { AppError } from '../../base/base.ts';
import { json } from '../../database/database.ts';
import type { DeploymentState, Known, Plan } from '../deployment-types.ts';
import type { TargetClient } from './connect.ts';
import { deploymentTables, insertDeployment, selectRecovery } from './record-queries.ts';

export interface DeploymentNote {
  readonly state: DeploymentState;
  /** Who deploys. */
  readonly actor: string;
  /** The steps with their times, as the journal has them; what was noted before stays without. */
  readonly steps?: readonly unknown[];
}

/** One row a deployment, with its last state. Makes the table where it is not. */
export async function recordDeployment(
  client: TargetClient,
  plan: Plan,
  { state, actor, steps }: DeploymentNote,
): Promise<Known<true>> {
  const [recovery] = await client.query(selectRecovery());
  if (recovery?.is_standby === true) {
    return { unavailable: 'a standby can not be written to: its primary keeps the record' };
  }
  await client.script(`begin read write; ${deploymentTables}`);
  const [written] = await client.query(
    insertDeployment({
      id: plan.id,
      bundle: plan.bundle.name,
      version: plan.bundle.version,
      release: plan.release,
      previous: plan.from ?? null,
      host: plan.host,
      serverVersion: plan.server.version,
      state,
      hasEnded: state !== 'running' && state !== 'waiting_for_restart' && state !== 'unfinished',
      actor,
      plan: json(plan),
      steps: json(steps ?? null),
    }),
  );
  await client.script('commit');
  if (written === undefined) throw new AppError('ext_failed', `${plan.id} was not recorded`);
  return { value: true };
}
