import { createHmac, randomBytes } from 'node:crypto';
import { hashRaw } from '@node-rs/argon2';
import { AppError, BoundedQueue, type Clock } from '../base/base.ts';

/** What an Argon2id hash costs. */
export interface HashParameters {
  readonly memoryKiB: number;
  readonly iterations: number;
  /** Lanes. */
  readonly parallelism: number;
}

/** The least that OWASP's password storage guide allows for Argon2id. */
export const leastParameters: HashParameters = { memoryKiB: 19_456, iterations: 2, parallelism: 1 };

/** A stored or forged hash must not be able to ask for all memory or for minutes of work. */
const mostParameters: HashParameters = { memoryKiB: 1_048_576, iterations: 100, parallelism: 16 };

/** UTF-8 bytes of a password, normalised: nobody types more, and hashing more would cost everybody. */
export const mostPasswordBytes = 1_024;

const saltBytes = 16;
const hashBytes = 32;

export interface PasswordHasher {
  readonly parameters: HashParameters;
  /**
   * A new PHC string, `$argon2id$v=19$m=…,t=…,p=…$salt$hash`. Throws `limit_exceeded` when too many
   * wait, `invalid_input` for what can be no password.
   */
  hash(password: string): Promise<string>;
  /**
   * The PHC string that `password` gives with salt and parameters of `phc`: equal to `phc` exactly
   * when the password is right. Throws as `hash` does, and `internal` when `phc` can not be read or
   * asks for too much.
   */
  recompute(password: string, phc: string): Promise<string>;
  /**
   * A PHC string that no password gives, the same for the same name: what an unknown user is checked
   * against, so that it takes as long as a known one.
   */
  decoy(name: string): string;
  /**
   * Whether a stored hash is weaker than a new one would be. Lanes do not count: they divide the
   * work and add none. Throws `internal` when `phc` can not be read.
   */
  needsRehash(phc: string): boolean;
  readonly load: { readonly running: number; readonly waiting: number; readonly capacity: number };
}

export interface PasswordHasherOptions {
  readonly parameters: HashParameters;
  /**
   * Hashes at a time. They run on libuv's threads, four unless UV_THREADPOOL_SIZE says otherwise,
   * which files and name look-ups share: with all of them hashing, a `stat` waited 970 ms.
   */
  readonly concurrency: number;
  /** How many more may wait; one more is refused. */
  readonly capacity: number;
  /** At least 32 bytes, kept as long as the users are: with another key the decoys change. */
  readonly decoyKey: Uint8Array;
}

/** Hashes passwords with Argon2id (RFC 9106), some at a time. Throws RangeError for options that are no limits. */
export function createPasswordHasher(options: PasswordHasherOptions): PasswordHasher {
  const { parameters, concurrency, capacity, decoyKey } = options;
  if (!isBounded(parameters)) throw new RangeError('hash parameters outside their bounds');
  if (!(concurrency >= 1)) throw new RangeError(`a concurrency of ${concurrency} is no limit`);
  if (decoyKey.length < 32) throw new RangeError('a decoy key has at least 32 bytes');
  const turns = createTurns(concurrency, capacity);
  const derive = (purpose: string, name: string) =>
    createHmac('sha256', decoyKey).update(`${purpose}\0${name}`).digest();

  return {
    parameters,
    async hash(password) {
      const normalised = normalisePassword(password);
      const fresh = { parameters, salt: randomBytes(saltBytes), hashBytes };
      return turns.run(() => computePhc(normalised, fresh));
    },
    async recompute(password, phc) {
      const normalised = normalisePassword(password);
      const { parameters: stored, salt, hash } = parsePhc(phc);
      const same = { parameters: stored, salt, hashBytes: hash.length };
      return turns.run(() => computePhc(normalised, same));
    },
    decoy(name) {
      const salt = derive('salt', name).subarray(0, saltBytes);
      return formatPhc(parameters, salt, derive('hash', name));
    },
    needsRehash(phc) {
      const { parameters: stored, salt, hash } = parsePhc(phc);
      return (
        stored.memoryKiB < parameters.memoryKiB ||
        stored.iterations < parameters.iterations ||
        salt.length < saltBytes ||
        hash.length < hashBytes
      );
    },
    get load() {
      return turns.load;
    },
  };
}

/**
 * Parameters whose hash takes at least `targetMs` here: OWASP's floor, with as many more iterations
 * as that needs. Never below the floor, even where the floor alone takes longer; never by choice
 * above ten times the target. `measuredMs` is the median of three hashes.
 */
export async function calibrate(
  targetMs: number,
  clock: Clock,
): Promise<{ parameters: HashParameters; measuredMs: number }> {
  let parameters = leastParameters;
  let measuredMs = await medianMs(parameters, clock);
  while (measuredMs < targetMs && parameters.iterations < mostParameters.iterations) {
    const next = { ...parameters, iterations: moreIterations(parameters, targetMs / measuredMs) };
    const nextMs = await medianMs(next, clock);
    // The machine was busy just then: what was found before is nearer to what was asked for.
    if (nextMs > targetMs * 10) break;
    parameters = next;
    measuredMs = nextMs;
  }
  return { parameters, measuredMs };
}

/** Rounded down so that the last steps are single ones; `ratio` is infinite for a clock that stood still. */
function moreIterations({ iterations }: HashParameters, ratio: number): number {
  const wanted = Math.max(iterations + 1, Math.floor(iterations * ratio));
  return Math.min(mostParameters.iterations, wanted);
}

