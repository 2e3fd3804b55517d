/** A rehearsal in a process of its own, which a test kills: what it is to do comes as JSON. */
import { text } from 'node:stream/consumers';
import { createLog, systemClock } from '../../src/base/base.ts';
import { openLocalHost } from '../../src/ext/host/local.ts';
import { rehearse, type RehearsalOptions } from '../../src/ext/shadow/rehearse.ts';

const { smoke, ...options } = JSON.parse(await text(process.stdin)) as Omit<
  RehearsalOptions,
  'smoke' | 'clock' | 'log'
> & { readonly smoke: [string, string][] };

await rehearse(openLocalHost(), {
  ...options,
  smoke: new Map(smoke),
  clock: systemClock,
  log: createLog({ level: 'warn' }),
});
