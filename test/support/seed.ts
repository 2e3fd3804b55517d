/**
 * One commit, one result: property tests begin with the same seed in every call, unless the
 * environment gives another one, as `npm run fuzz` does with each of its rounds.
 */
import * as fc from 'fast-check';

const given = process.env['FAST_CHECK_SEED'];
fc.configureGlobal({ seed: given === undefined ? 20_261_121 : Number.parseInt(given, 10) });
