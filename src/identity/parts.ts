import type { Clock, Log } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import type { Directory } from './directory.ts';
import type { BreachedPasswords } from './password-policy.ts';
import type { PasswordHasher } from './passwords.ts';
import type { ChangeKind } from './queries.ts';
import type { Sealer } from './seal.ts';

/** What the parts of identity share. */
export interface Parts {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly directory: Directory;
  /** A change that was just committed: this process forgets at once, the others are told. */
  readonly applyChange: (kind: ChangeKind, subject: string) => void;
  readonly hasher: PasswordHasher;
  readonly breached: BreachedPasswords | undefined;
  readonly sealer: Sealer;
  /** The name of the principal that the data folder's token stands for. */
  readonly ownerName: string;
}
