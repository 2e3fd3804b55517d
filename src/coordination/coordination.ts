/** Durable workflows: an append-only log of events a run, advanced by whichever worker holds its lease. */
export type * from './types.ts';