async function medianMs(parameters: HashParameters, clock: Clock): Promise<number> {
  const salt = new Uint8Array(saltBytes);
  const times: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    const startedMs = clock.monotonicMs();
    await computePhc('calibration', { parameters, salt, hashBytes });
    times.push(clock.monotonicMs() - startedMs);
  }
  return times.toSorted((a, b) => a - b)[1] ?? 0;
}

/**
 * The form in which a password is judged and hashed, so that the same one typed on another keyboard
 * is the same: RFC 8265's OpaqueString, which makes every space U+0020 and normalises to NFC. Throws
 * `invalid_input` for an empty one, one over 1,024 bytes and one that is no Unicode.
 */
export function normalisePassword(password: string): string {
  if (password === '') throw wrongPassword('the password is empty', 'Give at least one character.');
  // Half a surrogate pair would be hashed as U+FFFD, and all such passwords would be the same one.
  if (!password.isWellFormed()) {
    throw wrongPassword('the password is not valid Unicode', 'Send it as UTF-8 text.');
  }
  // No more than four characters compose to one, so what is longer is refused without that work.
  const isHopeless = password.length > mostPasswordBytes * 4;
  const normalised = isHopeless ? password : password.replace(/\p{Zs}/gu, ' ').normalize('NFC');
  if (Buffer.byteLength(normalised) > mostPasswordBytes) {
    throw wrongPassword(
      `the password is longer than ${mostPasswordBytes} bytes`,
      `Use at most ${mostPasswordBytes} bytes of UTF-8.`,
    );
  }
  return normalised;
}

function wrongPassword(message: string, remedy: string): AppError {
  return new AppError('invalid_input', message, { details: { field: 'password' }, remedy });
}

interface Recipe {
  readonly parameters: HashParameters;
  readonly salt: Uint8Array;
  readonly hashBytes: number;
}

async function computePhc(password: string, recipe: Recipe): Promise<string> {
  const { parameters, salt } = recipe;
  // The package's defaults for kind and version are Argon2id and 19.
  const hash = await hashRaw(password, {
    memoryCost: parameters.memoryKiB,
    timeCost: parameters.iterations,
    parallelism: parameters.parallelism,
    outputLen: recipe.hashBytes,
    salt,
  });
  return formatPhc(parameters, salt, hash);
}

function formatPhc(parameters: HashParameters, salt: Uint8Array, hash: Uint8Array): string {
  const { memoryKiB, iterations, parallelism } = parameters;
  const costs = `m=${memoryKiB},t=${iterations},p=${parallelism}`;
  return `$argon2id$v=19$${costs}$${unpadded(salt)}$${unpadded(hash)}`;
}

function unpadded(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '');
}

/** Salts of 8 to 48 bytes and hashes of 16 to 64. */
const phcPattern =
  /^\$argon2id\$v=19\$m=([1-9]\d{0,6}),t=([1-9]\d{0,2}),p=([1-9]\d?)\$([\w+/]{11,64})\$([\w+/]{22,86})$/;

/** A hash that we can not have written is a defect of what stored it. The text stays out of the error. */
function parsePhc(phc: string): { parameters: HashParameters; salt: Buffer; hash: Buffer } {
  const match = phcPattern.exec(phc);
  if (match === null) {
    throw new AppError('internal', 'a stored password hash is not an Argon2id hash of version 19');
  }
  const [, memory, iterations, parallelism, salt = '', hash = ''] = match;
  const parameters = {
    memoryKiB: Number(memory),
    iterations: Number(iterations),
    parallelism: Number(parallelism),
  };
  if (!isBounded(parameters)) {
    throw new AppError('internal', 'a stored password hash asks for parameters out of bounds', {
      details: { parameters, most: mostParameters },
    });
  }
  const parsed = {
    parameters,
    salt: Buffer.from(salt, 'base64'),
    hash: Buffer.from(hash, 'base64'),
  };
  // With other unused bits at the end no password would ever give this very text.
  if (formatPhc(parameters, parsed.salt, parsed.hash) !== phc) {
    throw new AppError('internal', 'a stored password hash is not in its canonical form');
  }
  return parsed;
}

/** RFC 9106 asks for at least 8 KiB a lane. */
function isBounded({ memoryKiB, iterations, parallelism }: HashParameters): boolean {
  return (
    [memoryKiB, iterations, parallelism].every((cost) => Number.isInteger(cost) && cost >= 1) &&
    memoryKiB >= 8 * parallelism &&
    memoryKiB <= mostParameters.memoryKiB &&
    iterations <= mostParameters.iterations &&
    parallelism <= mostParameters.parallelism
  );
}

/** Lets `concurrency` pieces of work run; up to `capacity` more wait, first come first served. */
function createTurns(concurrency: number, capacity: number) {
  const waiting = new BoundedQueue<() => void>('the queue of password checks', capacity);
  let running = 0;
  return {
    get load() {
      return { running, waiting: waiting.size, capacity };
    },
    async run<T>(work: () => Promise<T>): Promise<T> {
      if (running < concurrency) running += 1;
      // Whoever finishes hands its turn over, so the count stays as it is.
      else await new Promise<void>((begin) => waiting.push(begin));
      try {
        return await work();
      } finally {
        const [next] = waiting.take(1);
        if (next === undefined) running -= 1;
        else next();
      }
    },
  };
}
